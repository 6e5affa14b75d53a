"""What was asked: asked.jsonl of one task, found by split, and the listings that take the place of old ones.

The file is parsed once however many splits it holds, and replaced once for all splits that one invocation lists, so
that a split costs the same beside a thousand others.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, Final

from harness.errors import HarnessError
from harness.store.journal import encoded
from harness.types import Json

SCRATCH: Final = ".asked.jsonl.new"  #: beside asked.jsonl, until it takes that one's place
#: every line starts with these fields, so that nothing else of a line is parsed to know its split
_HEAD: Final = re.compile(rb'\{"id": ?"(?:[^"\\]|\\.)*", ?"split": ?("(?:[^"\\]|\\.)*")')
_Spans = Mapping[str, list[tuple[int, int]]]  #: split -> where its lines begin and end, in order
_Stamp = tuple[int, int, int]


class Asked:
    """The lines of asked.jsonl by split. Where each split's lines lie is found once for each state of the file.

    Args:
        path: of the file; it may be missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: tuple[_Stamp, _Spans] = ((0, 0, 0), MappingProxyType({}))

    def of(self, split: str) -> Iterator[dict[str, Any]]:
        """The lines of one split, in order; none where the file is missing. Raises HarnessError for a damaged one."""
        for line in self.raw(split):
            try:
                found = json.loads(line)
            except ValueError as error:
                raise _damaged(self.path) from error
            yield found

    def raw(self, split: str) -> Iterator[bytes]:
        """The same, as they stand in the file."""
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return
        with file:
            for start, end in self._spans(file).get(split, ()):
                file.seek(start)
                while start < end:
                    line = file.readline()
                    start += len(line)
                    yield line

    def splits(self) -> tuple[str, ...]:
        """The splits that have lines, in order."""
        try:
            with self.path.open("rb") as file:
                return tuple(self._spans(file))
        except FileNotFoundError:
            return ()

    def _spans(self, file: IO[bytes]) -> _Spans:
        found = os.fstat(file.fileno())
        stamp = (found.st_ino, found.st_size, found.st_mtime_ns)
        if self._known[0] != stamp:
            try:
                self._known = (stamp, _spans(file))
            except (ValueError, KeyError, TypeError) as error:
                raise _damaged(self.path) from error
        return self._known[1]


def _damaged(path: Path) -> HarnessError:
    what = "a line of it does not say what was asked"
    return HarnessError(what, where=str(path), remedy="restore the file, or run with --fresh")


def _spans(file: IO[bytes]) -> _Spans:
    """Where the lines of each split lie; a line that was begun and not ended is none."""
    found: dict[str, list[tuple[int, int]]] = {}
    last, end = "", 0
    for line in file:
        if not line.endswith(b"\n"):
            break
        start, end = end, end + len(line)
        split = _split_of(line)
        spans = found.setdefault(split, [])
        if spans and split == last:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
        last = split
    return found


def _split_of(line: bytes) -> str:
    match = _HEAD.match(line)
    return str(json.loads(line)["split"] if match is None else json.loads(match[1]))


class Listings:
    """The new listings of one task: collected on disk, split by split, and put in the old ones' place together.

    Args:
        asked: the old ones.
    """

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._done: dict[str, Listing] = {}
        self._scratch = asked.path.with_name(SCRATCH)
        self._file: IO[bytes] | None = None

    def of(self, split: str, *, keep: bool) -> Listing:
        """A new listing of one split; only one is open at a time.

        Args:
            split: its name.
            keep: items of the old listing that are not listed anew stay (a lower `--limit` never shrinks a run).
        """
        if self._file is None:
            self._scratch.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._scratch.open("wb")
        return Listing(self, self._asked, split, self._file, keep=keep)

    def take(self, listing: Listing) -> None:
        """A listing is complete."""
        self._done[listing.split] = listing

    def leave(self, listing: Listing) -> None:
        """A listing will not be complete."""
        listing.cut()

    def put(self) -> None:
        """Put all that are complete in the place of the old ones, in one step; nothing where there are none."""
        if self._file is not None and self._done:
            for line in self._kept():
                self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._scratch.replace(self._asked.path)
            self._file = None
        self.drop()

    def drop(self) -> None:
        """Leave the old ones as they were; nothing after `put`."""
        if self._file is not None:
            with suppress(OSError):  # a full disk has been told of, and must not keep the file here
                self._file.close()
            self._scratch.unlink(missing_ok=True)
            self._file = None

    def _kept(self) -> Iterator[bytes]:
        """Lines of the old listings that stay."""
        for split in self._asked.splits():
            new = self._done.get(split)
            if new is None:
                yield from self._asked.raw(split)
            else:
                yield from (line for line, _ in new.left())


class SingleListing(Listings):
    """The listing of one split alone, which takes its place at once."""

    def take(self, listing: Listing) -> None:
        """It is complete, and so are all."""
        super().take(listing)
        self.put()

    def leave(self, listing: Listing) -> None:
        """It will not be complete, and nothing is."""
        super().leave(listing)
        self.drop()


class Listing:
    """What is asked of one split.

    Args:
        listings: it is one of.
        asked: the old ones.
        split: its name.
        file: that it is collected in.
        keep: as `Listings.of` has it.
    """

    def __init__(self, listings: Listings, asked: Asked, split: str, file: IO[bytes], *, keep: bool) -> None:
        self.split = split
        self._listings = listings
        self._asked = asked
        self._keep = keep
        self._file = file
        self._start = file.tell()
        self._open = True
        self._seen: set[tuple[str, int]] = set()
        self._content = 0

    def add(self, line: Mapping[str, Json], content: str) -> None:
        """List one item; `content` is the digest of what the data says, empty where that was said before."""
        self._content = (self._content + int(content.rpartition(":")[2] or "0", 16)) % 2**256
        if self._keep:
            self._seen.add((line["id"], line["epoch"]))
        self._file.write(encoded(line, self._asked.path))

    @property
    def content(self) -> str:
        """Hash of all that was listed, in whatever order: hex sum of the items' digests."""
        return f"{self._content:064x}"

    def kept(self) -> Iterator[Mapping[str, Json]]:
        """The items of the old listing of this split that stay, as far as they are not listed anew."""
        return (item for _, item in self.left())

    def left(self) -> Iterator[tuple[bytes, dict[str, Any]]]:
        """The same, each as its line and what that says."""
        if self._keep:
            for line in self._asked.raw(self.split):
                item = json.loads(line)
                if (item["id"], item["epoch"]) not in self._seen:
                    yield line, item

    def finish(self) -> None:
        """It is complete: it takes the old one's place when those of its task do."""
        self._open = False
        self._listings.take(self)

    def abandon(self) -> None:
        """Leave the old listing as it was; nothing after `finish`."""
        if self._open:
            self._open = False
            self._listings.leave(self)

    def cut(self) -> None:
        """Take what was collected out of the file again."""
        self._file.seek(self._start)
        self._file.truncate()
