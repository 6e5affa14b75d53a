"""Whether labels fit: what rubrics give, what metrics look for, and what blocks and empty answers count as.

A label that one side writes and no other side knows counts as nothing, which in a table looks like 0 %. So a split has
one vocabulary (`Split.vocabulary`), and every label that is named for it must be in it: those its metrics look for,
those its rubrics' labels are translated to, `blocked_as` and `empty_as`. A rubric need not be able to give every label
of the vocabulary: a metric none of whose labels it can give has no value under that rubric (`measure`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from harness.contracts import Split
from harness.errors import HarnessError
from harness.metrics import Metric, Record, rate
from harness.settings import nearest

HUMAN: Final = "human"  #: the rubric of a person, whose labels are the words of the split
OWN: Final = ":"  #: between a rubric and a label of its own, in the name of a share that no metric of the task knows
UNKNOWN: Final = "\x00 no rubric gives this"  #: a label that no metric can be looking for


def translate_labels(labels: Collection[str], translation: Mapping[str, str]) -> frozenset[str]:
    """A rubric's labels in the words of a split; one that is not in the translation stays."""
    return frozenset(translation.get(label, label) for label in labels)


def is_own_share(rubric: str, label: str) -> bool:
    """Whether a label of a split is only a rubric's own label under its name, which no metric of the task knows."""
    return label.startswith(f"{rubric}{OWN}")


