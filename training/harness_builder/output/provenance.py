"""`provenance.jsonl`: of each record of the set where it comes from, every call and every drawing on its way.

It holds no text of a source, and nothing of what was dropped or stopped.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness import Json
from harness.keys import canonical
from harness.store.journal import replace
from harness_builder.calls.ledger import wanted
from harness_builder.config.plan import Plan
from harness_builder.real.values import Used
from harness_builder.values import Shot

from .layout import PROVENANCE
from .values import Calls, Entry, Written


def write_provenance(written: Written, plan: Plan, calls: Calls) -> Path:
    """Write a line for each record, in the order of the files.

    Args:
        written: the set.
        plan: that names the model of each role.
        calls: what is kept of a call; one of which nothing is kept is named by its digest alone.
    """
    path = written.folder / PROVENANCE
    replace(path, "".join(canonical(line(entry, plan, calls)) + "\n" for entry in written.entries))
    return path


def line(entry: Entry, plan: Plan, calls: Calls) -> dict[str, Json]:
    """What is said of one record."""
    made = entry.made
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
        "image_harmful": made.sorted.image_harmful,
        "by": made.sorted.by,
        "reviewers": list(made.sorted.reviewers),
        "ends": dict.fromkeys(_steps(entry), "kept"),
        "calls": [_call(digest, plan, calls) for digest in made.calls],
        "images": list(entry.images),
        "accepted": made.pair.accepted,
        "drawings": [_drawing(shot) for shot in made.pair.shots],
        "probes": {probed.part: probed.risk for probed in made.probed},
        "verdict": made.label.verdict if made.label else None,
    } | _photographs(entry)


def _steps(entry: Entry) -> Iterator[str]:
    """It came through."""
    yield from ("elements", "write", "draw", "sort")
    if entry.made.probed:
        yield "probe"
    if entry.made.label:
        yield "label"


def _call(digest: str, plan: Plan, calls: Calls) -> dict[str, Json]:
    kept = calls(digest)
    if kept is None:
        return {"call": digest}
    spent = kept.spent
    told = {"call": digest, "step": spent.step, "role": spent.role, "model": wanted(plan, spent.role).ref}
    return told | ({"reported": spent.model} if spent.model else {})


def _drawing(shot: Shot) -> dict[str, Json]:
    return {
        "sha256": shot.sha256,
        "object": shot.object + 1,
        "prompt": shot.prompt,
        "seed": shot.seed,
        "round": shot.round,
        "taken": shot.taken,
    }


def _photographs(entry: Entry) -> dict[str, Json]:
    """Of a photographed record; calls and drawings beside them are those of its twin."""
    if entry.real is None:
        return {}
    return {"of": entry.real.of, "photographs": [_photograph(each) for each in entry.real.photos]}


def _photograph(photo: Used) -> dict[str, Json]:
    told = {
        "key": photo.key,
        "object": photo.object,
        "sha256": photo.sha256,
        "faces": photo.faces,
        "score": photo.score,
        "licence": photo.licence,
        "url": photo.url,
        "author": photo.author,
        "calls": list(photo.calls),
    }
    return {name: value for name, value in told.items() if value != ""}
