"""A comparison as JSON, in full precision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from harness.stats.tally import number
from harness.types import Json

if TYPE_CHECKING:
    from harness.runs.comparing.values import Change, Compared, Comparison, Flip, Part

SCHEMA = "harness.comparison/1"


def as_json(found: Comparison, show: int | None) -> dict[str, Json]:
    """The whole of it; `show` is the most flips of each way that are listed, None for all."""
    return {
        "schema": SCHEMA,
        "baseline": found.baseline.letter,
        "runs": [asdict(side) for side in found.runs],
        "by": found.by or None,
        "family": found.family,
        "mismatches": [asdict(each) for each in found.mismatches],
        "differing": [asdict(each) for each in found.differing],
        "left_out": list(found.left_out),
        "unscored": dict(found.unscored),
        "splits": [_split(each, show) for each in found.splits],
    }


def _split(each: Compared, show: int | None) -> dict[str, Json]:
    return {
        "run": each.run,
        "task": each.task,
        "split": each.split,
        "parts": list(each.parts),
        "judge": {"baseline": each.judge_baseline or None, "run": each.judge_other or None},
        "drawn": {"baseline": _drawn(each.part_baseline), "run": _drawn(each.part_other)},
        "toy": each.toy,
        "epochs": {"baseline": each.epochs[0], "run": each.epochs[1]},
        "records": asdict(each.counts),
        "metrics": {name: change_json(change) for name, change in each.changes.items()},
        "by": {group: change_json(change) for group, change in each.by.items()},
        "flips": {
            "only_baseline": _flips(each.flips.only_baseline, show),
            "only_run": _flips(each.flips.only_other, show),
        },
    }


def _drawn(part: Part | None) -> bool | None:
    return None if part is None else part.drawn


def change_json(change: Change) -> dict[str, Json]:
    """One metric."""
    found = change.paired
    return {
        "metric": found.metric,
        "unit": found.unit,
        "better": found.better,
        "main": change.main,
        "pairs": found.pairs,
        "unresolved": found.unresolved,
        "clusters": found.clusters,
        "denominators": {"baseline": number(found.denominators[1]), "run": number(found.denominators[0])},
        "baseline": change.baseline,
        "run": change.value,
        "difference": found.difference,
        **({"why": found.why} if found.why else {}),
        **({"estimator": _describe_estimator(*found.estimated)} if found.estimated else {}),
        "ci95": _listed(found.ci95),
        "bounds": _listed(found.bounds),
        "ci95_worst": _listed(found.ci95_worst),
        "p": found.p,
        "test": found.test,
        "p_holm": change.p_holm,
        "detectable": found.detectable,
        "finding": change.finding.value if change.main else None,
    }


def _describe_estimator(judged: int, of: int) -> dict[str, Json]:
    return {"name": "post-stratified", "judged": judged, "of": of}


def _flips(flips: Sequence[Flip], show: int | None) -> dict[str, Json]:
    return {
        "count": len(flips),
        "items": [
            {
                "item": flip.item,
                "item_in_run": flip.other,
                "category": flip.category,
                "baseline": flip.baseline_label,
                "run": flip.other_label,
            }
            for flip in flips[:show]
        ],
    }


def _listed(pair: tuple[float, float] | None) -> Json:
    return None if pair is None else list(pair)
