"""The answers of a run that people label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.types import Image, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelItem:
    """An answer to label, with all that a person sees of it.

    Attributes:
        item: the answer's name in its run.
        run: display name of the run.
        title: of the split, `mis:easy`.
        category: of the sample.
        question: with a mark where each image stands.
        images: in order, not opened.
        answer: the text to label.
        answer_hash: of that text.
        labels: that a person may give, in order.
        meanings: label -> a sentence that says when it applies.
        guideline: how to label; may be empty.
        machine: the judge's verdict; None if no judge has given one.
        group: the task's folder, in which the annotators' files lie.
    """

    item: str
    run: str
    title: str
    category: str
    question: str
    images: tuple[Image, ...]
    answer: str
    answer_hash: str
    labels: tuple[str, ...]
    meanings: Mapping[str, str] = field(default_factory=dict[str, str])
    guideline: str = ""
    machine: Verdict | None = None
    group: str = ""
