"""The life of one record, from the seed to its place in the set, for a person to read."""

from __future__ import annotations

import math
import re
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness import BadData, HarnessError, Json, MissingData, UnknownName
from harness.settings import nearest
from harness.store.journal import lines as lines_of
from harness.terminal import one_line
from harness_builder.calls.images import FOLDER as IMAGES
from harness_builder.calls.images import SUFFIXES
from harness_builder.calls.results import StoredCall
from harness_builder.calls.store import NAME as BOOK
from harness_builder.calls.store import CallStore
from harness_builder.records import read_step_log
from harness_builder.seeds import ids
from harness_builder.values import STEPS, Step

from .layout import LISTINGS, PROVENANCE
from .manifest import roles
from .telling import Place, brief, drawing_lines, field_lines, photo_lines, step_lines
from .values import Calls

_PLACE: Final = re.compile(rf"({'|'.join(LISTINGS)})/(\d+)")


def story(folder: Path, key: str, calls: Calls | None = None) -> str:
    """Everything that is kept of one record, or of an element that became none.

    Args:
        folder: of the build.
        key: of the element; or a place in the set, as `easy/3`; or of a seed, for what became of its elements.
        calls: what is kept of a call; None for the build's own book, where no build is under way.

    Returns:
        Lines that a terminal shows and does not obey. The seed is named by its key: its text is not kept.

    Raises:
        UnknownName: there is no such record; the remedy is the nearest.
        MissingData: nothing was built there; or a place is asked for, and the set is not finished.
        BadData: a file of the build cannot be read.
    """
    with _book(folder, calls) as found:
        return "\n".join(_Folder.read(folder).told(key, found))


@contextmanager
def _book(folder: Path, calls: Calls | None) -> Generator[Calls]:
    """What is kept of calls; nothing where a build under way holds the book."""
    if calls is not None:
        yield calls
        return
    work = folder / "work"
    found: Calls = _nothing
    with ExitStack() as stack:
        if (work / BOOK).exists():
            with suppress(HarnessError):
                found = stack.enter_context(CallStore(work)).find
        yield found


