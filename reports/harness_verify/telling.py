"""What verifying a run gave, in words and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from harness.runs.differing import NOTHING, Difference
from harness.runs.verifying import Checked, Verified
from harness.terminal import one_line
from harness.types import Json

_SHOWN: Final = 10  #: differences of one part that are told; JSON has them all
_WORDS: Final = {"same": "same", "differs": "DIFFERS", "unverifiable": "not verified"}


def told(run: Verified) -> Iterator[str]:
    """The lines a person reads."""
    yield f"{one_line(run.place)}  {one_line(run.model)}".rstrip() + f": {_WORDS[run.state]}"
    yield from (f"  {one_line(text)}" for text in (run.why, *run.faults) if text)
    parts = [part for part in run.parts if part.records is not None or part.differences]
    width = max((len(one_line(part.title)) for part in parts), default=0)
    for part in parts:
        yield from _part(part, width, made=not run.why)
    yield from (f"  note: {one_line(note)}" for note in run.notes)


def _part(part: Checked, width: int, *, made: bool) -> Iterator[str]:
    state = _WORDS[part.state] if made or part.state != "same" else "adds up"
    records = f"  {part.records} records" if part.records is not None else ""
    yield f"  {one_line(part.title).ljust(width)}  {state}{records}{f'  {one_line(part.why)}' if part.why else ''}"
    yield from (f"    {one_line(fault)}" for fault in part.faults)
    for each in part.differences[:_SHOWN]:
        path = ".".join(map(one_line, each.path)) or "all of it"
        yield f"    {path}: {_brief(each.stored)} stored, {_brief(each.found)} made anew"
    if len(part.differences) > _SHOWN:
        yield f"    and {len(part.differences) - _SHOWN} more: --json has all"


def _brief(value: object) -> str:
    text = repr(value) if value is NOTHING else json.dumps(value, ensure_ascii=False, default=str)
    return one_line(text, 60)


def as_dict(run: Verified) -> dict[str, Json]:
    """One run as JSON."""
    return {
        "run": run.place,
        "model": run.model,
        "state": run.state,
        "why": run.why,
        "faults": list(run.faults),
        "notes": list(run.notes),
        "parts": [_part_as_dict(part) for part in run.parts],
    }


def _part_as_dict(part: Checked) -> dict[str, Json]:
    return {
        "part": part.title,
        "state": part.state,
        "records": part.records,
        "why": part.why,
        "faults": list(part.faults),
        "differences": [_difference(each) for each in part.differences],
    }


def _difference(each: Difference) -> dict[str, Json]:
    """A side that has no such value is missing."""
    sides = {"stored": each.stored, "found": each.found}
    return {"path": list(each.path), **{side: value for side, value in sides.items() if value is not NOTHING}}
