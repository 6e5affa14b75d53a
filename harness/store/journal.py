"""One file of JSON lines that is only ever appended to, and an index of what it holds.

Invariants: a line is written by one `write`; a line that was begun and not ended is cut when the file is opened; the
last line with a key is the current one, all before it are history. The index keeps an offset and a state for each key,
no text, so that a run of any length fits in memory; a line is read back by its offset.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from harness.errors import HarnessError
from harness.types import Json

#: Every line starts with these fields in this order, so that the index need not parse the rest.
_HEAD = re.compile(
    rb'\{"id": ?("(?:[^"\\]|\\.)*"), ?"split": ?("(?:[^"\\]|\\.)*"), ?"epoch": ?(\d+), ?"key": ?"([^"]*)", ?'
    rb'"(?:outcome|answer)": ?"([^"]*)"(?:, ?"state": ?"([^"]*)")?'
)


def place(*parts: object) -> int:
    """A 64-bit hash of what a line is found by: a key of 8 bytes instead of 100."""
    text = "\0".join(map(str, parts)).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


class Index:
    """Where the current line of each key is in a journal; it can be kept when the journal is closed, and grown later.

    Args:
        path: of the file it was found in.
    """

    __slots__ = ("_inode", "end", "places")

    def __init__(self, path: Path | None = None) -> None:
        self.places: dict[int, int] = {}
        self.end = 0
        self._inode = None if path is None else _inode(path)

    def holds(self, path: Path) -> bool:
        """Whether the file is still the one it was found in, with as much in it or more."""
        found = _inode(path)
        return found is not None and found == self._inode and path.stat().st_size >= self.end


class Journal:
    """An append-only file of JSON lines.

    Args:
        path: of the file; made when it is missing.
        names: state names; their number in this tuple is what the index keeps.
        write: take the lock, cut a torn end and allow `append`; else the file is only read, and may be missing.
        load: index what is there; else the first `grow` does.
        index: of an earlier reader, which this one grows.

    Raises HarnessError when another process writes to it.
    """

    def __init__(
        self, path: Path, names: tuple[str, ...], *, write: bool = True, load: bool = True, index: Index | None = None
    ) -> None:
        self.path = path
        self._names = names
        self._index = Index() if index is None else index
        self._dirty = False
        self._lock = _lock(path) if write else None
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644) if write else _reader(path)
        if load:
            deque(self.grow(), maxlen=0)
        if write:
            os.ftruncate(self._fd, self._index.end)

    def __len__(self) -> int:
        return len(self._index.places)

    def find(self, *where: object) -> tuple[int, str] | None:
        """Offset and state of the current line found by these parts."""
        entry = self._index.places.get(place(*where))
        return None if entry is None else (entry >> 4, self._names[entry & 15])

    def read(self, offset: int) -> dict[str, Any]:
        """The line at an offset. Raises HarnessError when the file was changed under our hands."""
        line = self._line(offset)
        try:
            return dict(json.loads(line))
        except ValueError:
            raise HarnessError("a line of the run folder is not JSON", where=f"{self.path}, byte {offset}") from None

    def append(self, line: Mapping[str, Json], *where: object, state: str) -> None:
        """Write one line and make it the current one of these parts.

        Raises HarnessError when it is no JSON or the disk does not take it; the file then ends as before.
        """
        data = encoded(line, self.path)
        try:
            written = os.write(self._fd, data)
        except OSError as error:
            raise self._refused(error.strerror or "input/output error") from error
        if written != len(data):
            raise self._refused("no space left on device")
        self._note(where, self._index.end, state)
        self._index.end += len(data)
        self._dirty = True

    def sync(self) -> None:
        """Make what was written outlive a power cut."""
        if self._dirty:
            self._dirty = False
            os.fsync(self._fd)

    def close(self) -> None:
        """Sync and let the lock go."""
        self.sync()
        os.close(self._fd)
        self._fd = -1
        if self._lock is not None:
            self._lock.release()

    def _refused(self, why: str) -> HarnessError:
        os.ftruncate(self._fd, self._index.end)
        return HarnessError(f"cannot write: {why}", where=str(self.path), remedy="free some space and run it again")

    def _note(self, where: tuple[object, ...], offset: int, state: str) -> None:
        self._index.places[place(*where)] = offset << 4 | self._names.index(state)

    def _line(self, offset: int) -> bytes:
        size, data = 1 << 13, b""
        while b"\n" not in data and len(data) < self._index.end - offset:
            data = os.pread(self._fd, size, offset)
            size *= 4
        return data.partition(b"\n")[0]

    @property
    def end(self) -> int:
        """Bytes of the whole lines that are indexed."""
        return self._index.end

    def grow(self) -> Iterator[tuple[str, ...]]:
        """Index the whole lines that were added since; lazily what each of them is found by, in order."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._index.end)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                head, start = _head(line), self._index.end
                self._index.end += len(line)
                if head is not None and head[-1] in self._names:
                    self._note(head[:-1], start, head[-1])
                    yield head[:-1]


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


def _reader(path: Path) -> int:
    return os.open(path if path.exists() else os.devnull, os.O_RDONLY)


def _head(line: bytes) -> tuple[str, ...] | None:
    """What a line is found by, and its state; None for a line that is not ours.

    A response line is found by (split, id, epoch, key); a verdict line by these and the hash of the judged answer.
    """
    match = _HEAD.match(line)
    if match is None:
        return None
    sample, split, epoch, key, second, state = match.groups()
    try:
        found = (_text(split), _text(sample), epoch.decode(), key.decode(), second.decode())
    except ValueError:  # no JSON, or no UTF-8: changed by another hand
        return None
    return found if state is None else (*found, state.decode())


def _text(quoted: bytes) -> str:
    """What a JSON string says; most hold no escape, and need no parser."""
    return str(json.loads(quoted)) if b"\\" in quoted else quoted[1:-1].decode()


def _lock(path: Path) -> FileLock:
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise HarnessError(
            "another process is writing to this run", where=str(path), remedy="wait for it, or give --output"
        ) from None
    return lock


def encoded(line: Mapping[str, Json], path: Path) -> bytes:
    """A line of the file at `path`. Raises HarnessError for what JSON cannot hold: NaN, infinity, an object."""
    try:
        text = json.dumps(line, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        who = f"{path}, sample {line.get('id')!r}"
        raise HarnessError(f"a plugin gave what JSON cannot hold: {error}", where=who) from None
    return text.encode("utf-8", "backslashreplace") + b"\n"


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """All whole lines of a file; none when it is missing."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield json.loads(line)


def replace(path: Path, text: str | Iterable[str]) -> None:
    """Replace a file in one step, so that a reader sees the old or the new and never half.

    Args:
        path: of the file.
        text: all of it, or its pieces one after the other.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.unlink(missing_ok=True)  # of a process that was killed, or a link that would be followed
    try:
        with scratch.open("x", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines((text,) if isinstance(text, str) else text)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except OSError:
        scratch.unlink(missing_ok=True)
        raise
