"""The file of one person: JSON lines that are only appended, except those that `strike` erases.

Invariants: a line is one `write`, safe on disk before the page confirms it; a torn line is cut before the next one; the
last line on a key counts. Each write first reads the lines that others have added, so two servers over one folder do no
harm. An erased answer is replaced by a line of the same length that revokes it, in a new file: whoever has the old one
open reads the new one from its beginning, and one that does not notice continues at its position.

A line that is no answer says so in one field (`LogFormat.act`): skipped, undone, left_out, paused or resumed.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Generic, TypeVar, cast

from harness.errors import BadData, HarnessError
from harness.files import AppendFile, atomic_write, lock_file, lock_path, read_lines, report_write_errors
from harness.store.journal import encode_line
from harness.types import Json

P = TypeVar("P")  #: what an answer holds: a decision, a label

#: the other acts, as `LogFormat.act` names them
SKIPPED, UNDONE, LEFT_OUT, PAUSED, RESUMED = "skipped", "undone", "left_out", "paused", "resumed"
ACTS: Final = (SKIPPED, UNDONE, LEFT_OUT, PAUSED, RESUMED)
_PATIENCE: Final = 10.0  # seconds to wait for another writer


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Generic[P]):
    """An answer on one key.

    Attributes:
        key: of what was shown.
        payload: what the person said.
        shown: a hash of what was shown; with another one the answer is outdated.
        at: ISO 8601.
    """

    key: str
    payload: P
    shown: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """A key that the person skips."""

    key: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """The last answer on this key is revoked."""

    key: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OptOut:
    """All categories that the person hides from now on."""

    categories: tuple[str, ...]
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """The person rests from now on, or goes on again."""

    ended: bool
    at: str


Entry = Answer[P] | Skip | Undo | OptOut | Pause


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFormat(Generic[P]):
    """How one kind of file writes its lines.

    Attributes:
        prefix: of the files' names, `reviews` for `reviews-<name>.jsonl`.
        noun: for messages: `a review`.
        key: field with the key.
        reviewer: field with the name of the person whose file it is.
        act: field that tells the acts of `ACTS` from answers.
        write: the line of an answer, without its reviewer.
        read: the answer of a line. Raises ValueError if it is none.
        timespec: of the times, see `datetime.isoformat`. Where one person has several files, their lines are ordered by
            it: take `milliseconds`.
    """

    prefix: str
    noun: str
    key: str
    reviewer: str
    act: str
    write: Callable[[Answer[P]], dict[str, Json]]
    read: Callable[[Mapping[str, Any]], Answer[P]]
    timespec: str = "seconds"

    def now(self) -> str:
        """The present time, as the lines hold it."""
        return datetime.now(UTC).isoformat(timespec=self.timespec)

    def to_line(self, entry: Entry[P], reviewer: str) -> dict[str, Json]:
        """An entry as a line of the file."""
        match entry:
            case Answer():
                return {**self.write(entry), self.reviewer: reviewer}
            case OptOut():
                return {
                    self.reviewer: reviewer,
                    self.act: LEFT_OUT,
                    "categories": list(entry.categories),
                    "at": entry.at,
                }
            case Pause():
                return {self.reviewer: reviewer, self.act: RESUMED if entry.ended else PAUSED, "at": entry.at}
            case Skip() | Undo():
                act = SKIPPED if isinstance(entry, Skip) else UNDONE
                return {self.key: entry.key, self.reviewer: reviewer, self.act: act, "at": entry.at}

    def from_line(self, line: Json, reviewer: str) -> Entry[P]:
        """Parse a line. Raises ValueError if it is not one of this reviewer."""
        found: Mapping[str, Any] = cast("Mapping[str, Any]", line) if isinstance(line, dict) else {}
        act = read_text(found, self.act)
        if found.get(self.reviewer) != reviewer:
            raise ValueError(f"it belongs to {self.reviewer} {found.get(self.reviewer)!r}")
        match act:
            case "left_out":
                return OptOut(categories=_read_texts(found, "categories"), at=read_text(found, "at"))
            case "skipped":
                return Skip(key=read_text(found, self.key), at=read_text(found, "at"))
            case "undone":
                return Undo(key=read_text(found, self.key), at=read_text(found, "at"))
            case "paused" | "resumed":
                return Pause(ended=act == RESUMED, at=read_text(found, "at"))
            case _:
                return self.read(found)


class LogState(Generic[P]):
    """The state after all lines of a file.

    Attributes:
        current: the valid answer on each key, the latest at the end.
        first: the first answer on each, by key and shown content: before the person could know a machine's opinion.
        withdrawn: keys whose answer was revoked and that have none since.
        left_out: hidden categories.
        undone: the key whose answer was revoked last, if no answer came since; else empty.
        paused: since when the person rests; empty if they do not.
        last_at: time of the last answer, skip, undo or pause.
    """

    def __init__(self) -> None:
        self.current: dict[str, Answer[P] | Skip] = {}
        self.first: dict[tuple[str, str], Answer[P]] = {}
        self.withdrawn: dict[str, Undo] = {}
        self.left_out: tuple[str, ...] = ()
        self.undone = ""
        self.paused = ""
        self.last_at = ""

    def copy(self) -> LogState[P]:
        """A copy that later lines do not change."""
        made = LogState[P]()
        made.current, made.first, made.withdrawn = dict(self.current), dict(self.first), dict(self.withdrawn)
        made.left_out, made.undone = self.left_out, self.undone
        made.paused, made.last_at = self.paused, self.last_at
        return made

    def add(self, entry: Entry[P]) -> None:
        """Apply one line. An answer, a skip and an undo end a pause."""
        if isinstance(entry, OptOut):
            self.left_out = entry.categories
            return
        self.last_at = entry.at
        self.paused = entry.at if isinstance(entry, Pause) and not entry.ended else ""
        if isinstance(entry, Pause):
            return
        self.current.pop(entry.key, None)
        self.withdrawn.pop(entry.key, None)
        self.undone = entry.key if isinstance(entry, Undo) else ""
        if isinstance(entry, Undo):
            self.withdrawn[entry.key] = entry
        else:
            self.current[entry.key] = entry
        if isinstance(entry, Answer):
            self.first.setdefault((entry.key, entry.shown), entry)


class ReviewLog(Generic[P]):
    """One person's file; created with its first line."""

    def __init__(self, path: Path, reviewer: str, form: LogFormat[P]) -> None:
        self.path = path
        self.reviewer = reviewer
        self.form = form
        self._turn = threading.Lock()
        self._forget()

    def state(self) -> LogState[P]:
        """The present state. Raises BadData for a whole line that is not of this format."""
        with self._turn:
            self._read_new()
            return self._state.copy()

    def append(self, entry: Entry[P], check: Callable[[LogState[P]], None]) -> None:
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
            data = encode_line(self.form.to_line(entry, self.reviewer), self.path)
            with AppendFile(self.path) as file:  # cuts a torn line
                file.append(data, sync=True)
            self._end += len(data)
            self._lines += 1
            self._state.add(entry)

    def strike(self, key: str) -> None:
        """Revoke all answers on a key, and leave no byte of their words. Raises HarnessError if the file cannot be
        written; it is then as before."""
        with self._turn, self._locked():
            if not self.path.exists():
                return
            lines = list(read_lines(self.path))
            for place, line in enumerate(lines):
                try:
                    entry = self.form.from_line(json.loads(line), self.reviewer)
                except (ValueError, RecursionError):
                    continue
                if isinstance(entry, Answer) and entry.key == key:
                    data = encode_line(self.form.to_line(Undo(key=key, at=entry.at), self.reviewer), self.path)
                    lines[place] = data.rstrip(b"\n").ljust(len(line) - 1) + b"\n"
            atomic_write(self.path, b"".join(lines))  # also without a whole line: a torn one goes
            self._forget()

    def _forget(self) -> None:
        self._state, self._end, self._lines, self._inode = LogState[P](), 0, 0, 0

    def _read_new(self) -> None:
        """Apply the whole lines written since."""
        try:
            there = self.path.stat() if self.path.exists() else None
            size, inode = (there.st_size, there.st_ino) if there else (0, 0)
            if size < self._end or inode != self._inode:  # changed by another program, or erased from
                self._forget()
                self._inode = inode
            for line in read_lines(self.path, self._end):
                self._apply(line)
        except OSError as error:
            raise HarnessError(
                f"cannot be read: {error.strerror}",
                where=str(self.path),
                remedy="make the file readable and reload the page",
            ) from None

    def _apply(self, line: bytes) -> None:
        try:
            self._state.add(self.form.from_line(json.loads(line), self.reviewer))
        except (ValueError, RecursionError) as error:
            what = f"this is not a line of {self.form.noun}: {error}"
            where = f"{self.path}, line {self._lines + 1}"
            raise BadData(what, where=where, remedy="fix or remove it") from None
        self._end += len(line)
        self._lines += 1

    @contextmanager
    def _locked(self) -> Generator[None]:
        """Hold the lock of the file, and raise HarnessError if it cannot be written."""
        busy = HarnessError(
            "another process holds these reviews", where=str(self.path), remedy="end it, or wait and send this again"
        )
        with report_write_errors(self.path), lock_file(lock_path(self.path), busy=busy, wait=_PATIENCE):
            yield


def read_text(found: Mapping[str, Any], name: str) -> str:
    """A field that must be a text. Raises ValueError."""
    value = found.get(name)
    if isinstance(value, str):
        return value
    raise ValueError(f"{name} is {value!r}")


def _read_texts(found: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = found.get(name)
    if isinstance(value, list):
        every = cast("Sequence[Any]", value)
        if all(isinstance(each, str) for each in every):
            return tuple(every)
    raise ValueError(f"{name} is {value!r}")
