"""How much a main number depends on its judge: over judges of the same answers, and over repeats of one judge.

Judges are machines here: labels of people are a number of their own (`harness.board.corrected`), and a majority of
judges is none of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from harness.board.display import format_share, format_value

#: rubrics whose labels no machine gave by itself: people's, those of a labelled set, and a majority of judges
_NO_MACHINES: Final = frozenset({"human", "people", "combine-majority"})


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeRange:
    """The lowest and highest main number that the machine judges of a split give.

    Attributes:
        metric: the main metric.
        low: the lowest number.
        high: the highest number.
        judges: how many judges there are; at least two.
    """

    metric: str
    low: float
    high: float
    judges: int

    def format(self, unit: str) -> str:
        """`31.0 to 52.4 over 3 judges`."""
        return f"{format_value(self.low, unit)} to {format_value(self.high, unit)} over {self.judges} judges"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeats:
    """What the repeats of one judge say of the main number.

    Attributes:
        count: how often each answer was judged.
        answers: answers that every repeat has labelled.
        agree: share of these on which all repeats agree; None without answers.
        metric: the main metric.
        low: the lowest number of a repeat; None with `why`.
        high: the highest number; None with `why`.
        sd: standard deviation of the repeats' numbers; None with `why`.
        sd_by_answers: the same from differences on single answers; None where the metric is no share of records.
        why: the repeats' numbers cannot be compared.
    """

    count: int
    answers: int
    agree: float | None
    metric: str
    low: float | None
    high: float | None
    sd: float | None
    sd_by_answers: float | None = None
    why: str = ""

    def format(self, unit: str) -> str:
        """`45.8 to 47.0 in 3 repeats of the judge, standard deviation 0.6; the same label on 95.5% of 400 answers`."""
        if self.agree == 1 and self.sd == 0:
            return f"{self.count} repeats never differ on {self.answers} answers"
        if self.agree is None:
            return f"no answer has a label of each of {self.count} repeats of the judge"
        told = f"the same label on {format_share(self.agree)} of {self.answers} answers"
        if self.low is None or self.high is None or self.sd is None:
            return f"{told} in {self.count} repeats of the judge; {self.why}".removesuffix("; ")
        ends = f"{format_value(self.low, unit)} to {format_value(self.high, unit)}"
        single = "" if self.sd_by_answers is None else f" ({format_sd(self.sd_by_answers, unit)} by single answers)"
        spread = f"standard deviation {format_sd(self.sd, unit)}{single}"
        return f"{ends} in {self.count} repeats of the judge, {spread}; {told}"


def format_sd(sd: float, unit: str) -> str:
    """A standard deviation with one digit more than its metric, since it is small: `0.61`."""
    return f"{sd:.2f}" if unit == "%" else f"{sd:.4f}"


def find_judge_range(
    split: Mapping[str, Any], cards: Mapping[str, Mapping[str, Any]], metric: str
) -> JudgeRange | None:
    """The range of a main number over the machine judges of a split; None for fewer than two.

    A judge counts with a value of its own if its view is complete, or of a part that was drawn at random.

    Args:
        split: of results.json.
        cards: judge id -> its entry in results.json.
        metric: the main metric.
    """
    others: Mapping[str, Mapping[str, Any]] = split.get("other_judges") or {}
    views: dict[str, Mapping[str, Any]] = {str(split.get("judge") or ""): split, **others}
    values: list[float] = []
    for judge, view in views.items():
        is_machine = judge in cards and cards[judge]["rubric"] not in _NO_MACHINES
        body: Mapping[str, Any] = view["metrics"].get(metric) or {}
        if is_machine and (view["complete"] or view.get("drawn")) and body.get("main") and body["value"] is not None:
            values.append(body["value"])
    if len(values) < 2:
        return None
    return JudgeRange(metric=metric, low=min(values), high=max(values), judges=len(values))


def parse_repeats(body: Mapping[str, Any] | None) -> Repeats | None:
    """The `repeats` of a judge's view in results.json; None where it has none."""
    if not body:
        return None
    for metric, found in body["metrics"].items():
        low, high = found["range"] or (None, None)
        return Repeats(
            count=body["count"],
            answers=body["answers"],
            agree=body["agree"],
            metric=metric,
            low=low,
            high=high,
            sd=found["sd"],
            sd_by_answers=found.get("sd_by_answers"),
            why=found.get("why") or "",
        )
    return None


def explain_judging(
    model: str, value: float | None, unit: str, spread: JudgeRange | None, repeats: Repeats | None
) -> Iterator[str]:
    """Sentences on how much a row's main number depends on its judge; none for one judge that judged once."""
    if spread is not None:
        yield f"{model}: {spread.metric} {format_value(value, unit)} ({spread.format(unit)})."
    if repeats is not None:
        yield f"{model}: {repeats.metric} {format_value(value, unit)} ({repeats.format(unit)})."
