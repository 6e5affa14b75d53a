"""Metrics over the hits that VLMEvalKit gives sample by sample."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

from harness import Json, Metric, Record, rate

GROUP: Final = "group"
QUESTION: Final = "question"
FIGURE: Final = "figure"


def hit(record: Record) -> tuple[float, float]:
    """Right counts, and partial by its share; wrong, unreadable, blocked and empty do not."""
    return float(record.axes.get("hit", record.label == "right")), 1.0


def _by(tag: str) -> Callable[[Record], str]:
    return lambda record: record.tags.get(tag, record.id)


ACCURACY: Final = Metric(name="accuracy", score=hit, better="higher", main=True)
UNPARSABLE: Final = rate("unparsable", "none", better="lower")
#: a question counts when the answers to all rotations of its options are right
ROTATED: Final = Metric(name="accuracy", score=hit, group=_by(GROUP), combine="all", better="higher", main=True)
EACH: Final = Metric(name="accuracy_each", score=hit, better="higher")

HALLUSION: Final = (
    Metric(name="aAcc", score=hit, better="higher", main=True),
    Metric(name="qAcc", score=hit, group=_by(QUESTION), combine="all", better="higher"),
    Metric(name="fAcc", score=hit, group=_by(FIGURE), combine="all", better="higher"),
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
    ),
    Metric(
        name="recall",
        score=lambda r: (float(_said_yes(r)), 1.0) if _is_yes(r) else (0.0, 0.0),
        possible=lambda r: ((0.0, 1.0), (1.0, 1.0)) if _is_yes(r) else ((0.0, 0.0),),
        better="higher",
    ),
    Metric(
        name="F1",
        score=_f1,
        possible=lambda r: ((2.0, 2.0), (0.0, 1.0)) if _is_yes(r) else ((0.0, 0.0), (0.0, 1.0)),
        better="higher",
    ),
    Metric(name="yes_rate", score=lambda r: (float(_said_yes(r)), 1.0), better="neither"),
    UNPARSABLE,
)
