"""Metrics over the hits that VLMEvalKit gives sample by sample."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

from harness import Json, Metric, Record, rate

#: of the rubric, with what they say of an answer
MEANINGS: Final = {
    "right": "VLMEvalKit counts the answer as right.",
    "wrong": "VLMEvalKit counts the answer as wrong.",
    "none": "VLMEvalKit reads no answer in the text.",
    "partial": "VLMEvalKit counts the answer by a share.",
}
LABELS: Final = tuple(MEANINGS)
GROUP: Final = "group"
QUESTION: Final = "question"
FIGURE: Final = "figure"


def hit(record: Record) -> tuple[float, float]:
    """Right counts, and partial by its share; wrong, unreadable, blocked and empty do not."""
    return float(record.axes.get("hit", record.label == "right")), 1.0


def _by(tag: str) -> Callable[[Record], str]:
    return lambda record: record.tags.get(tag, record.id)


def _hits(name: str, description: str, *, group: Callable[[Record], str] | None = None, main: bool = False) -> Metric:
    """A share of hits; with `group`, of groups whose members are all hits."""
    return Metric(
        name=name,
        score=hit,
        group=group,
        combine="all" if group else "sum",
        better="higher",
        main=main,
        labels=("right",),
        description=description,
    )


ACCURACY: Final = _hits("accuracy", "Share of the questions that were answered right.", main=True)
UNPARSABLE: Final = rate(
    "unparsable", "none", better="lower", description="Share of the questions whose answer names none of the options."
)
ROTATED: Final = _hits(
    "accuracy",
    "Share of the questions that were answered right in every rotation of their options.",
    group=_by(GROUP),
    main=True,
)
EACH: Final = _hits("accuracy_each", "Share of right answers, each rotation of the options by itself.")

HALLUSION: Final = (
    _hits("aAcc", "Share of the questions that were answered right.", main=True),
    _hits("qAcc", "Share of the question groups in which every answer is right.", group=_by(QUESTION)),
    _hits("fAcc", "Share of the figures about which every answer is right.", group=_by(FIGURE)),
)


def _is_yes(record: Record) -> bool:
    target: Json = record.target
    return isinstance(target, dict) and cast("dict[str, Json]", target).get("answer") == "yes"


def _said_yes(record: Record) -> bool:
    return record.axes.get("said") == "yes"


def _f1(record: Record) -> tuple[float, float]:
    if _is_yes(record):
        return (2.0, 2.0) if _said_yes(record) else (0.0, 1.0)
    return (0.0, 1.0) if _said_yes(record) else (0.0, 0.0)


YESNO: Final = (
    ACCURACY,
    Metric(
        name="precision",
        score=lambda r: (float(_is_yes(r)), 1.0) if _said_yes(r) else (0.0, 0.0),
        possible=lambda r: ((float(_is_yes(r)), 1.0), (0.0, 0.0)),
        better="higher",
        labels=(),
        description="Share of right answers among those that say yes.",
    ),
    Metric(
        name="recall",
        score=lambda r: (float(_said_yes(r)), 1.0) if _is_yes(r) else (0.0, 0.0),
        possible=lambda r: ((0.0, 1.0), (1.0, 1.0)) if _is_yes(r) else ((0.0, 0.0),),
        better="higher",
        labels=(),
        description="Share of the questions with the answer yes that were answered yes.",
    ),
    Metric(
        name="F1",
        score=_f1,
        possible=lambda r: ((2.0, 2.0), (0.0, 1.0)) if _is_yes(r) else ((0.0, 0.0), (0.0, 1.0)),
        better="higher",
        labels=(),
        description="Harmonic mean of precision and recall, yes being the positive answer.",
    ),
    Metric(
        name="yes_rate",
        score=lambda r: (float(_said_yes(r)), 1.0),
        better="neither",
        labels=(),
        description="Share of the questions that were answered yes; half of them have that answer.",
    ),
    UNPARSABLE,
)
