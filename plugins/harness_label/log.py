"""An annotator's file, `labels-<name>.jsonl` in a task's folder of a run; see `harness.review.log`.

Its lines are labels, skips, labels that were taken back, and pauses.

Which label counts. The judge's verdict on an answer is hidden until an annotator has labelled the next one, and shown
afterwards. So a slip can be repaired at once: the latest label counts. An answer that is changed after the verdict was
shown may follow the judge. So a line says whether it had been seen (`seen`), and then the first label that was given on
this text counts: `read_annotations` returns that one, and so the corrected number never rests on a label that knew the
judge's. A label that is taken back and not given again, or skipped then, counts as skipped, whatever was seen. Where no
judge has labelled the answer, the latest label counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.review import Answer, LogFormat, ReviewLog, find_reviewers, read_text
from harness.types import Json

PREFIX: Final = "labels"


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What an annotator says of one answer.

    Attributes:
        label: one of the split's.
        reason: in their words; may be empty.
        seconds: they took, without pauses.
        seen: whether they had seen the judge's verdict on this answer before.
    """

    label: str
    reason: str = ""
    seconds: float = 0.0
    seen: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """What counts of an annotator's lines on one answer.

    Attributes:
        item: the answer's name in its run.
        label: that counts; empty for a skip.
        answer_hash: of the text that the annotator read; empty for a skip.
        reason: given with that label.
        at: when the annotator said the last thing about it.
        withdrawn: a label was taken back and not given again.
    """

    item: str
    label: str = ""
    answer_hash: str = ""
    reason: str = ""
    at: str = ""
    withdrawn: bool = False


def _write(answer: Answer[Label]) -> dict[str, Json]:
    said = answer.payload
    return {
        "item": answer.key,
        "annotator": "",
        "act": "label",
        "label": said.label,
        "reason": said.reason,
        "answer_hash": answer.shown,
        "seconds": said.seconds,
        "seen": said.seen,
        "at": answer.at,
    }


def _read(line: Mapping[str, Any]) -> Answer[Label]:
    if line["act"] != "label":
        raise ValueError(f"act {line['act']!r} is none of label, skipped, undone, paused, resumed")
    seconds, seen = line.get("seconds", 0.0), line.get("seen", False)
    if type(seconds) in (int, float) and isinstance(seen, bool):
        label = Label(
            label=read_text(line, "label"), reason=read_text(line, "reason"), seconds=float(seconds), seen=seen
        )
        at = read_text(line, "at")
        return Answer(key=read_text(line, "item"), payload=label, shown=read_text(line, "answer_hash"), at=at)
    raise ValueError(f"seconds is {seconds!r} and seen is {seen!r}")


FORMAT: Final[LogFormat[Label]] = LogFormat(
    prefix=PREFIX,
    noun="an annotator's labels",
    key="item",
    reviewer="annotator",
    act="act",
    write=_write,
    read=_read,
    timespec="microseconds",
)


def find_annotators(folder: Path) -> tuple[str, ...]:
    """Who has a file in a task's folder."""
    return find_reviewers((folder,), PREFIX)


def read_annotations(folder: Path, annotator: str) -> tuple[Annotation, ...]:
    """What counts of an annotator's file in a task's folder: one for each answer that they saw to. Raises BadData for a
    line that is none of theirs."""
    state = ReviewLog(folder / f"{PREFIX}-{annotator}.jsonl", annotator, FORMAT).state()
    found = [Annotation(item=item, at=undo.at, withdrawn=True) for item, undo in state.withdrawn.items()]
    for item, each in state.current.items():
        if not isinstance(each, Answer):
            found.append(Annotation(item=item, at=each.at))
            continue
        counted = state.first[item, each.shown] if each.payload.seen else each
        found.append(
            Annotation(
                item=item,
                label=counted.payload.label,
                answer_hash=each.shown,
                reason=counted.payload.reason,
                at=each.at,
            )
        )
    return tuple(found)