def map_rubrics(split: Split, maps: Mapping[str, Mapping[str, str]]) -> Split:
    """The split as it accepts further rubrics, or known ones under another translation; twice is as once.

    Args:
        split: as its task gives it.
        maps: rubric -> its labels in the split's words. A label that becomes `RUBRIC:LABEL` is a share by itself: the
            split gets a metric of that name.
    """
    if not maps:
        return split
    there = {metric.name for metric in split.metrics}
    own = {
        name: (rubric, label)
        for rubric, translation in maps.items()
        for label, name in translation.items()
        if is_own_share(rubric, name) and name not in there
    }
    shares = tuple(
        rate(name, name, better="neither", description=f"Share of the answers that {rubric} labels {label!r}.")
        for name, (rubric, label) in own.items()
    )
    return replace(
        split,
        judges={**split.judges, **maps},
        losses={rubric: loss for rubric, loss in split.losses.items() if rubric not in maps},
        metrics=(*split.metrics, *shares),
        labels=(*split.labels, *own) if split.labels else (),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What a rubric of another benchmark loses in a task's words.

    Attributes:
        rubric: its name.
        translation: its labels in the task's words; empty keeps them.
        sentence: what is lost.
        splits: names of the splits where that holds.
    """

    rubric: str
    translation: Mapping[str, str]
    sentence: str
    splits: tuple[str, ...]


def list_losses(splits: Mapping[str, Split]) -> list[Loss]:
    """What the rubrics of some splits lose, equal ones of several splits together."""
    found: dict[tuple[str, str, tuple[tuple[str, str], ...]], list[str]] = {}
    for name, split in splits.items():
        for rubric, translation in split.judges.items():
            if sentence := split.losses.get(rubric):
                found.setdefault((rubric, sentence, tuple(translation.items())), []).append(name)
    return [
        Loss(rubric=rubric, translation=dict(translation), sentence=sentence, splits=tuple(names))
        for (rubric, sentence, translation), names in found.items()
    ]


def find_misfits(split: Split, given: Mapping[str, Collection[str]]) -> Iterator[tuple[str, str]]:
    """Labels that are not in the split's vocabulary, as (what is wrong, the nearest that fits).

    A split without a vocabulary has none. `given` maps each open rubric to all labels it can give; of the other rubrics
    of the split only the translations are checked.
    """
    known = split.vocabulary
    if known is None:
        return
    for metric in split.metrics:
        for label in (each for each in metric.labels or () if each not in known):
            yield (
                f"metric {metric.name} looks for the label {label!r}, which is not one of its labels",
                nearest(label, known),
            )
    for name, verdict in (("blocked_as", split.blocked_as), ("empty_as", split.empty_as)):
        if verdict.label not in known:
            yield f"{name} is the label {verdict.label!r}, which no metric knows", nearest(verdict.label, known)
    for rubric, translation in split.judges.items():
        labels = given.get(rubric)
        if labels is not None:
            for label in sorted(set(translation) - set(labels)):
                yield f"it translates {label!r}, a label that rubric {rubric} never gives", nearest(label, labels)
        words = set(translation.values()) if labels is None else translate_labels(labels, translation)
        for label in sorted(words - set(known)):
            how = "" if labels is None or label not in labels or label in translation.values() else ", untranslated,"
            yield f"rubric {rubric}{how} gives the label {label!r}, which no metric knows", nearest(label, known)


def check_map(title: str, split: Split, rubric: str, labels: Collection[str]) -> None:
    """Raise HarnessError if a user's map of a rubric leaves labels out, or has one that the rubric never gives.

    Args:
        title: of the split.
        split: as it accepts the rubric.
        rubric: its name.
        labels: all that the rubric can give.
    """
    known, translation = split.vocabulary, split.judges[rubric]
    own = ", ".join(label for label in known or () if OWN not in label)
    for label in sorted(set(translation) - set(labels)):
        raise HarnessError(
            f"--map {rubric}: the rubric never gives the label {label!r}",
            remedy=f"{nearest(label, labels)}: leave out {label}={translation[label]}",
        )
    left_out = [label for label in labels if label not in translation and known is not None and label not in known]
    if left_out:
        pairs = ", ".join(f"{label}=…" for label in left_out)
        raise HarnessError(
            f"--map {rubric} leaves out {', '.join(map(repr, left_out))}, and {title} knows no such label",
            remedy=f"add {pairs} with one of its labels: {own}",
        )


def check_labels(title: str, split: Split, given: Mapping[str, Collection[str]]) -> None:
    """Raise HarnessError for the first label that does not fit; `given` as for `find_misfits`."""
    for wrong, near in find_misfits(split, given):
        words = "Split.labels names" if split.labels else "without Split.labels, what the metrics look for is"
        raise HarnessError(
            f"{title}: {wrong}",
            remedy=f"{near} ({words} what a verdict may count as, Split.judges what each label of a rubric becomes)",
        )


def moves(metric: Metric, record: Record, label: str) -> bool:
    """Whether a record with this label scores otherwise than with an unknown label."""
    return metric.score(replace(record, label=label)) != metric.score(replace(record, label=UNKNOWN))


class LabelWatch:
    """Finds labels that counted for nothing, from the records: for metrics that cannot say what they look for.

    A label counts if a metric names it, or if it moves the score of a record. Nothing is watched if every metric says
    what it looks for: then labels were checked beforehand.
    """

    def __init__(self, split: Split) -> None:
        self._metrics = [metric for metric in split.metrics if metric.labels is None]
        self._still = {metric.name for metric in self._metrics}
        self._counted = {*split.labels, *(label for metric in split.metrics for label in metric.labels or ())}
        self._seen: set[str] = set()

    def add(self, record: Record) -> None:
        """Take in one record; one without a label says nothing."""
        label = record.label
        if label is None or not (self._still or (self._metrics and label not in self._counted)):
            return
        self._seen.add(label)
        moved = {metric.name for metric in self._metrics if moves(metric, record, label)}
        if moved:
            self._counted.add(label)
            self._still -= moved

    @property
    def uncounted(self) -> tuple[str, ...]:
        """Labels of records that the split does not declare and that no metric looked at."""
        return tuple(sorted(self._seen - self._counted))

    @property
    def unmoved(self) -> tuple[str, ...]:
        """Metrics that do not say what they look for, and that no label of a record changed."""
        return tuple(sorted(self._still)) if self._seen else ()


def measure(metrics: Iterable[Metric], given: Collection[str] | None) -> tuple[Metric, ...]:
    """Metrics under one judge: one that gets none of its labels has no value, and says why.

    `given` holds all labels that the judge can give, in the words of the split; None if it may give any.
    """
    return tuple(
        metric
        if given is None or not metric.labels or frozenset(metric.labels) & frozenset(given)
        else replace(metric, unmeasured=f"the judge cannot give the label {' or '.join(metric.labels)}")
        for metric in metrics
    )


def find_outcome_labels(split: Split, labels_of: Callable[[str], Collection[str] | None]) -> tuple[str, ...]:
    """Labels that only blocks and empty answers get, and no rubric of the split gives: such a label needs no judge.

    Any other is a judge's: a share of it that only blocks could fill would be no share of the answers. Only labels that
    the split's metrics look for count. `labels_of` gives all labels of a rubric, or None if it may give any.
    """
    looked_for = {label for metric in split.metrics for label in metric.labels or ()}
    own = {split.blocked_as.label, split.empty_as.label} & looked_for
    own -= {label for translation in split.judges.values() for label in translation.values()}
    for rubric, translation in split.judges.items() if own else ():
        labels = labels_of(rubric)
        own = set[str]() if labels is None else own - translate_labels(labels, translation)
    return tuple(sorted(own))


def intersect_labels(parts: Sequence[Mapping[str, frozenset[str]]]) -> dict[str, frozenset[str]]:
    """Judge -> labels that it can give in all of several parts; without judges that may give any in one of them."""
    return {
        judge: frozenset(label for label in labels if all(label in part[judge] for part in parts))
        for judge, labels in parts[0].items()
        if all(judge in part for part in parts)
    }


def measure_both(ours: Iterable[Metric], theirs: Iterable[Metric]) -> tuple[Metric, ...]:
    """Metrics of a comparison: one that either side cannot measure says why."""
    why = {metric.name: metric.unmeasured for metric in theirs}
    return tuple(
        metric if metric.unmeasured else replace(metric, unmeasured=why.get(metric.name, "")) for metric in ours
    )
