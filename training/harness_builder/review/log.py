"""The file of one reviewer: JSON lines that are only ever appended, but for what a hard stop erases.

Invariants: a line is one `write`, safe on disk before the reviewer is told so; a torn line is cut before the next one;
of a candidate the last line counts. Each write looks first at what others have added, so two servers over one folder do
no harm. An erased answer is replaced by a line of the same length that takes it back: a process that has read the file
goes on where it was.
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
_PATIENCE: Final = 10.0  # seconds until another writer has had its turn
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
    """A decision; `shown` is the hash of what was decided on, see `Queue.shown_hash`."""

    review: Review
    shown: str

    @property
    def key(self) -> str:
        """Of the candidate."""
        return self.review.key


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """A candidate that the reviewer would rather not decide."""

    key: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """The last word on this candidate is taken back."""

    key: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OptOut:
    """All categories that the reviewer does not want to see from here on."""

    categories: tuple[str, ...]
    at: str


Entry = Answer | Skip | Undo | OptOut


class ReviewState:
    """What the lines of a file come to.

    Attributes:
        current: what counts of each candidate, the latest at the end.
        first: the first answer on each, by key and by what was shown: before the reviewer could know the model's
        opinion. left_out: categories.
        undone: the candidate whose answer was taken back last, if nothing was said since; else empty.
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
        """Add what one line says."""
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
    """One reviewer's file; made with its first line."""

    def __init__(self, path: Path, reviewer: str) -> None:
        self.path = path
        self.reviewer = reviewer
        self._turn = threading.Lock()
        self._forget()

    def state(self) -> ReviewState:
        """What counts now. Raises BadData for a whole line that is not one of a review."""
        with self._turn:
            self._read_new()
            return self._state.copy()

    def append(self, entry: Entry, check: Callable[[ReviewState], None]) -> None:
        """Write a line.

        Args:
            entry: to be written.
            check: gets the state with others' writes, and raises where the line would be wrong.

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
        """Take back whatever was said of a candidate, and leave no byte of its words. Raises HarnessError if the file
        cannot be written; it is then as before."""
        with self._turn, self._locked():
            if self.path.exists():
                atomic_write(self.path, b"".join(self._without(line, key) for line in read_lines(self.path)))
                self._forget()

    def _without(self, line: bytes, key: str) -> bytes:
        """The line; of an answer on this candidate a line of its length that takes it back."""
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
        """Add the whole lines that were written since."""
        size = self.path.stat().st_size if self.path.exists() else 0
        if size < self._end:  # changed by another hand
            self._forget()
        for line in read_lines(self.path, self._end):
            try:
                self._state.add(parse_entry(json.loads(line), self.reviewer))
            except ValueError as error:
                what, where = f"this is no line of a review: {error}", f"{self.path}, line {self._lines + 1}"
                raise BadData(what, where=where, remedy="fix or remove it") from None
            self._end += len(line)
            self._lines += 1

    @contextmanager
    def _locked(self) -> Generator[None]:
        """Hold the lock of the file, and raise HarnessError where it cannot be written."""
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
    """What a line says. Raises ValueError for what is not a line of this reviewer's."""
    found: Mapping[str, Any] = cast("Mapping[str, Any]", line) if isinstance(line, dict) else {}
    decision = _text(found, "decision")
    if found.get("reviewer") != reviewer:
        raise ValueError(f"it is of reviewer {found.get('reviewer')!r}")
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
