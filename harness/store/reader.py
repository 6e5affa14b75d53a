"""Reads the current lines of a task: each asked item once, with its answer and the verdicts that count.

An item's current answer is the last line with the item's key. A verdict counts only for the text that it judged. A
rubric that scores a split at once may compute one number from several answers: each of its lines stores the digest of
all answers that were scored together, and counts only while these are the current answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from harness.dialogues import format_conversation
from harness.keys import digest, item, text_hash
from harness.store.folder import TaskFolder
from harness.store.journal import Journal
from harness.store.records import line_hash
from harness.types import Message, Text

TOGETHER = "together"  #: field of a verdict line: the digest of all answers scored with it
ScoredAnswer = tuple[str, str, str]  #: sample id, key of the question, hash of the answer


def digest_answers(answers: Iterable[ScoredAnswer]) -> str:
    """The digest of the answers of one epoch of a split, in any order."""
    return digest([list(answer) for answer in sorted(answers)])


def list_answers(asked: Iterable[Mapping[str, Any]], responses: Journal) -> dict[int, list[ScoredAnswer]]:
    """Epoch -> current answers, without failures, blocks and empty answers, which are never scored.

    Args:
        asked: the items of one split.
        responses: the journal of answers.
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
    """One asked item, how its generation ended, and its verdicts.

    Attributes:
        display: the task's name in the results.
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
        """Task, split, sample and epoch in one text, the same in all models and runs."""
        return item(self.display, self.asked["split"], self.asked["id"], self.asked["epoch"])

    @property
    def outcome(self) -> str:
        """How generation ended; an item without a line is `unanswered`, as in results.json."""
        return "unanswered" if self.response is None else str(self.response["outcome"])

    @property
    def text(self) -> str:
        """The answer; empty if there is none."""
        return "" if self.response is None else str(self.response["text"])

    @property
    def question(self) -> str:
        """The texts of the prompt in order, of a dialogue with its replies; an image is its path in brackets."""
        parts: list[Mapping[str, Any]] = [] if self.response is None else self.response["prompt"]
        return format_prompt(parts, lambda _number, part: f"[image: {part['image']}]")

    @property
    def hash(self) -> str:
        """The hash that ties a verdict to the text; a redacted line has it too."""
        return text_hash("") if self.response is None else line_hash(self.response)

    @property
    def place(self) -> tuple[object, ...]:
        """The key of a verdict on the answer."""
        asked = self.asked
        return asked["split"], asked["id"], asked["epoch"], asked["key"], self.hash


def format_prompt(parts: Iterable[Mapping[str, Any]], name_image: Callable[[int, Mapping[str, Any]], str]) -> str:
    """The texts of a stored prompt in order, of a dialogue with who says them.

    Args:
        parts: of a line's `prompt`.
        name_image: (number from 1, part) -> what stands in place of an image.
    """
    found: list[Message] = []
    images = 0
    for role, group in groupby(parts, key=lambda part: part["role"]):
        texts: list[Text] = []
        for part in group:
            images += "image" in part
            texts.append(Text(text=str(part["text"]) if "text" in part else name_image(images, part)))
        found.append(Message(role=role, content=tuple(texts)))
    if any(message.role == "assistant" for message in found):
        return format_conversation(found)
    return "\n".join(part.text for message in found for part in message.content if isinstance(part, Text))


class AnswerReader:
    """Reads items of one task from its open journals.

    Args:
        display: the task's displayed name.
        responses: answers and failures; None if there are none yet.
        verdicts: judge id -> its journal.
        list_asked: returns a split's asked items.
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
        self._digests: dict[str, dict[int, str]] = {}  # split -> epoch -> digest of its current answers

    def read(self, asked: Mapping[str, Any], judges: Iterable[str] | None = None) -> Answer:
        """The item of a line of asked.jsonl, with the verdicts of these judges, or of all.

        Raises HarnessError, KeyError, TypeError or ValueError for a damaged line.
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
        """Check verdicts on whole splits again, because an answer was added or replaced."""
        self._digests.clear()

    def _is_current(self, line: Mapping[str, Any]) -> bool:
        """Whether a verdict covers exactly the current answers of its split."""
        split = line["split"]
        if split not in self._digests and self.responses is not None:
            found = list_answers(self._list_asked(split), self.responses)
            self._digests[split] = {epoch: digest_answers(answers) for epoch, answers in found.items()}
        return bool(line[TOGETHER] == self._digests.get(split, {}).get(line["epoch"]))


def read_answers(task: TaskFolder, split: str, judges: Sequence[str] = ()) -> Iterator[Answer]:
    """Each asked item of one split, in order, with the verdicts of these judges."""
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
