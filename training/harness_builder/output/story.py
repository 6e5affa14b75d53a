"""Prints the story of one record, from the seed to its place in the set: how each step ended, what it made, and every
call with its reply. The prompt of a call is its template, filled with results of earlier steps.

Texts of sources and models lose their terminal control characters, and a bar precedes each of their lines.
"""

from __future__ import annotations

import json
import math
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from harness import BadData, HarnessError, Json, MissingData, UnknownName
from harness.settings import nearest
from harness.store.journal import load_lines
from harness.text import one_line, plain
from harness_builder.calls.results import DrawingReply, Halted, ModelReply
from harness_builder.calls.store import FOLDER as IMAGES
from harness_builder.calls.store import NAME as CALLS
from harness_builder.calls.store import SUFFIXES, CallStore
from harness_builder.output.dataset import Calls
from harness_builder.records import read_step_log
from harness_builder.seeds import unescape_key
from harness_builder.values import STEPS, WORK, Step

from .folder import LISTINGS, PROVENANCE
from .manifest import read_models

#: sha256 of an image -> a file that shows it; empty if there is none
ImageFinder = Callable[[str], str]
_PLACE: Final = re.compile(rf"({'|'.join(LISTINGS)})/(\d{{1,18}})")
_DIGEST: Final = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{20,}\b")
_LONGEST: Final = 4096  # characters of a path
_NAMES: Final[Mapping[str, str]] = {
    "text_unsafe": "question unsafe by itself",
    "image_harmful": "an image harmful by itself",
    "sub_category": "sub-category",
    "explicit": "in words that name both",
    "by": "decided by",
    "text": "question",
    "text_question": "question in words alone",
    "text_answer": "answer to it",
}


