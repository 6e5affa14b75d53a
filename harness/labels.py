"""Whether labels fit: what rubrics give, what metrics look for, and what blocks and empty answers count as.

A label that one side writes and no other side knows counts as nothing, which in a table looks like 0 %. So a split has
one vocabulary (`Split.vocabulary`), and every label that is named for it must be in it: those its metrics look for,
those its rubrics' labels are translated to, `blocked_as` and `empty_as`. A rubric need not be able to give every label
of the vocabulary: a metric none of whose labels it can give has no value under that rubric (`find_unmeasured`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Final

from harness.contracts import Split
from harness.errors import HarnessError
from harness.metrics import Metric, Record
from harness.settings import nearest

UNKNOWN: Final = "\x00 no rubric gives this"  #: a label that no metric can be looking for


def translate_labels(labels: Collection[str], translation: Mapping[str, str]) -> frozenset[str]:
    """A rubric's labels in the words of a split; one that is not in the translation stays."""
    return frozenset(translation.get(label, label) for label in labels)


def find_misfits(split: Split, given: Mapping[str, Collection[str]]) -> Iterator[tuple[str, str]]:
    """Labels that are not in the split's vocabulary, as (what is wrong, remedy); none where it has no vocabulary.

    Args:
        split: what is checked.
        given: rubric -> all labels it can give, of those rubrics that are open. Of the others that the split lists
            the translations are checked.
    """
    known = split.vocabulary
    if known is None:
        return
    for metric in split.metrics:
        for label in metric.labels or ():
            if label not in known:
                yield f"metric {metric.name} looks for the label {label!r}, which is not one of its labels", label
    for name, verdict in (("blocked_as", split.blocked_as), ("empty_as", split.empty_as)):
        if verdict.label not in known:
            yield f"{name} is the label {verdict.label!r}, which no metric knows", verdict.label
    for rubric, translation in split.judges.items():
        labels = given.get(rubric)
        if labels is not None:
            never = sorted(set(translation) - set(labels))
            if never:
                yield f"it translates {never[0]!r}, a label that rubric {rubric} never gives", never[0]
        words = set(translation.values()) if labels is None else translate_labels(labels, translation)
        for label in sorted(words - set(known)):
            how = "" if labels is None or label not in labels or label in translation.values() else ", untranslated,"
            yield f"rubric {rubric}{how} gives the label {label!r}, which no metric knows", label


def check_labels(title: str, split: Split, given: Mapping[str, Collection[str]]) -> None:
    """Raise HarnessError for the first label that does not fit; `given` as for `find_misfits`."""
    for wrong, label in find_misfits(split, given):
        known = split.vocabulary or ()
        raise HarnessError(
            f"{title}: {wrong}",
            remedy=f"{nearest(label, known)} (Split.labels names what a verdict may count as, Split.judges what each "
            "label of a rubric becomes)",
        )


def moves(metric: Metric, record: Record, label: str) -> bool:
    """Whether a record with this label scores otherwise than with a label that nobody knows."""
    return metric.score(replace(record, label=label)) != metric.score(replace(record, label=UNKNOWN))


class LabelWatch:
    """Which labels counted for nothing, seen from the records: for metrics that cannot say what they look for.

    A label counts where a metric names it, or scores a record otherwise for it than for a label that nobody knows.
    Nothing is watched where every metric says what it looks for: then labels were checked beforehand.
    """

    def __init__(self, split: Split) -> None:
        self._metrics = [metric for metric in split.metrics if metric.labels is None]
        named = {label for metric in split.metrics for label in metric.labels or ()}
        self._counted = {*named, *split.labels}
        self._idle: set[str] = set()

    def add(self, record: Record) -> None:
        """Take in one record; one without a label says nothing."""
        label = record.label
        if label is None or not self._metrics or label in self._counted:
            return
        if any(moves(metric, record, label) for metric in self._metrics):
            self._counted.add(label)
            self._idle.discard(label)
        else:
            self._idle.add(label)

    @property
    def uncounted(self) -> tuple[str, ...]:
        """Labels that were given and that no metric looked at."""
        return tuple(sorted(self._idle))


def find_unmeasured(split: Split, given: Collection[str]) -> dict[str, str]:
    """Metric -> why it has no value under a rubric that gives only these labels, in the words of the split."""
    return {
        metric.name: _explain(metric)
        for metric in split.metrics
        if metric.labels and not frozenset(metric.labels) & frozenset(given)
    }


def _explain(metric: Metric) -> str:
    wanted = " or ".join(metric.labels or ())
    return f"the judge cannot give the label {wanted}"
