"""An append-only file of JSON lines, and an index of its lines.

Invariants: one `write` writes a line; opening the file for writing cuts a torn last line; the last line with a key is
the current one, and all earlier ones are history. The index keeps an offset and a state for each key but no text, so
that a run of any length fits in memory; a line is read by its offset.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from harness.errors import HarnessError
from harness.files import LOOK_SECONDS, HeldLock, lock_file, lock_path, read_lines
from harness.types import Json

#: Every line starts with these fields in this order, so that the index need not parse the rest.
_HEAD = re.compile(
    rb'\{"id": ?("(?:[^"\\]|\\.)*"), ?"split": ?("(?:[^"\\]|\\.)*"), ?"epoch": ?(\d+), ?"key": ?"([^"]*)", ?'
    rb'"(?:outcome|answer)": ?"([^"]*)"(?:, ?"state": ?"([^"]*)")?'
)


def place(*parts: object) -> int:
    """A 64-bit hash of a line's key: 8 bytes instead of 100."""
    text = "\0".join(map(str, parts)).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def stat_file(path: Path) -> tuple[int, int, int]:
    """Inode, size in bytes and time of the last change in ns; zeros for a missing file."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0, 0
    return found.st_ino, found.st_size, found.st_mtime_ns


class Index:
    """Where the current line of each key is in a journal. A later reader of the file can reuse it.

    Args:
        path: the indexed file.
    """

    __slots__ = ("_inode", "end", "places")

    def __init__(self, path: Path | None = None) -> None:
        self.places: dict[int, int] = {}
        self.end = 0
        self._inode = 0 if path is None else stat_file(path)[0]

    def fits(self, path: Path) -> bool:
        """Whether the file is still the indexed one and not shorter."""
        inode, size, _ = stat_file(path)
        return inode != 0 and inode == self._inode and size >= self.end


class Journal:
    """An append-only file of JSON lines.

    Args:
        path: the file; made if missing.
        names: names of the states; the index stores a state's position in this tuple.
        write: take the lock, cut a torn end and allow `append`. Otherwise the file is only read, and may be missing.
        load: index the file now; otherwise the first `index_new_lines` does. A file open for writing is always indexed,
            because its torn end starts after the last indexed line.
        index: the index of an earlier reader, to extend.

    Raises HarnessError if another process writes to the file.
    """

    def __init__(
        self, path: Path, names: tuple[str, ...], *, write: bool = True, load: bool = True, index: Index | None = None
    ) -> None:
        self.path = path
        self._names = names
        self._index = Index() if index is None else index
        self._dirty = False
        self._lock: HeldLock | None = None
        if write:
            busy = "another process is writing to this run"
            remedy = "wait for it, or give another --output"
            error = HarnessError(busy, where=str(path), remedy=remedy)
            self._lock = lock_file(lock_path(path), busy=error, wait=LOOK_SECONDS)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        else:
            self._fd = os.open(path if path.exists() else os.devnull, os.O_RDONLY)
        if load or write:
            deque(self.index_new_lines(), maxlen=0)
        if write:
            os.ftruncate(self._fd, self._index.end)

    def __len__(self) -> int:
        return len(self._index.places)

    @property
    def end(self) -> int:
        """Bytes of the indexed whole lines."""
        return self._index.end

    def find(self, *where: object) -> tuple[int, str] | None:
        """Offset and state of the current line with this key; None if there is none."""
        entry = self._index.places.get(place(*where))
        return None if entry is None else (entry >> 4, self._names[entry & 15])

    def read(self, offset: int) -> dict[str, Any]:
        """The line at an offset. Raises HarnessError if the file was changed."""
        size, data = 1 << 13, b""
        while b"\n" not in data and len(data) < self._index.end - offset:
            data = os.pread(self._fd, size, offset)
            size *= 4
        try:
            return dict(json.loads(data.partition(b"\n")[0]))
        except ValueError:
            what = "a line of the run folder is not JSON"
            remedy = f"harness verify {self.path.parent.parent} names each damaged line"
            raise HarnessError(what, where=f"{self.path}, byte {offset}", remedy=remedy) from None

    def find_line(self, *where: object) -> dict[str, Any] | None:
        """The current line with this key. Raises as `read`."""
        entry = self._index.places.get(place(*where))
        return None if entry is None else self.read(entry >> 4)

    def append(self, line: Mapping[str, Json], *where: object, state: str) -> None:
        """Write one line and make it the current one of this key.

        Raises HarnessError if it is not JSON or cannot be written; the file is then unchanged.
        """
        data = encode_line(line, self.path)
        failed: OSError | None = None
        try:
            written = os.write(self._fd, data)
        except OSError as error:
            written, failed = 0, error
        if written != len(data):
            os.ftruncate(self._fd, self._index.end)
            why = "no space left on device" if failed is None else failed.strerror or "input/output error"
            remedy = "free some space and run it again"
            raise HarnessError(f"cannot write: {why}", where=str(self.path), remedy=remedy) from failed
        self._index.places[place(*where)] = self._index.end << 4 | self._names.index(state)
        self._index.end += len(data)
        self._dirty = True

    def sync(self) -> None:
        """Make all written lines survive a power cut. Raises HarnessError if the disk fails."""
        if not self._dirty:
            return
        self._dirty = False
        try:
            os.fsync(self._fd)
        except OSError as error:
            self._dirty = True
            why = error.strerror or "input/output error"
            remedy = "check the disk, and run it again: whole lines are kept"
            raise HarnessError(f"cannot write: {why}", where=str(self.path), remedy=remedy) from error

    def close(self) -> None:
        """Sync and release the lock. Raises as `sync`; the journal is closed anyway."""
        try:
            self.sync()
        finally:
            os.close(self._fd)
            self._fd = -1
            if self._lock is not None:
                self._lock.release()

    def index_new_lines(self) -> Iterator[tuple[str, ...]]:
        """Index the whole lines added since; yield the key of each, in order."""
        for line in read_lines(self.path, self._index.end):
            head, start = _parse_head(line), self._index.end
            self._index.end += len(line)
            if head is not None and head[-1] in self._names:
                self._index.places[place(*head[:-1])] = start << 4 | self._names.index(head[-1])
                yield head[:-1]


def _parse_head(line: bytes) -> tuple[str, ...] | None:
    """The key of a line, and its state; None for a line of another shape.

    The key of a response line is (split, id, epoch, key); a verdict line adds the hash of the judged answer.
    """
    match = _HEAD.match(line)
    if match is None:
        return None
    sample, split, epoch, key, second, state = match.groups()

    def unquote(quoted: bytes) -> str:  # most have no escape and need no parser
        return str(json.loads(quoted)) if b"\\" in quoted else quoted[1:-1].decode()

    try:
        found = (unquote(split), unquote(sample), epoch.decode(), key.decode(), second.decode())
    except ValueError:  # neither JSON nor UTF-8: the file was edited
        return None
    return found if state is None else (*found, state.decode())


def encode_line(line: Mapping[str, Json], path: Path) -> bytes:
    """A line of the file at `path`. Raises HarnessError for what JSON cannot hold: NaN, infinity, an object."""
    try:
        text = json.dumps(line, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        who = f"{path}, sample {line.get('id')!r}"
        raise HarnessError(f"a plugin returned what JSON cannot hold: {error}", where=who) from None
    return text.encode("utf-8", "backslashreplace") + b"\n"


def load_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Parse each whole line of a file; yields none for a missing file."""
    return map(json.loads, read_lines(path))


def load_objects(path: Path) -> Iterator[dict[str, Any]]:
    """Parse each whole line of a file that is a JSON object; others, and a missing file, are passed over."""
    for line in read_lines(path):
        try:
            found: object = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            yield cast("dict[str, Any]", found)