def render_story(folder: Path, key: str, calls: Calls | None = None) -> str:
    """All that the build stores about one record, or about an element that became none.

    Args:
        folder: of the build.
        key: of the element; or a place in the set, as `easy/3`; or of a seed, for the ends of its elements.
        calls: finds a stored call; None for the build's own call store.

    Returns:
        Text without terminal control characters. The seed is named by its key: its text is not stored.

    Raises:
        UnknownName: there is no such record; the remedy names the nearest.
        MissingData: nothing was built there; or the key is a place, and the set is not finished.
        BadData: a file of the build cannot be read.
    """
    found, work = _BuildFiles.read(folder), folder / WORK
    with ExitStack() as stack:
        if calls is None and (work / CALLS).exists():
            with suppress(HarnessError):  # a running build locks its store: calls are named by digest alone
                calls = stack.enter_context(CallStore(work)).find
        return "\n".join(_StoryWriter(found, calls or (lambda _: None)).lines(found.find_key(key)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _BuildFiles:
    """The files of a build's folder about all records.

    Attributes:
        folder: of the build.
        steps: step -> key -> its line in `work/`.
        final: of the set's records, in order.
    """

    folder: Path
    steps: Mapping[Step, Mapping[str, Mapping[str, Json]]]
    final: Sequence[Mapping[str, Json]]

    @classmethod
    def read(cls, folder: Path) -> _BuildFiles:
        try:
            steps: dict[Step, Mapping[str, Mapping[str, Json]]] = {
                step: read_step_log(folder / WORK, step) for step in STEPS
            }
            final = tuple(load_lines(folder / PROVENANCE))
        except (OSError, ValueError, KeyError, TypeError) as error:
            what = f"a file of the build cannot be read: {type(error).__name__}: {error}"
            remedy = "build the set again: finished calls are not repeated"
            raise BadData(what, where=str(folder), remedy=remedy) from None
        if not final and not any(steps.values()):
            remedy = "name the DIR of harness build --out DIR"
            raise MissingData("nothing was built here", where=str(folder), remedy=remedy)
        return cls(folder=folder, steps=steps, final=final)

    def find_key(self, key: str) -> str:
        """The key of a record, an element or a seed, given as a key or a place in the set; for photographs its
        twin's."""
        known = dict.fromkeys(str(each["key"]) for each in self.final)
        known |= dict.fromkeys(each for lines in self.steps.values() for each in lines)
        found = key if key in known else next((each for each in known if unescape_key(each) == key), None)
        if found is None and (place := _PLACE.fullmatch(key)):
            file, number = LISTINGS[place[1]].file, int(place[2])  # type: ignore[index]
            there = (str(each["key"]) for each in self.final if each["file"] == file and each["id"] == number)
            found = next(there, None)
            if not self.final:
                what = f"the set is not finished yet, so it has no place {key}"
                remedy = "harness build mis --config FILE --out DIR  continues; until then use a key from work/"
                raise MissingData(what, where=str(self.folder), remedy=remedy)
        if found is None:
            what = f"no record {one_line(key)!r} is here"
            raise UnknownName(what, where=str(self.folder), remedy=nearest(key, known))
        return next((str(each["of"]) for each in self.final if each["key"] == found and "of" in each), found)

    def find_elements(self, seed: str) -> list[str]:
        """The keys of a seed's elements, without those that only an earlier walk listed."""
        number = self.steps["elements"].get(seed, {}).get("made", {}).get("elements", math.inf)
        every = ((each, *each.rpartition("#")) for each in self.steps["elements"])
        return [key for key, of, _, place in every if of == seed and place.isdecimal() and int(place) < number]


class _StoryWriter:
    """Writes the story of one element and its records."""

    def __init__(self, files: _BuildFiles, calls: Calls) -> None:
        self._files = files
        self._calls = calls
        self._models = read_models(files.folder)

    def lines(self, key: str) -> Iterator[str]:
        folder, steps = self._files.folder, self._files.steps
        places = [each for each in self._files.final if key in (each["key"], each.get("of"))]
        taken = {
            shot["sha256"]: each["images"][shot["object"] - 1]
            for each in places
            if "of" not in each
            for shot in each["drawings"]
            if shot["taken"]
        }

        def find_image(sha256: str) -> str:
            """In the set, else in the build's folder."""
            kept = folder / WORK / IMAGES / sha256[:2]
            files = [folder / taken[sha256]] if sha256 in taken else []
            files += [kept / f"{sha256}{suffix}" for suffix in SUFFIXES.values()]
            return next((str(file) for file in files if file.is_file()), "")

        yield one_line(key)
        for each in places:
            first, second = each["images"]
            yield f"{each['file']}, record {each['id']}: {one_line(first)}, {one_line(second)}"
        seed = key.rpartition("#")[0]
        if seed:
            what = steps["elements"].get(seed, {}).get("made", {}).get("seed") or "text or image"
            yield f"seed: {one_line(seed)} (its {one_line(str(what))} is with the source, not in this folder)"
        if seed in steps["elements"]:
            yield from ("", *self._step("the seed", steps["elements"][seed], find_image))
        found = {step: lines[key] for step, lines in steps.items() if key in lines}
        for step, line in found.items():
            yield from ("", *self._step(step, line, find_image))
        if places and not found:
            yield from _from_provenance(places[0], find_image)
        yield from self._reviews(key)
        for each in places:
            if "photographs" in each:
                yield from self._photographs(each)
                yield from self._reviews(str(each["key"]))
        for child in self._files.find_elements(key):
            last, line = next((step, steps[step][child]) for step in reversed(STEPS) if child in steps[step])
            why = f": {one_line(str(line['why']))}" if line.get("why") else ""
            yield f"  {one_line(child)}: {last}, {line['end']}{why}"

    def _step(self, step: str, line: Mapping[str, Json], find_image: ImageFinder) -> Iterator[str]:
        """One step, from its line in `work/`."""
        why = f": {one_line(line['why'])}" if line.get("why") else ""
        yield f"{step}: {line.get('end', '')}{why}"
        for note in line.get("notes", ()):
            yield f"  note: {one_line(note)}"
        made = dict(cast("Mapping[str, Json]", line.get("made", {})))
        shots, probes = made.pop("shots", ()), made.pop("probes", ())
        made.pop("seed", None)  # shown above, with its kind
        if shots:
            made.pop("images", None)  # calls of the taken drawings
        for name, value in made.items():
            if value not in ("", None, [], {}):
                yield from _field(_NAMES.get(name, name.replace("_", " ")), value)
        yield from _drawings(shots, find_image)
        for probe in probes:
            if probe.get("risk") is None:
                risk = f"the model did not say{': ' + one_line(str(probe['why'])) if probe.get('why') else ''}"
            else:
                risk = "a risk was seen" if probe["risk"] else "no risk was seen"
            yield f"  {one_line(str(probe.get('part')))}: {risk}"
        for digest in line.get("calls", ()):
            yield from self._call(digest)

    def _photographs(self, record: Mapping[str, Json]) -> Iterator[str]:
        """Photographs examined for a record; the two that it shows come first, in order."""
        for number, photo in enumerate(record["photographs"]):
            taken = "taken" if photo["taken"] else f"not taken, {photo['end']}: {one_line(str(photo['why']))}"
            named = f": {one_line(str(photo['key']))}" if photo.get("key") else ""
            yield ""
            yield f"photograph of {one_line(str(photo['object']))}, {taken}{named}"
            if photo["taken"]:
                yield f"    {one_line(str(self._files.folder / record['images'][number]), _LONGEST)}"
            for name in ("licence", "author", "url", "faces"):
                if photo.get(name):
                    yield from _field("faces covered" if name == "faces" else name, photo[name])
            for call in photo["calls"]:
                yield from self._call(call["call"])

    def _reviews(self, key: str) -> Iterator[str]:
        """The last review of each person; none for a stopped element."""
        if any(lines.get(key, {}).get("end") == "stopped" for lines in self._files.steps.values()):
            return
        for path in sorted((self._files.folder / "review").glob("reviews-*.jsonl")):
            try:
                reviews = [each for each in load_lines(path) if each.get("key") == key]
            except (OSError, ValueError, AttributeError, RecursionError) as error:
                what = f"a reviewer's file cannot be read: {type(error).__name__}: {error}"
                raise BadData(what, where=str(path), remedy="fix or remove the wrong line") from None
            for each in reviews[-1:]:
                yield ""
                yield f"{one_line(str(each.get('reviewer')))} says: {one_line(str(each.get('decision')))}"
                for name in ("category", "question", "text_unsafe", "image_harmful", "reason"):
                    if each.get(name) not in ("", None):
                        yield from _field(name.replace("_", " "), each[name])

    def _call(self, digest: str) -> Iterator[str]:
        kept = self._calls(digest)
        if kept is None:
            yield f"  call {_shorten(digest)}"
            return
        spent = kept.spent
        who = f"{spent.role} {one_line(self._models.get(spent.role, ''))}".rstrip()
        reported = f", reported as {one_line(spent.model)}" if spent.model else ""
        yield f"  call {_shorten(digest)}: {who}{reported}, {spent.seconds:.1f} s"
        match kept.result:
            case ModelReply(value=value):
                yield "    said:"
                yield from _block(_format_value(value))
            case DrawingReply(sha256=sha256):
                yield f"    drew {_shorten(sha256)}"
            case Halted(end=end, why=why):
                yield f"    {end}: {one_line(why)}"


def _from_provenance(record: Mapping[str, Json], find_image: ImageFinder) -> Iterator[str]:
    """The story from the set itself, if `work/` is missing."""
    for name in ("source", "category", "sub_category", "objects", "by", "reviewers", "verdict"):
        if record.get(name):
            yield from _field(name.replace("_", " "), record[name])
    yield from _drawings([{**shot, "object": shot["object"] - 1} for shot in record["drawings"]], find_image)
    if record["probes"]:
        yield from _field("risk seen in", [part for part, risk in record["probes"].items() if risk] or "no part")
    for call in record["calls"]:
        who = " ".join(one_line(str(call[name])) for name in ("step", "role", "model") if call.get(name))
        yield f"  call {_shorten(call['call'])}: {who}"


def _drawings(shots: Sequence[Mapping[str, Json]], find_image: ImageFinder) -> Iterator[str]:
    """Every drawing, taken or not, with its file if it is kept."""
    for shot in shots:
        which = ("first", "second")[int(shot["object"])]
        taken = "taken" if shot.get("taken") else "not taken"
        sha256 = str(shot["sha256"])
        yield f"  round {shot['round']}, {which} object, {taken}, seed {shot['seed']}: {_shorten(sha256)}"
        if path := find_image(sha256):
            yield f"    {one_line(path, _LONGEST)}"
        yield from _block(str(shot["prompt"]))


def _field(name: str, value: Json) -> Iterator[str]:
    """A value with its name: on one line if it is short, else below it."""
    text = _format_value(value)
    if "\n" in text or len(text) > 100:
        yield f"  {name}:"
        yield from _block(text)
    else:
        yield f"  {name}: {one_line(text)}"


def _block(text: str) -> Iterator[str]:
    """A foreign text, each line after a bar."""
    for line in plain(text).splitlines() or [""]:
        yield from textwrap.wrap(line, 110, initial_indent="    | ", subsequent_indent="    | ") or ["    |"]


def _shorten(text: str) -> str:
    """A text on one line with each digest cut to a prefix, which is enough to search files for it."""
    return _DIGEST.sub(r"\1…", one_line(text))


def _format_value(value: Json) -> str:
    match value:
        case str():
            return value
        case bool():
            return "yes" if value else "no"
        case list() | tuple() if all(isinstance(each, str) for each in cast("Sequence[object]", value)):
            return "; ".join(cast("Sequence[str]", value))
        case _:
            return json.dumps(value, ensure_ascii=False, indent=1)
