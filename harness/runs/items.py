"""One item of a stored run as a viewer shows it: the answer, each judge's reply, and the label that counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.contracts import Split
from harness.stats.summary import label_outcome
from harness.store.reader import Answer
from harness.store.records import record_of
from harness.types import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelMap:
    """How to read the labels of one split.

    Attributes:
        primary: the primary judge; None for none.
        judges: id -> its labels in the words of the split's metrics, the primary one first.
        split: the task's definition of it; None if its plugin is missing.
    """

    primary: str | None
    judges: Mapping[str, Mapping[str, str]]
    split: Split | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeReply:
    """One judge's reply about one answer.

    Attributes:
        judge: the judge's id.
        state: `scored`, or why there is no label.
        label: the label in the words of the split's metrics; empty for none.
        own: the label in the judge's own words; empty for none.
        axes: the scores given with the label.
        reason: the judge's reason.
        raw: its raw replies; empty for a rule.
        models: the model names that its provider reported.
        usage: the tokens it used.
        at: the time, ISO 8601.
        flags: its flags on the answer.
    """

    judge: str
    state: str
    label: str = ""
    own: str = ""
    axes: Mapping[str, Json] = field(default_factory=dict[str, Json])
    reason: str = ""
    raw: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    usage: Mapping[str, int] = field(default_factory=dict[str, int])
    at: str = ""
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One asked item.

    Attributes:
        answer: the question and how generation ended.
        said: judge id -> its reply, the primary judge first; a judge that has not seen the answer is missing.
        label: its label under the primary judge, also for blocks and empty answers; empty while unresolved.
        damaged: whether a line of it cannot be read; its outcome is then `error`.
    """

    answer: Answer
    said: Mapping[str, JudgeReply]
    label: str
    damaged: bool = False

    @property
    def item(self) -> str:
        """Task, split, sample and epoch in one text, the same in all models and runs."""
        return self.answer.item

    @property
    def outcome(self) -> str:
        """How generation ended."""
        return "error" if self.damaged else self.answer.outcome

    @property
    def flags(self) -> tuple[str, ...]:
        """The answer's flags, from its provider and from each judge."""
        own: Mapping[str, Any] = self.answer.response or {}
        flags = (*own.get("flags", ()), *(flag for reply in self.said.values() for flag in reply.flags))
        return tuple(dict.fromkeys(flags))

    @property
    def disagree(self) -> bool:
        """Whether two judges gave it different labels."""
        return len({reply.label for reply in self.said.values() if reply.label}) > 1


def build_item(answer: Answer, words: LabelMap) -> Item:
    """Turn an answer with its verdicts into an item.

    Raises KeyError, TypeError or ValueError for a damaged line.
    """
    said: dict[str, JudgeReply] = {}
    for judge, translation in words.judges.items():
        if line := answer.verdicts.get(judge):
            label = line["label"] or ""
            said[judge] = JudgeReply(
                judge=judge,
                state=line["state"],
                label=translation.get(label, label),
                own=label,
                axes=line["axes"],
                reason=line["reason"],
                raw=tuple(line["raw"]),
                models=tuple(line["models"]),
                usage=line["usage"],
                at=line["at"],
                flags=tuple(line.get("flags", ())),  # lines of older versions have none
            )
    label = ""
    if answer.outcome == "answered":
        first = said.get(words.primary or "")
        label = "" if first is None else first.label
    elif words.split is not None:
        label = label_outcome(record_of(answer.display, answer.asked, answer.response), words.split).label or ""
    return Item(answer=answer, said=said, label=label)
