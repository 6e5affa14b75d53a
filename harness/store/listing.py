"""asked.jsonl of one task: the asked items, by split, and the new listings that replace old ones.

The file is parsed once for all splits, and replaced once for all splits that an invocation lists. So a split costs the
same even among a thousand others.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final

from harness.errors import HarnessError
from harness.store.journal import encode_line
from harness.types import Json

SCRATCH: Final = ".asked.jsonl.new"  #: the new file, until it replaces asked.jsonl
#: every line starts with these fields, so that a line's split is known without parsing the rest
_HEAD: Final = re.compile(rb'\{"id": ?"(?:[^"\\]|\\.)*", ?"split": ?("(?:[^"\\]|\\.)*")')


class Asked:
    """The lines of asked.jsonl by split; finds each split's lines once for each state of the file.

    Args:
        path: the file; may be missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp = (0, 0, 0)
        self._spans: dict[str, list[tuple[int, int]]] = {}  # split -> where its lines begin and end, in order

    def read_items(self, split: str) -> Iterator[dict[str, Any]]:
        """The items of one split, in order; none if the file is missing. Raises HarnessError for a damaged file."""
        return map(self.parse_item, self.read_lines(split))

    def parse_item(self, line: bytes) -> dict[str, Any]:
        """The item of a line. Raises HarnessError for a damaged one."""
        try:
            found: dict[str, Any] = json.loads(line)
        except ValueError as error:
            raise self._damage_error() from error
        return found

    def read_lines(self, split: str) -> Iterator[bytes]:
        """The lines of one split, as `read_items`."""
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return
        with file:
            for start, end in self._find_spans(file).get(split, ()):
                file.seek(start)
                while start < end:
                    line = file.readline()
                    start += len(line)
                    yield line

    def list_splits(self) -> tuple[str, ...]:
        """The splits that have lines, in order."""
        try:
            with self.path.open("rb") as file:
                return tuple(self._find_spans(file))
        except FileNotFoundError:
            return ()

    def _find_spans(self, file: IO[bytes]) -> Mapping[str, list[tuple[int, int]]]:
        """The spans of each split's lines. A torn last line does not count."""
        state = os.fstat(file.fileno())
        stamp = (state.st_ino, state.st_size, state.st_mtime_ns)
        if self._stamp == stamp:
            return self._spans
        found: dict[str, list[tuple[int, int]]] = {}
        last, end = "", 0
        for line in file:
            if not line.endswith(b"\n"):
                break
            start, end = end, end + len(line)
            match = _HEAD.match(line)
            try:
                split = str(json.loads(line)["split"] if match is None else json.loads(match[1]))
            except (ValueError, KeyError, TypeError) as error:
                raise self._damage_error() from error
            spans = found.setdefault(split, [])
            if spans and split == last:
                spans[-1] = (spans[-1][0], end)
            else:
                spans.append((start, end))
            last = split
        self._stamp, self._spans = stamp, found
        return found

    def _damage_error(self) -> HarnessError:
        what = "one of its lines is not an asked item"
        return HarnessError(what, where=str(self.path), remedy="restore the file, or run with --fresh")


class Listings:
    """The new listings of one task, written to one file, split by split; together they replace the old ones.

    Args:
        asked: the old listings.
    """

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._complete: dict[str, Listing] = {}
        self._scratch = asked.path.with_name(SCRATCH)
        self._file: IO[bytes] | None = None

    def open(self, split: str, *, keep: bool) -> Listing:
        """Begin the new listing of one split. Only one is open at a time.

        Args:
            split: the split's name.
            keep: whether old items that are not listed again stay (a lower `--limit` never shrinks a run).
        """
        if self._file is None:
            self._scratch.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._scratch.open("wb")
        return Listing(self._complete, self._asked, split, self._file, keep=keep)

    def replace_old(self) -> None:
        """Replace the old listings with all complete ones, in one step. Does nothing if there are none."""
        if self._file is not None and self._complete:
            for split in self._asked.list_splits():
                new = self._complete.get(split)
                self._file.writelines(self._asked.read_lines(split) if new is None else new.old_lines())
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._scratch.replace(self._asked.path)
            self._file = None
        self.drop()

    def drop(self) -> None:
        """Keep the old listings. Does nothing after `replace_old`."""
        if self._file is not None:
            with suppress(OSError):  # a full disk was already reported, and must not keep the file
                self._file.close()
            self._scratch.unlink(missing_ok=True)
            self._file = None


class Listing:
    """The new listing of one split.

    Args:
        complete: split -> listing; `finish` adds this one.
        asked: the old listings.
        split: the split's name.
        file: the file to write to.
        keep: as in `Listings.open`.
    """

    def __init__(self, complete: dict[str, Listing], asked: Asked, split: str, file: IO[bytes], *, keep: bool) -> None:
        self.split = split
        self._complete = complete
        self._asked = asked
        self._keep = keep
        self._file = file
        self._start = file.tell()
        self._open = True
        self._seen: set[tuple[str, int]] = set()
        self._content = 0

    def add(self, line: Mapping[str, Json], content: str) -> None:
        """List one item; `content` is the digest of its data, empty for a further epoch of a sample."""
        self._content = (self._content + int(content.rpartition(":")[2] or "0", 16)) % 2**256
        if self._keep:
            self._seen.add((line["id"], line["epoch"]))
        self._file.write(encode_line(line, self._asked.path))

    @property
    def content(self) -> str:
        """Hash of all listed data, in any order: hex sum of the items' digests."""
        return f"{self._content:064x}"

    def old_items(self) -> Iterator[Mapping[str, Json]]:
        """The old items of this split that stay and are not listed again."""
        return map(self._asked.parse_item, self.old_lines())

    def old_lines(self) -> Iterator[bytes]:
        """The lines of `old_items`."""
        for line in self._asked.read_lines(self.split) if self._keep else ():
            item = self._asked.parse_item(line)
            if (item["id"], item["epoch"]) not in self._seen:
                yield line

    def finish(self) -> None:
        """Mark the listing complete: it will replace the old one together with its task's other listings."""
        self._open = False
        self._complete[self.split] = self

    def abandon(self) -> None:
        """Remove the listing from the file, so that the old one stays. Does nothing after `finish`."""
        if self._open:
            self._open = False
            self._file.seek(self._start)
            self._file.truncate()
