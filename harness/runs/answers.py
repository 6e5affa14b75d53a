"""The answers of a run, read back from its folder: no data set is opened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from harness.keys import item, text_hash
from harness.store.folder import RunFolder
from harness.store.records import stored_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One asked item and how its generation ended.

    Attributes:
        display: its task, as results name it.
        asked: its line of asked.jsonl.
        response: its current line of responses.jsonl; None where there is none yet.
    """

    display: str
    asked: Mapping[str, Any]
    response: Mapping[str, Any] | None

    @property
    def item(self) -> str:
        """Who it is: task, split, sample and epoch in one text."""
        return item(self.display, self.asked["split"], self.asked["id"], self.asked["epoch"])

    @property
    def outcome(self) -> str:
        """How generation ended; an item without a line is an error, as in results.json."""
        return "error" if self.response is None else str(self.response["outcome"])

    @property
    def text(self) -> str:
        """What was answered; empty where nothing was."""
        return "" if self.response is None else str(self.response["text"])

    @property
    def question(self) -> str:
        """What was asked, an image by its path in brackets, in order."""
        parts: list[Mapping[str, Any]] = [] if self.response is None else self.response["prompt"]
        return "\n".join(part["text"] if "text" in part else f"[image: {part['image']}]" for part in parts)

    @property
    def hash(self) -> str:
        """What ties a verdict to its text, also where that was taken out of the line."""
        return text_hash("") if self.response is None else stored_hash(self.response)

    @property
    def place(self) -> tuple[object, ...]:
        """What a verdict on it is found by."""
        return (*_where(self.asked), self.hash)


def answers(folder: RunFolder, display: str, split: str) -> Iterator[Answer]:
    """Every item that was asked of one split, in order."""
    task = folder.task(display)
    with ExitStack() as stack:
        responses = task.responses(write=False)
        stack.callback(responses.close)
        for asked in task.asked(split):
            found = responses.find(*_where(asked))
            yield Answer(display=display, asked=asked, response=None if found is None else responses.read(found[0]))


def _where(asked: Mapping[str, Any]) -> tuple[object, ...]:
    return asked["split"], asked["id"], asked["epoch"], asked["key"]
