"""The file of one reviewer: JSON lines that are only appended, except those that a hard stop erases.

Invariants: a line is one `write`, safe on disk before the page confirms it; a torn line is cut before the next one; the
last line on a candidate counts. Each write first reads the lines that others have added, so two servers over one folder
do no harm. An erased answer is replaced by a line of the same length that revokes it: a process that has read the file
continues at its position.
"""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from harness.errors import BadData, HarnessError
from harness.files import AppendFile, atomic_write, lock_file, lock_path, read_lines, report_write_errors
from harness.store.journal import encode_line
from harness.types import Json
from harness_builder.values import Review

DECISIONS: Final = ("keep", "drop", "fix")
_PATIENCE: Final = 10.0  # seconds to wait for another writer
_FIELDS: Final[Mapping[str, tuple[type, ...]]] = {
    "key": (str,),
    "reviewer": (str,),
    "decision": (str,),
    "category": (str,),
    "question": (str,),
    "text_unsafe": (bool, type(None)),
    "image_harmful": (bool, type(None)),
    "reason": (str,),
    "seconds": (int, float),
    "at": (str,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A decision; `shown` is the hash of the candidate's content, see `Queue.shown_hash`."""

    review: Review
    shown: str

    @property
    def key(self) -> str:
        """Of the candidate."""
        return self.review.key


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """A candidate that the reviewer skips."""

    key: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """The last answer on this candidate is revoked."""

    key: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OptOut:
    """All categories that the reviewer hides from now on."""

    categories: tuple[str, ...]
    at: str


Entry = Answer | Skip | Undo | OptOut


class ReviewState:
    """The state after all lines of a file.

    Attributes:
        current: the valid answer on each candidate, the latest at the end.
        first: the first answer on each, by key and shown content: before the reviewer could know the model's opinion.
        left_out: hidden categories.
        undone: the candidate whose answer was revoked last, if no answer came since; else empty.
    """

    def __init__(self) -> None:
        self.current: dict[str, Answer | Skip] = {}
        self.first: dict[tuple[str, str], Answer] = {}
        self.left_out: tuple[str, ...] = ()
        self.undone = ""

    def copy(self) -> ReviewState:
        """A copy that later lines do not change."""
        made = ReviewState()
        made.current, made.first, made.left_out = dict(self.current), dict(self.first), self.left_out
        made.undone = self.undone
        return made

    def add(self, entry: Entry) -> None:
        """Apply one line."""
        if isinstance(entry, OptOut):
            self.left_out = entry.categories
            return
        self.current.pop(entry.key, None)
        self.undone = entry.key if isinstance(entry, Undo) else ""
        if not isinstance(entry, Undo):
            self.current[entry.key] = entry
        if isinstance(entry, Answer):
            self.first.setdefault((entry.key, entry.shown), entry)


class ReviewLog:
    """One reviewer's file; created with its first line."""

    def __init__(self, path: Path, reviewer: str) -> None:
        self.path = path
        self.reviewer = reviewer
        self._turn = threading.Lock()
        self._forget()

    def state(self) -> ReviewState:
        """The present state. Raises BadData for a whole line that is not a review."""
        with self._turn:
            self._read_new()
            return self._state.copy()

    def append(self, entry: Entry, check: Callable[[ReviewState], None]) -> None:
        """Write a line.

        Args:
            entry: to write.
            check: gets the state with others' writes, and raises if the line would be wrong.

        Raises:
            HarnessError: the file cannot be written; it then ends as before.
        """
        with self._turn, self._locked():
            self._read_new()
            check(self._state)
            data = encode_line(entry_json(entry, self.reviewer), self.path)
            with AppendFile(self.path) as file:  # cuts a torn line
                file.append(data, sync=True)
            self._end += len(data)
            self._lines += 1
            self._state.add(entry)

    def strike(self, key: str) -> None:
        """Revoke all answers on a candidate, and leave no byte of their words. Raises HarnessError if the file cannot
        be written; it is then as before."""
        with self._turn, self._locked():
            if self.path.exists():
                atomic_write(self.path, b"".join(self._without(line, key) for line in read_lines(self.path)))
                self._forget()

    def _without(self, line: bytes, key: str) -> bytes:
        """The line; for an answer on this candidate, a line of its length that revokes it."""
        try:
            entry = parse_entry(json.loads(line), self.reviewer)
        except ValueError:
            return line
        if not isinstance(entry, Answer) or entry.key != key:
            return line
        data = encode_line(entry_json(Undo(key=key, at=entry.review.at), self.reviewer), self.path)
        return data.rstrip(b"\n").ljust(len(line) - 1) + b"\n"

    def _forget(self) -> None:
        self._state, self._end, self._lines = ReviewState(), 0, 0

    def _read_new(self) -> None:
        """Apply the whole lines written since."""
        size = self.path.stat().st_size if self.path.exists() else 0
        if size < self._end:  # changed by another program
            self._forget()
        for line in read_lines(self.path, self._end):
            try:
                self._state.add(parse_entry(json.loads(line), self.reviewer))
            except ValueError as error:
                what, where = f"this is not a line of a review: {error}", f"{self.path}, line {self._lines + 1}"
                raise BadData(what, where=where, remedy="fix or remove it") from None
            self._end += len(line)
            self._lines += 1

    @contextmanager
    def _locked(self) -> Generator[None]:
        """Hold the lock of the file, and raise HarnessError if it cannot be written."""
        busy = HarnessError("another process holds these reviews", where=str(self.path))
        with report_write_errors(self.path), lock_file(lock_path(self.path), busy=busy, wait=_PATIENCE):
            yield


def entry_json(entry: Entry, reviewer: str) -> dict[str, Json]:
    """An entry as a line of the file."""
    match entry:
        case Answer():
            return {**dataclasses.asdict(entry.review), "reviewer": reviewer, "shown": entry.shown}
        case OptOut():
            return {"reviewer": reviewer, "decision": "left_out", "categories": list(entry.categories), "at": entry.at}
        case Skip():
            return {"key": entry.key, "reviewer": reviewer, "decision": "skipped", "at": entry.at}
        case Undo():
            return {"key": entry.key, "reviewer": reviewer, "decision": "undone", "at": entry.at}


def parse_entry(line: Json, reviewer: str) -> Entry:
    """Parse a line. Raises ValueError if it is not one of this reviewer."""
    found: Mapping[str, Any] = cast("Mapping[str, Any]", line) if isinstance(line, dict) else {}
    decision = _text(found, "decision")
    if found.get("reviewer") != reviewer:
        raise ValueError(f"it belongs to reviewer {found.get('reviewer')!r}")
    if decision in DECISIONS:
        fields = {name: found[name] for name in _FIELDS if name in found}
        return Answer(review=parse_review(fields), shown=_text(found, "shown"))
    match decision:
        case "left_out":
            return OptOut(categories=_texts(found, "categories"), at=_text(found, "at"))
        case "skipped":
            return Skip(key=_text(found, "key"), at=_text(found, "at"))
        case "undone":
            return Undo(key=_text(found, "key"), at=_text(found, "at"))
        case _:
            raise ValueError(f"decision {decision!r} is none of {', '.join(DECISIONS)}, skipped, undone, left_out")


def parse_review(fields: Mapping[str, Any]) -> Review:
    """A review from plain JSON. Raises ValueError for a field that is unknown, missing or of another type."""
    for name, value in fields.items():
        kinds = _FIELDS.get(name)
        if kinds is None:
            raise ValueError(f"{name} is no field of a review")
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise ValueError(f"{name} is {value!r}")
    for name in ("key", "reviewer", "decision"):
        if not fields.get(name):
            raise ValueError(f"{name} is missing")
    if fields["decision"] not in DECISIONS:
        raise ValueError(f"decision {fields['decision']!r} is none of {', '.join(DECISIONS)}")
    return Review(**fields)


def _text(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name)
    if isinstance(value, str):
        return value
    raise ValueError(f"{name} is {value!r}")


def _texts(found: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = found.get(name)
    if isinstance(value, list):
        every = cast("Sequence[Any]", value)
        if all(isinstance(each, str) for each in every):
            return tuple(every)
    raise ValueError(f"{name} is {value!r}")
