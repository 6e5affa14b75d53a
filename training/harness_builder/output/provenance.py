"""`provenance.jsonl`: of each record of the set where it comes from, every call and every drawing on its way.

It holds no text of a source, and nothing of elements that were dropped or stopped. A record of photographs tells its
own way; that of its question is its twin's, which it names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

from harness import Json
from harness.keys import canonical
from harness.store.journal import replace
from harness_builder.calls.costs import model_of
from harness_builder.plan import Plan
from harness_builder.real.values import RealRecord, Untaken, Used
from harness_builder.records import BuiltRecord
from harness_builder.values import DrawnImage

from .layout import PROVENANCE
from .values import Calls, Entry, Written

#: digest of a call -> what is said of it
Told = Callable[[str], dict[str, Json]]


def write_provenance(written: Written, plan: Plan, calls: Calls) -> Path:
    """Write a line for each record, in the order of the files.

    Args:
        written: the set.
        plan: that names the model of each role.
        calls: what is kept of a call; one of which nothing is kept is named by its digest alone.
    """
    path = written.folder / PROVENANCE
    replace(path, (canonical(line(entry, plan, calls)) + "\n" for entry in written.entries))
    return path


def line(entry: Entry, plan: Plan, calls: Calls) -> dict[str, Json]:
    """What is said of one record."""
    made, told = entry.made, partial(_call, plan=plan, calls=calls)
    return {
        "file": entry.file,
        "id": entry.number,
        "key": entry.key,
        "source": made.source,
        "seed": made.element.seed,
        "category": entry.category,
        "sub_category": made.sorted.sub_category,
        "objects": list(made.element.objects),
        "text_unsafe": made.sorted.text_unsafe,
        "reviewers": list(entry.reviewers),
        "images": list(entry.images),
    } | (_photographed(entry.real, told) if entry.real else _drawn(made, told))


def _drawn(made: BuiltRecord, told: Told) -> dict[str, Json]:
    return {
        "image_harmful": made.sorted.image_harmful,
        "by": made.sorted.by,
        "ends": dict.fromkeys(_steps(made), "kept"),
        "calls": [told(digest) for digest in made.calls],
        "accepted": made.pair.accepted,
        "drawings": [_drawing(shot) for shot in made.pair.shots],
        "probes": {probed.part: probed.risk for probed in made.probed},
        "verdict": made.label.verdict if made.label else None,
    }


def _steps(made: BuiltRecord) -> Iterator[str]:
    """It came through."""
    yield from ("elements", "write", "draw", "sort")
    if made.probed:
        yield "probe"
    if made.label:
        yield "label"


def _call(digest: str, plan: Plan, calls: Calls) -> dict[str, Json]:
    kept = calls(digest)
    if kept is None:
        return {"call": digest}
    spent = kept.spent
    told = {"call": digest, "step": spent.step, "role": spent.role, "model": model_of(plan, spent.role).ref}
    return told | ({"reported": spent.model} if spent.model else {})


def _drawing(shot: DrawnImage) -> dict[str, Json]:
    return {
        "sha256": shot.sha256,
        "object": shot.object + 1,
        "prompt": shot.prompt,
        "seed": shot.seed,
        "round": shot.round,
        "taken": shot.taken,
    }


def _photographed(real: RealRecord, told: Told) -> dict[str, Json]:
    """All photographs that were looked at for it, taken or not."""
    photographs: list[Json] = [_photograph(each, told) for each in real.photos]
    photographs += [_photograph(each, told) for each in real.untaken]
    return {"of": real.of, "by": "people" if real.reviewers else "model", "photographs": photographs}


def _photograph(photo: Used | Untaken, told: Told) -> dict[str, Json]:
    """Of one that a hard stop ended nothing but the kind."""
    said = asdict(photo) | {"taken": isinstance(photo, Used), "calls": [told(digest) for digest in photo.calls]}
    said.pop("caption", None)
    if not photo.sha256:
        said.pop("faces")
    return {name: value for name, value in said.items() if value != ""}
