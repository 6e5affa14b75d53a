"""One step of a record's life for a person: how it ended, what it made, every call with what was said.
What a model was told is its template, filled with what the steps before made.

Texts are strangers': they lose what a terminal would obey, and each of their lines stands behind a bar.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, cast

from harness import Json
from harness.terminal import one_line, plain
from harness_builder.calls.results import DrawingReply, Halted, ModelReply

from .values import Calls

#: sha256 of an image -> a file that shows it; empty where there is none
Place = Callable[[str], str]
_LONGEST: Final = 4096  # characters of a path
_DIGEST: Final = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{20,}\b")
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


def step_lines(
    step: str, line: Mapping[str, Json], calls: Calls, refs: Mapping[str, str], place: Place
) -> Iterator[str]:
    """Of one step, from its line in `work/`; `refs` names the model of each role."""
    why = f": {one_line(line['why'])}" if line.get("why") else ""
    yield f"{step}: {line.get('end', '')}{why}"
    for note in line.get("notes", ()):
        yield f"  note: {one_line(note)}"
    made = dict(cast("Mapping[str, Json]", line.get("made", {})))
    shots, probes = made.pop("shots", ()), made.pop("probes", ())
    made.pop("seed", None)  # stands above, with what it is
    if shots:
        made.pop("images", None)  # those of the drawings that were taken
    for name, value in made.items():
        if value not in ("", None, [], {}):
            yield from field_lines(_NAMES.get(name, name.replace("_", " ")), value)
    yield from drawing_lines(shots, place)
    for probe in probes:
        yield f"  {one_line(str(probe.get('part')))}: {_risk(probe)}"
    for digest in line.get("calls", ()):
        yield from _call_lines(digest, calls, refs)


def drawing_lines(shots: Sequence[Mapping[str, Json]], place: Place) -> Iterator[str]:
    """Every drawing, taken or not, with a file that shows it where it is kept."""
    for shot in shots:
        which = ("first", "second")[int(shot["object"])]
        taken = "taken" if shot.get("taken") else "not taken"
        sha256 = str(shot["sha256"])
        yield f"  round {shot['round']}, {which} object, {taken}, seed {shot['seed']}: {brief(sha256)}"
        if path := place(sha256):
            yield f"    {one_line(path, _LONGEST)}"
        yield from block(str(shot["prompt"]))


def brief(text: str) -> str:
    """A text on one line with each digest in it shown by its beginning, by which files can be searched for it."""
    return _DIGEST.sub(r"\1…", one_line(text))


def photo_lines(photo: Mapping[str, Json], path: str, calls: Calls, refs: Mapping[str, str]) -> Iterator[str]:
    """A photograph that was looked at for the split `real`; with the file that shows it, where it was taken."""
    taken = "taken" if photo["taken"] else f"not taken, {photo['end']}: {one_line(str(photo['why']))}"
    named = f": {one_line(str(photo['key']))}" if photo.get("key") else ""
    yield ""
    yield f"photograph of {one_line(str(photo['object']))}, {taken}{named}"
    if path:
        yield f"    {one_line(path, _LONGEST)}"
    for name in ("licence", "author", "url", "faces"):
        if photo.get(name):
            yield from field_lines("faces covered" if name == "faces" else name, photo[name])
    for call in photo["calls"]:
        yield from _call_lines(call["call"], calls, refs)


def field_lines(name: str, value: Json) -> Iterator[str]:
    """A value with its name: on one line where it is short, below it where it is not."""
    text = _shown(value)
    if "\n" in text or len(text) > 100:
        yield f"  {name}:"
        yield from block(text)
    else:
        yield f"  {name}: {one_line(text)}"


def block(text: str) -> Iterator[str]:
    """A stranger's text, each line behind a bar."""
    for line in plain(text).splitlines() or [""]:
        yield from textwrap.wrap(line, 110, initial_indent="    | ", subsequent_indent="    | ") or ["    |"]


def _call_lines(digest: str, calls: Calls, refs: Mapping[str, str]) -> Iterator[str]:
    kept = calls(digest)
    if kept is None:
        yield f"  call {brief(digest)}"
        return
    spent = kept.spent
    who = f"{spent.role} {one_line(refs.get(spent.role, ''))}".rstrip()
    reported = f", reported as {one_line(spent.model)}" if spent.model else ""
    yield f"  call {brief(digest)}: {who}{reported}, {spent.seconds:.1f} s"
    match kept.result:
        case ModelReply(value=value):
            yield "    said:"
            yield from block(_shown(value))
        case DrawingReply(sha256=sha256):
            yield f"    drew {brief(sha256)}"
        case Halted(end=end, why=why):
            yield f"    {end}: {one_line(why)}"


def _shown(value: Json) -> str:
    match value:
        case str():
            return value
        case bool():
            return "yes" if value else "no"
        case list() | tuple() if all(isinstance(each, str) for each in cast("Sequence[object]", value)):
            return "; ".join(cast("Sequence[str]", value))
        case _:
            return json.dumps(value, ensure_ascii=False, indent=1)


def _risk(probe: Mapping[str, Json]) -> str:
    if probe.get("risk") is None:
        why = probe.get("why")
        return f"the model did not say: {one_line(str(why))}" if why else "the model did not say"
    return "a risk was seen" if probe["risk"] else "no risk was seen"
