"""`provenance.jsonl`: of each record of the set where it comes from, every call and every drawing on its way.

It holds no text of a source, and nothing of elements that were dropped or stopped. A record of photographs tells its
own way; that of its question is its twin's, which it names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from harness import Json
from harness.files import atomic_write
from harness.keys import canonical
from harness_builder.calls.costs import model_of
from harness_builder.calls.results import StoredCall
from harness_builder.photos.collection import RealRecord, RejectedPhoto, UsedPhoto
from harness_builder.plan import Plan
from harness_builder.records import BuiltRecord

from .dataset import SetRecord, WrittenSet
from .folder import PROVENANCE

#: digest of a call -> what is kept of it, as `CallStore.find` gives it; None for nothing
Calls = Callable[[str], StoredCall | None]


def write_provenance(written: WrittenSet, plan: Plan, calls: Calls) -> Path:
    """Write a line for each record, in the order of the files.

    Args:
        written: the records of the set.
        plan: that names the model of each role.
        calls: what is kept of a call; one of which nothing is kept is named by its digest alone.
    """

    def call(digest: str) -> dict[str, Json]:
        kept = calls(digest)
        if kept is None:
            return {"call": digest}
        spent = kept.spent
        value = {"call": digest, "step": spent.step, "role": spent.role, "model": model_of(plan, spent.role).ref}
        return value | ({"reported": spent.model} if spent.model else {})

    path = written.folder / PROVENANCE
    atomic_write(path, (canonical(_record_json(entry, call)) + "\n" for entry in written.entries))
    return path


def _record_json(entry: SetRecord, call: Callable[[str], dict[str, Json]]) -> dict[str, Json]:
    made = entry.made
    value: dict[str, Json] = {
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
    }
    return value | (_photographed_json(entry.real, call) if entry.real else _drawn_json(made, call))


def _drawn_json(made: BuiltRecord, call: Callable[[str], dict[str, Json]]) -> dict[str, Json]:
    steps = [
        "elements",
        "write",
        "draw",
        "sort",
        *(["probe"] if made.probed else []),
        *(["label"] if made.label else []),
    ]
    return {
        "image_harmful": made.sorted.image_harmful,
        "by": made.sorted.by,
        "ends": dict.fromkeys(steps, "kept"),
        "calls": [call(digest) for digest in made.calls],
        "accepted": made.pair.accepted,
        "drawings": [
            {
                "sha256": shot.sha256,
                "object": shot.object + 1,
                "prompt": shot.prompt,
                "seed": shot.seed,
                "round": shot.round,
                "taken": shot.taken,
            }
            for shot in made.pair.shots
        ],
        "probes": {probed.part: probed.risk for probed in made.probed},
        "verdict": made.label.verdict if made.label else None,
    }


def _photographed_json(real: RealRecord, call: Callable[[str], dict[str, Json]]) -> dict[str, Json]:
    """All photographs that were looked at for the record, taken or not."""
    photographs: list[Json] = []
    looked_at: tuple[UsedPhoto | RejectedPhoto, ...] = (*real.photos, *real.untaken)
    for photo in looked_at:
        value: dict[str, Json] = asdict(photo)
        value |= {"taken": isinstance(photo, UsedPhoto), "calls": [call(digest) for digest in photo.calls]}
        value.pop("caption", None)
        if not photo.sha256:  # of one that a hard stop ended nothing but the kind is told
            value.pop("faces")
        photographs.append({name: each for name, each in value.items() if each != ""})
    return {"of": real.of, "by": "people" if real.reviewers else "model", "photographs": photographs}
