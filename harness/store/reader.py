"""The current lines of a task: each asked item once, with its answer and the verdicts that count on it.

An item's current answer is the last line with the key that it was asked with. A verdict counts on the text that it was
given on, and on no other. A rubric that scores a split at once may make one number of several answers: each of its
lines carries the digest of all answers that were scored together, and counts only while these are the current answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from harness.keys import digest, item, text_hash
from harness.store.folder import TaskFolder
from harness.store.journal import Journal
from harness.store.records import line_hash

TOGETHER = "together"  #: field of a verdict line: the digest of all answers that were scored with it
ScoredAnswer = tuple[str, str, str]  #: sample id, key of what was asked, hash of the answer


def digest_answers(answers: Iterable[ScoredAnswer]) -> str:
    """The digest of the answers of one epoch of a split, whatever their order."""
    return digest([list(answer) for answer in sorted(answers)])


def list_answers(asked: Iterable[Mapping[str, Any]], responses: Journal) -> dict[int, list[ScoredAnswer]]:
    """Epoch -> current answers. What failed, was blocked or is empty is never scored.

    Args:
        asked: items of one split.
        responses: what came back.
    """
    found: dict[int, list[ScoredAnswer]] = {}
    for each in asked:
        stored = responses.find(each["split"], each["id"], each["epoch"], each["key"])
        if stored is not None and stored[1] == "answered":
            answer = line_hash(responses.read(stored[0]))
            found.setdefault(each["epoch"], []).append((each["id"], each["key"], answer))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One asked item, how its generation ended, and what judges said of it.

    Attributes:
        display: its task, as results name it.
        asked: its line of asked.jsonl.
        response: its current line of responses.jsonl; None if there is none yet.
        verdicts: judge id -> the line that counts; a judge that has not seen the answer, or was not read, is missing.
    """

    display: str
    asked: Mapping[str, Any]
    response: Mapping[str, Any] | None
    verdicts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])

    @property
    def item(self) -> str:
        """Task, split, sample and epoch in one text: stable over models and runs."""
        return item(self.display, self.asked["split"], self.asked["id"], self.asked["epoch"])

    @property
    def outcome(self) -> str:
        """How generation ended; an item without a line is an error, as in results.json."""
        return "error" if self.response is None else str(self.response["outcome"])

    @property
    def text(self) -> str:
        """The answer; empty if there is none."""
        return "" if self.response is None else str(self.response["text"])

    @property
    def question(self) -> str:
        """The texts of the prompt in order, an image by its path in brackets."""
        parts: list[Mapping[str, Any]] = [] if self.response is None else self.response["prompt"]
        return "\n".join(part["text"] if "text" in part else f"[image: {part['image']}]" for part in parts)

    @property
    def hash(self) -> str:
        """What ties a verdict to the text; a redacted line has it too."""
        return text_hash("") if self.response is None else line_hash(self.response)

    @property
    def place(self) -> tuple[object, ...]:
        """What a verdict on the answer is found by."""
        asked = self.asked
        return asked["split"], asked["id"], asked["epoch"], asked["key"], self.hash


class AnswerReader:
    """Reads items of one task from its open journals.

    Args:
        display: the task's displayed name.
        responses: answers and failures; None if there are none yet.
        verdicts: judge id -> its journal.
        list_asked: gives the items that were asked of a split.
    """

    def __init__(
        self,
        display: str,
        responses: Journal | None,
        verdicts: Mapping[str, Journal],
        list_asked: Callable[[str], Iterable[Mapping[str, Any]]],
    ) -> None:
        self.responses = responses
        self._display = display
        self._verdicts = verdicts
        self._list_asked = list_asked
        self._digests: dict[str, dict[int, str]] = {}  # split -> epoch -> of its current answers

    def read(self, asked: Mapping[str, Any], judges: Iterable[str] | None = None) -> Answer:
        """The item of a line of asked.jsonl, with the verdicts of these judges, or of all.

        Raises HarnessError, KeyError, TypeError or ValueError for a line that somebody changed.
        """
        where = (asked["split"], asked["id"], asked["epoch"], asked["key"])
        response = None if self.responses is None else self.responses.find_line(*where)
        verdicts: dict[str, Mapping[str, Any]] = {}
        if response is not None and response["outcome"] == "answered" and self._verdicts:
            answer = line_hash(response)
            for judge in self._verdicts if judges is None else judges:
                journal = self._verdicts.get(judge)
                line = None if journal is None else journal.find_line(*where, answer)
                if line is not None and (TOGETHER not in line or self._is_current(line)):
                    verdicts[judge] = line
        return Answer(display=self._display, asked=asked, response=response, verdicts=verdicts)

    def forget_answers(self) -> None:
        """An answer was added or replaced, so a verdict that was given on all answers of a split is checked again."""
        self._digests.clear()

    def _is_current(self, line: Mapping[str, Any]) -> bool:
        """Whether a verdict was given on all answers of its split that are current."""
        split = line["split"]
        if split not in self._digests and self.responses is not None:
            found = list_answers(self._list_asked(split), self.responses)
            self._digests[split] = {epoch: digest_answers(answers) for epoch, answers in found.items()}
        return bool(line[TOGETHER] == self._digests.get(split, {}).get(line["epoch"]))


def read_answers(task: TaskFolder, split: str, judges: Sequence[str] = ()) -> Iterator[Answer]:
    """Each item that was asked of one split, in order, with the verdicts of these judges."""
    with ExitStack() as stack:
        responses = task.responses(write=False)
        stack.callback(responses.close)
        verdicts: dict[str, Journal] = {}
        for judge in judges:
            verdicts[judge] = task.verdicts(judge, write=False)
            stack.callback(verdicts[judge].close)
        reader = AnswerReader(task.display, responses, verdicts, task.read_asked)
        for asked in task.read_asked(split):
            yield reader.read(asked)
