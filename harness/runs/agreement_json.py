"""The agreement of judges as JSON: what `harness agree --json` prints and the viewer's page reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from harness.runs.people import PeopleAgreement, ReferenceAccuracy, list_figures
from harness.stats.agreement import Agreement
from harness.store.reader import Answer
from harness.types import Json

if TYPE_CHECKING:
    from harness.runs.agreement import Disagreement, SplitAgreement

SCHEMA: Final = "harness.agreement/1"
Texts = Mapping[tuple[str, str], Answer]  #: run folder and item -> question and answer
_DIGITS: Final = 10


def agreement_as_json(
    runs: Mapping[str, str], splits: Sequence[SplitAgreement], texts: Texts | None = None, show: int | None = None
) -> dict[str, Json]:
    """All splits of one run or several.

    Args:
        runs: run folder -> its model.
        splits: the measured splits.
        texts: of the answers that may be shown.
        show: most differing answers of each split; None for all.
    """
    listed: dict[str, Json] = {}
    for each in splits:
        parts: dict[str, Json] = {}
        for part, alone in zip(each.parts, each.alone or (None,) * len(each.parts), strict=True):
            parts[part.run] = {"model": part.model, "judges": list(part.seen.judges)}
            if alone is not None:
                parts[part.run]["alone"] = _figures_as_json(alone)
        listed[each.title] = {
            **_figures_as_json(each),
            "runs": parts,
            "differing": len(each.differing),
            "disagreements": [_disagreement_as_json(found, texts or {}) for found in each.differing[:show]],
        }
    only = next(iter(runs.items())) if len(runs) == 1 else (None, None)
    return {
        "schema": SCHEMA,
        "run": only[0],
        "model": only[1],
        "runs": [{"run": run, "model": model} for run, model in runs.items()],
        "splits": listed,
    }


def _figures_as_json(each: SplitAgreement) -> dict[str, Json]:
    pairs: list[Json] = [
        {
            "judges": [pair.left, pair.right],
            "n": pair.same.n,
            "not_common": each.answered - pair.same.n,
            "confusion": [list(row) for row in pair.table],
            "agreement": _figure_as_json(pair.same, unit=100),
            "kappa": _figure_as_json(pair.kappa),
        }
        for pair in each.pairs
    ]
    metric: dict[str, Json] | None = None
    if each.metric is not None:
        metric = {
            "name": each.metric.name,
            "unit": each.metric.unit,
            "better": each.metric.better,
            "judges": {
                judge: {
                    "value": figures["value"],
                    "ci95": figures["ci95"],
                    "coverage": each.metric.coverage[judge],
                    "common": each.metric.common[judge],
                }
                for judge, figures in each.metric.whole.items()
            },
            "range": None if each.metric.ends is None else list(each.metric.ends),
        }
    return {
        "records": each.records,
        "answered": each.answered,
        "labels": list(each.labels),
        "judges": {judge: dict(states) for judge, states in each.states.items()},
        "pairs": pairs,
        "together": {"fleiss_kappa": _figure_as_json(each.fleiss), "krippendorff_alpha": _figure_as_json(each.alpha)},
        "common": each.common,
        "main_metric": metric,
        "fault": each.fault or None,
        "people": None if each.people is None else _people_as_json(each, each.people),
    }


def _people_as_json(each: SplitAgreement, people: PeopleAgreement) -> dict[str, Json]:
    only = each.parts[0] if len(each.parts) == 1 else None  # an estimate is of one run
    annotators: dict[str, Json] = {
        person: {
            "labels": found.labels,
            "skipped": found.skipped,
            "always": found.always or None,
            "estimate": dict(only.estimates[person]) if only is not None and person in only.estimates else None,
            "against_others": None
            if found.against_others is None
            else _accuracy_as_json(found.against_others, each.labels),
        }
        for person, found in people.annotators.items()
    }
    return {
        "annotators": annotators,
        "labelled": people.labelled,
        "tied": people.tied,
        "unused": people.unused,
        "weighted": people.weighted,
        "why": people.why or None,
        "judges": {
            judge: {name: _accuracy_as_json(found, each.labels) for name, found in references.items()}
            for judge, references in people.judges.items()
        },
    }


def _accuracy_as_json(found: ReferenceAccuracy, labels: Sequence[str]) -> dict[str, Json]:
    accuracy = found.accuracy
    return {
        "n": accuracy.n,
        "of": accuracy.of,
        "left_out": accuracy.left_out,
        "unscored": found.unscored,
        "weighted": found.weighted,
        "agreement": _figure_as_json(accuracy.same, unit=100),
        "labels": {
            labels[each.label]: {
                "judge": each.judge,
                "people": each.people,
                "both": each.both,
                **{
                    name: _figure_as_json(figure, unit=1 if name == "f1" else 100)
                    for name, figure in list_figures(accuracy, each.label).items()
                },
            }
            for each in accuracy.labels
        },
    }


def _disagreement_as_json(found: Disagreement, texts: Texts) -> dict[str, Json]:
    record, answer = found.record, texts.get((found.run, found.record.record.item))
    line: dict[str, Any] = {
        "run": found.run,
        "item": record.record.item,
        "category": record.record.category,
        "labels": record.labels,
    }
    if answer is not None:
        line |= {"question": answer.question, "answer": answer.text, "reasons": dict(record.reasons)}
    return line


def _figure_as_json(figure: Agreement, unit: int = 1) -> dict[str, Json]:
    """One figure with its interval, or nulls and the reason."""
    return {
        "n": figure.n,
        "value": None if figure.value is None else round(figure.value * unit, _DIGITS),
        "ci95": None if figure.ci95 is None else [round(end * unit, _DIGITS) for end in figure.ci95],
        "why": None if figure.why is None else figure.why.value,
    }
