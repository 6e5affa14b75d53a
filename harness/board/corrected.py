"""The corrected number of a metric: what people's labels say of it, beside what the judge says.

results.json holds it as `metrics.X.corrected` where a split has people's labels or a draw for them. It changes no rank,
since not every model has labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from harness.board.display import format_estimate, format_interval, format_value

Ends = tuple[float | None, float | None]
UNKNOWN_AGREEMENT: Final = "agreement unknown"
RANKED_BY_JUDGE: Final = "Ranks rest on the judge's number, not on the number by people."
ADDS_NOTHING: Final = "the judge adds nothing: as many labels without a judge would be about as exact"
_PERSON: Final = "human-"  #: what the id of a person begins with


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledPart:
    """One cell of the draw: answers with one label of the judge.

    Attributes:
        name: the judge's label, or how generation ended.
        answers: how many there are.
        labels: how many of them people labelled.
        value: people's number for the cell; None where nobody labelled any.
        known: blocked or empty answers, which need no label.
    """

    name: str
    answers: int
    labels: int
    value: float | None
    known: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotator:
    """One person's own estimate.

    Attributes:
        value: in the metric's unit; None with a reason in `why`.
        ci95: its interval.
        labels: how many answers he or she labelled.
        why: there is no value.
    """

    value: float | None
    ci95: Ends
    labels: int
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectedNumber:
    """What people's labels say of one metric of one row; value and intervals in the metric's unit.

    Attributes:
        value: people's number; None with a reason in `why`.
        ci95: its interval.
        why: there is no value.
        labels: how many answers people labelled.
        of: how many answers the number stands for.
        judge: whose labels the answers were drawn by; empty where none were drawn.
        parts: the cells of the draw.
        alpha: Krippendorff's alpha; None where it has no value.
        alpha_ci95: its interval.
        alpha_n: answers that two or more people labelled.
        same: those of them on which all agree; None in results of older versions.
        annotators: id -> own estimate; empty with one.
        adds_nothing: people alone would be about as exact.
        notes: further reasons to doubt it.
    """

    value: float | None
    ci95: Ends = (None, None)
    why: str = ""
    labels: int = 0
    of: int = 0
    judge: str = ""
    parts: tuple[LabelledPart, ...] = ()
    alpha: float | None = None
    alpha_ci95: Ends = (None, None)
    alpha_n: int = 0
    same: int | None = None
    annotators: Mapping[str, Annotator] = field(default_factory=dict[str, Annotator])
    adds_nothing: bool = False
    notes: tuple[str, ...] = ()

    @property
    def agreement(self) -> str:
        """How far people agree: `people agree on 45 of 48 answers, alpha 0.812 [0.701, 0.893]`, or unknown."""
        alpha = "" if self.alpha is None else f"alpha {format_estimate(self.alpha, self.alpha_ci95, '0-1')}"
        if self.alpha_n and self.same is not None:
            said = f"people agree on {self.same} of {count_things(self.alpha_n, 'answer')}"
            return f"{said}, {alpha}" if alpha else said
        if alpha:
            return f"{alpha} on {count_things(self.alpha_n, 'answer')}"
        return f"{UNKNOWN_AGREEMENT}: no answer has labels of two people" if self.annotators else UNKNOWN_AGREEMENT

    @property
    def brief_agreement(self) -> str:
        """The same in a few characters: `alpha 0.81`, `agree on 48 of 48`, or that it is unknown."""
        if self.alpha is not None:
            return f"alpha {self.alpha:.2f}"
        return (
            f"agree on {self.same} of {self.alpha_n}" if self.alpha_n and self.same is not None else UNKNOWN_AGREEMENT
        )


def parse_corrected(body: Mapping[str, Any] | None) -> CorrectedNumber | None:
    """The `corrected` of a metric in results.json; None where it has none."""
    if not body:
        return None
    design: Mapping[str, Any] = body.get("design") or {}
    alpha: Mapping[str, Any] = body.get("alpha") or {}
    people: Mapping[str, Mapping[str, Any]] = body.get("annotators") or {}
    return CorrectedNumber(
        value=body.get("value"),
        ci95=_parse_ends(body.get("ci95")),
        why=body.get("why") or "",
        labels=body.get("labels") or 0,
        of=body.get("of") or 0,
        judge=design.get("judge") or "",
        parts=tuple(
            LabelledPart(
                name=part["name"],
                answers=part["answers"],
                labels=part["labels"],
                value=part.get("value"),
                known=bool(part.get("known")),
            )
            for part in design.get("cells") or ()
        ),
        alpha=alpha.get("value"),
        alpha_ci95=_parse_ends(alpha.get("ci95")),
        alpha_n=alpha.get("n") or 0,
        same=alpha.get("same"),
        annotators={
            name: Annotator(
                value=own.get("value"),
                ci95=_parse_ends(own.get("ci95")),
                labels=own.get("labels") or 0,
                why=own.get("why") or "",
            )
            for name, own in people.items()
        },
        adds_nothing=bool(body.get("adds_nothing")),
        notes=tuple(body.get("notes") or ()),
    )


def _parse_ends(pair: Sequence[float | None] | None) -> Ends:
    return (None, None) if pair is None else (pair[0], pair[1])


def format_corrected(found: CorrectedNumber, unit: str) -> str:
    """In a table: `43.9 [39.5, 48.3] (120 labels)`."""
    return f"{format_estimate(found.value, found.ci95, unit)} ({count_things(found.labels, 'label')})"


def explain_corrected(model: str, metrics: Mapping[str, tuple[CorrectedNumber, str]]) -> Iterator[str]:
    """Sentences on what people's labels say of a row, or why they say nothing.

    Metrics that rest on the same labels share a sentence; the first of them has each person's own estimate.

    Args:
        model: the row's name.
        metrics: name -> (its corrected number, its unit), the main one first.
    """
    alike: dict[tuple[str, ...], list[str]] = {}
    missing: dict[str, list[str]] = {}
    for name, (found, _) in metrics.items():
        if found.value is None:
            missing.setdefault(found.why or "no reason is given", []).append(name)
        else:
            basis = f"from labels of {count_things(found.labels, 'answer')}, for all {found.of}"
            alike.setdefault((basis, found.agreement, *found.notes), []).append(name)
    for facts, names in alike.items():
        numbers = [(name, *metrics[name]) for name in names]
        told = [f"{name} {format_estimate(found.value, found.ci95, unit)}" for name, found, unit in numbers]
        more = [fact.removesuffix(".") for fact in facts]
        if nothing := [name for name, found, _ in numbers if found.adds_nothing]:
            more.append(ADDS_NOTHING if nothing == names else f"of {', '.join(nothing)} {ADDS_NOTHING}")
        first, unit = metrics[names[0]]
        people = ", ".join(describe_annotator(who, own, unit) for who, own in first.annotators.items())
        more += [f"{names[0]} by each person alone: {people}"] if people else []
        yield f"{model}: by people {', '.join(told)}, {'; '.join(more)}."
    for why, names in missing.items():
        yield f"{model}: no number by people of {', '.join(names)}: {why.removesuffix('.')}."


def describe_annotator(who: str, own: Annotator, unit: str) -> str:
    """`anna 41.0 [35.2, 47.1] (80 labels)`, or why this person's labels give no number."""
    labels = count_things(own.labels, "label")
    if own.value is None:
        return f"{name_person(who)} none ({labels}: {own.why})" if own.why else f"{name_person(who)} none ({labels})"
    interval = format_interval(own.ci95, unit)
    return f"{name_person(who)} {format_value(own.value, unit)} {interval} ({labels})".replace("  ", " ")


def name_person(who: str) -> str:
    """A person's name from the id: `anna` of `human-anna`."""
    return who.removeprefix(_PERSON) or who


def count_things(number: int, noun: str) -> str:
    """`1 label`, `120 labels`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
