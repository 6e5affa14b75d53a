"""What was measured as JSON: `harness agree RUN --json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.runs.answers import Answer
from harness.runs.seen import Sighting
from harness.stats.agreement import Agreement
from harness.types import Json

from .measuring import Measured, Pair, Swap

SCHEMA = "harness.agreement/1"
_DIGITS = 10


def as_json(run: str, model: str, splits: Sequence[Measured], texts: Mapping[str, Answer], show: int | None) -> Json:
    """All splits.

    Args:
        run: the folder.
        model: that was run.
        splits: measured.
        texts: item -> what was asked and answered, for those that may be shown.
        show: most differing items of a split; None for all.
    """
    return {
        "schema": SCHEMA,
        "run": run,
        "model": model,
        "splits": {each.seen.title: _split(each, texts, show) for each in splits},
    }


def _split(each: Measured, texts: Mapping[str, Answer], show: int | None) -> dict[str, Json]:
    return {
        "records": len(each.seen.sightings),
        "answered": each.answered,
        "labels": list(each.labels),
        "judges": {judge: dict(states) for judge, states in each.states.items()},
        "pairs": [_pair(pair, each.answered) for pair in each.pairs],
        "together": {"fleiss_kappa": _agreement(each.fleiss), "krippendorff_alpha": _agreement(each.alpha)},
        "common": each.common,
        "main_metric": None if each.swap is None else _swap(each.swap),
        "fault": each.fault or None,
        "differing": len(each.differing),
        "disagreements": [_differing(sighting, texts) for sighting in each.differing[:show]],
    }


def _pair(pair: Pair, answered: int) -> dict[str, Json]:
    return {
        "judges": [pair.left, pair.right],
        "n": pair.same.n,
        "not_common": answered - pair.same.n,
        "confusion": [list(row) for row in pair.table],
        "agreement": _agreement(pair.same, unit=100),
        "kappa": _agreement(pair.kappa),
    }


def _agreement(found: Agreement, unit: int = 1) -> dict[str, Json]:
    """One figure with its interval, both null where there is none, and why."""
    return {
        "n": found.n,
        "value": None if found.value is None else round(found.value * unit, _DIGITS),
        "ci95": None if found.ci95 is None else [round(end * unit, _DIGITS) for end in found.ci95],
        "why": None if found.why is None else found.why.value,
    }


def _swap(swap: Swap) -> dict[str, Json]:
    return {
        "name": swap.name,
        "unit": swap.unit,
        "better": swap.better,
        "judges": {
            judge: {
                "value": figures["value"],
                "ci95": figures["ci95"],
                "coverage": swap.coverage[judge],
                "common": swap.common[judge],
            }
            for judge, figures in swap.whole.items()
        },
        "range": None if swap.ends is None else list(swap.ends),
    }


def _differing(sighting: Sighting, texts: Mapping[str, Answer]) -> dict[str, Json]:
    found: dict[str, Any] = {
        "item": sighting.record.item,
        "category": sighting.record.category,
        "labels": sighting.labels,
    }
    answer = texts.get(sighting.record.item)
    if answer is not None:
        found |= {"question": answer.question, "answer": answer.text, "reasons": dict(sighting.reasons)}
    return found