def _nothing(_: str) -> StoredCall | None:
    """Calls are named by their digest alone."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Folder:
    """What a build's folder says of all records.

    Attributes:
        folder: itself.
        lines: step -> key -> its line.
        final: of the set's records, in order.
    """

    folder: Path
    lines: Mapping[Step, Mapping[str, Mapping[str, Json]]]
    final: Sequence[Mapping[str, Json]]

    @classmethod
    def read(cls, folder: Path) -> _Folder:
        try:
            lines: dict[Step, Mapping[str, Mapping[str, Json]]] = {
                step: read_step_log(folder / "work", step) for step in STEPS
            }
            final = tuple(lines_of(folder / PROVENANCE))
        except (OSError, ValueError, KeyError, TypeError) as error:
            what = f"a file of the build cannot be read: {type(error).__name__}: {error}"
            remedy = "build the set again: finished calls are not repeated"
            raise BadData(what, where=str(folder), remedy=remedy) from None
        if not final and not any(lines.values()):
            remedy = "give the DIR of harness build --out DIR"
            raise MissingData("nothing was built here", where=str(folder), remedy=remedy)
        return cls(folder=folder, lines=lines, final=final)

    def told(self, key: str, calls: Calls) -> Iterator[str]:
        wanted, refs = self._key(key), roles(self.folder)
        wanted = next((str(each["of"]) for each in self.final if each["key"] == wanted and "of" in each), wanted)
        places = [each for each in self.final if wanted in (each["key"], each.get("of"))]
        place = self._pictures(places)
        yield f"{one_line(wanted)}"
        yield from (_place(each) for each in places)
        children = self._elements(wanted)
        found = {step: lines[wanted] for step, lines in self.lines.items() if wanted in lines}
        seed = wanted.rpartition("#")[0]
        if seed:
            what = self.lines["elements"].get(seed, {}).get("made", {}).get("seed") or "text or image"
            yield f"seed: {one_line(seed)} (its {one_line(str(what))} is with the source, not in this folder)"
        if seed in self.lines["elements"]:
            yield from ("", *step_lines("the seed", self.lines["elements"][seed], calls, refs, place))
        for step, line in found.items():
            yield from ("", *step_lines(step, line, calls, refs, place))
        if places and not found:
            yield from _from_provenance(places[0], place)
        yield from self._reviewed(wanted)
        for each in places:
            yield from self._photographs(each, calls, refs)
        for child in children:
            yield f"  {one_line(child)}: {self._ending(child)}"

    def _elements(self, seed: str) -> list[str]:
        """Those of a seed; of a walk that listed more of them their lines may still be there."""
        number = self.lines["elements"].get(seed, {}).get("made", {}).get("elements", math.inf)
        every = ((each, *each.rpartition("#")) for each in self.lines["elements"])
        return [key for key, of, _, place in every if of == seed and place.isdecimal() and int(place) < number]

    def _key(self, key: str) -> str:
        """The key of what is asked for, by itself or by its place in the set."""
        known = dict.fromkeys(str(each["key"]) for each in self.final)
        known |= dict.fromkeys(each for lines in self.lines.values() for each in lines)
        if key in known:
            return key
        if spelled := [each for each in known if ids.read(each) == key]:
            return spelled[0]
        if place := _PLACE.fullmatch(key):
            file = LISTINGS[place[1]].file  # type: ignore[index]
            for each in self.final:
                if each["file"] == file and each["id"] == int(place[2]):
                    return str(each["key"])
            if not self.final:
                what = f"the set is not finished yet, and nothing has the place {key} in it"
                remedy = "harness build mis --config FILE --out DIR  goes on; until then give a key, as work/ has it"
                raise MissingData(what, where=str(self.folder), remedy=remedy)
        raise UnknownName(f"no record {one_line(key)!r} is here", where=str(self.folder), remedy=nearest(key, known))

    def _pictures(self, places: Iterable[Mapping[str, Json]]) -> Place:
        """Finds drawings: in the set by their place, else where the build keeps them."""
        drawn = [each for each in places if "of" not in each]
        taken = {shot["sha256"]: each["images"][shot["object"] - 1] for each in drawn for shot in _taken(each)}

        def place(sha256: str) -> str:
            kept = self.folder / "work" / IMAGES / sha256[:2]
            files = [self.folder / taken[sha256]] if sha256 in taken else []
            files += [kept / f"{sha256}{suffix}" for suffix in SUFFIXES.values()]
            return next((str(file) for file in files if file.is_file()), "")

        return place

    def _photographs(self, said: Mapping[str, Json], calls: Calls, refs: Mapping[str, str]) -> Iterator[str]:
        """Those that were looked at for a record; the two that it shows come first, in order."""
        files = [str(self.folder / path) for path in said["images"]]
        for number, photo in enumerate(said.get("photographs", ())):
            yield from photo_lines(photo, files[number] if photo["taken"] else "", calls, refs)
        if "photographs" in said:
            yield from self._reviewed(str(said["key"]))

    def _ending(self, key: str) -> str:
        """Where an element's way ended."""
        step, line = next((step, self.lines[step][key]) for step in reversed(STEPS) if key in self.lines[step])
        why = f": {one_line(str(line['why']))}" if line.get("why") else ""
        return f"{step}, {line['end']}{why}"

    def _reviewed(self, key: str) -> Iterator[str]:
        """What each person said of it; of what was stopped nothing is said."""
        if any(lines.get(key, {}).get("end") == "stopped" for lines in self.lines.values()):
            return
        for path in sorted((self.folder / "review").glob("reviews-*.jsonl")):
            said = [each for each in lines_of(path) if each.get("key") == key]
            for each in said[-1:]:
                yield ""
                yield f"{one_line(str(each.get('reviewer')))} says: {one_line(str(each.get('decision')))}"
                for name in ("category", "question", "text_unsafe", "image_harmful", "reason"):
                    if each.get(name) not in ("", None):
                        yield from field_lines(name.replace("_", " "), each[name])


def _place(said: Mapping[str, Json]) -> str:
    first, second = said["images"]
    return f"{said['file']}, record {said['id']}: {one_line(first)}, {one_line(second)}"


def _taken(said: Mapping[str, Json]) -> Iterator[Mapping[str, Json]]:
    return (shot for shot in said["drawings"] if shot["taken"])


def _from_provenance(said: Mapping[str, Json], place: Place) -> Iterator[str]:
    """Where `work/` is not at hand: what the set itself says."""
    for name in ("source", "category", "sub_category", "objects", "by", "reviewers", "verdict"):
        if said.get(name):
            yield from field_lines(name.replace("_", " "), said[name])
    yield from drawing_lines([{**shot, "object": shot["object"] - 1} for shot in said["drawings"]], place)
    if said["probes"]:
        yield from field_lines("risk seen in", [part for part, risk in said["probes"].items() if risk] or "no part")
    for call in said["calls"]:
        who = " ".join(one_line(str(call[name])) for name in ("step", "role", "model") if call.get(name))
        yield f"  call {brief(call['call'])}: {who}"
