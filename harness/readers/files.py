"""Where the bytes of a data set come from: a folder first, then the zips and tars in it and next to it; and for
`data/SD.parquet#image/12` the image of record 12 in that file.

A path out of a data file is untrusted. It stays under the data root: no `..`, no absolute path, no link that leads
out. A fault of one file is a BadImage, which costs one sample and never the run.
"""

from __future__ import annotations

import os
import re
import stat
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from harness import descriptors
from harness.errors import BadImage, HarnessError
from harness.files import resolve_name
from harness.readers.places import CELL, IN_PARQUET
from harness.types import Files, Image

if TYPE_CHECKING:
    from harness.readers.archives import Archive, Member


def open_files(root: Path) -> DataFiles:
    """The files under a data root: a folder, or a single zip or tar. Nothing is read before it is asked for."""
    return DataFiles(root)


def inside(path: str) -> str:
    """A path from a data file in one form: forward slashes, and nothing that leads out of the data root.

    Raises:
        BadImage: outside_root.
    """
    pure = PurePosixPath(path.replace("\\", "/"))
    if pure.is_absolute() or ".." in pure.parts or Path(pure).drive:
        raise BadImage(path, "outside_root", "paths of data files stay under the data root")
    return str(pure)


def is_inside(path: str) -> bool:
    """Whether a path from a data file, or from somebody else's record, stays under the data root."""
    try:
        return bool(inside(path))
    except BadImage:
        return False


def first_of(*places: Image) -> Image:
    """The image at the first of these places that has it.

    The places are tried when the image is opened, so listing a data set reads no disk. If none has it, the error is
    that of the first place with a broken image, else `missing` at the first place.
    """
    if len(places) == 1:
        return places[0]
    return Image(path=places[0].path, files=_FirstOf(places))


@dataclass(frozen=True, slots=True)
class _FirstOf:
    """`harness.types.Files` with one file, which every path means."""

    places: tuple[Image, ...]

    @property
    def root(self) -> Path:
        return self.places[0].files.root

    def read(self, path: str) -> bytes:  # noqa: ARG002
        files, found, _ = self._find()
        return files.read(found)

    def stamp(self, path: str) -> tuple[str, int, int]:  # noqa: ARG002
        return self._find()[2]

    def _find(self) -> tuple[Files, str, tuple[str, int, int]]:
        faults: list[BadImage] = []
        for place in self.places:
            try:
                return place.files, place.path, place.files.stamp(place.path)
            except BadImage as fault:
                faults.append(fault)
        raise next((fault for fault in faults if fault.reason != "missing"), faults[0])


@dataclass(frozen=True, slots=True)
class _Located:
    """A file that was found: its absolute name, size and modification time, and how to read it."""

    name: str
    size: int
    mtime_ns: int
    member: Member | None = None

    def read(self) -> bytes:
        if self.member:
            return self.member.read()
        from harness.readers.archives import READ_LIMIT

        with Path(self.name).open("rb") as file:
            return file.read(min(self.size, READ_LIMIT))  # a read allocates as much as it is asked for


class DataFiles:
    """The files of one data root; see `harness.types.Files`. Safe to use from several threads."""

    def __init__(self, root: Path) -> None:
        self._root = root
        real = Path(os.path.realpath(root))
        # Also the store of a snapshot in the hub client's cache, which the client's own links lead to.
        blobs = real.parent.parent / "blobs"
        in_cache = real.parent.name == "snapshots" and blobs.is_dir()
        #: the folders a file may really lie in, each with its final slash
        self._roots = tuple(
            f"{str(folder).rstrip(os.sep)}{os.sep}" for folder in ((real, blobs) if in_cache else (real,))
        )
        self._lock = threading.Lock()
        self._archives: tuple[list[Archive], str] | None = None

    @property
    def root(self) -> Path:
        """The folder or the archive on disk."""
        return self._root

    def has(self, path: str) -> bool:
        """Whether there is such a file."""
        try:
            return self._locate(path) is not None
        except BadImage:
            return False

    def read(self, path: str) -> bytes:
        """The bytes of one file under the root.

        Raises:
            BadImage: missing, outside_root, too_many_bytes or unreadable.
            TooManyOpen: no file can be opened any more.
        """
        from harness.readers.archives import FAULTS, READ_LIMIT  # zipfile is not needed to offer a task

        found = self._locate_or_fail(path)
        if found.size > READ_LIMIT:
            raise BadImage(path, "too_many_bytes", f"{found.size} bytes, at most {READ_LIMIT} are read")
        try:
            return found.read()
        except FAULTS as fault:
            descriptors.check(fault)
            raise BadImage(path, "unreadable", str(fault) or type(fault).__name__) from None

    def stamp(self, path: str) -> tuple[str, int, int]:
        """Absolute name, size in bytes and modification time in ns; raises BadImage as `read` does."""
        found = self._locate_or_fail(path)
        return found.name, found.size, found.mtime_ns

    def matching(self, name: str) -> tuple[str, ...]:
        """The files that match a name, in order: with `*` all files of the folder (not of its archives) that match it,
        else the one file, if it exists. `data/**` stands for all files below `data`."""
        if "*" not in name:
            return (name,) if self.has(name) else ()
        if not is_inside(name):
            return ()
        # Python 3.13 reads both so; before, a last `**` found folders alone, and `a**` was an error
        parts = [part if part == "**" else re.sub(r"\*\*+", "*", part) for part in name.split("/")]
        pattern = "/".join(parts if parts[-1] != "**" else [*parts, "*"])
        found = (path.relative_to(self._root).as_posix() for path in self._root.glob(pattern))
        return tuple(sorted(path for path in found if self._is_own(path)))

    def find(self, *names: str) -> str:
        """The first of these names that a file matches, such as `data/test-*.parquet`; empty if there is none."""
        return next((name for name in names if self.matching(name)), "")

    def image(self, path: str, folders: Iterable[str] = ("",)) -> Image:
        """The image at a path, in the first of `folders` (such as `images/`) that has it; without them the path alone.

        It is not opened yet: errors appear when the engine opens it.
        """
        return first_of(*(Image(path=f"{folder}{path}", files=self) for folder in folders))

    def _locate_or_fail(self, path: str) -> _Located:
        found = self._locate(path)
        if found is None:
            _, broken = self._all_archives()
            raise BadImage(path, "unreadable" if broken else "missing", broken or "there is no such file")
        return found

    def _locate(self, path: str) -> _Located | None:
        relative = inside(path)
        if IN_PARQUET in relative:
            return self._in_parquet(path, *relative.split(IN_PARQUET, 1))
        if "#" in relative and (cell := re.fullmatch(CELL, relative)):
            return self._in_cell(path, cell)
        if found := self._in_folder(path, relative):
            return found
        for archive in self._all_archives()[0]:
            name = archive.find(relative)
            if name is None:
                continue
            member = archive.members[name]
            if member.refused:
                raise BadImage(path, "outside_root", member.refused)
            return _Located(f"{archive.path}!{name}", member.size, archive.mtime_ns, member)
        return None

    def _in_parquet(self, path: str, table: str, cell: str) -> _Located | None:
        """An image in a parquet file; its size is known by reading it, and the reader keeps what it read last."""
        found = self._in_folder(path, table + ".parquet")
        if found is None:
            return None
        from harness.readers.archives import Member
        from harness.readers.cells import FAULTS, open_table

        try:
            data = open_table(Path(found.name), found.size, found.mtime_ns).image(cell)
        except FAULTS as fault:
            descriptors.check(fault)
            raise BadImage(path, "unreadable", str(fault).strip() or type(fault).__name__) from None
        if data is None:
            return None
        member = Member(size=len(data), read=lambda: data)
        return _Located(f"{found.name}#{cell}", len(data), found.mtime_ns, member)

    def _in_cell(self, path: str, cell: re.Match[str]) -> _Located | None:
        """An image in base64 in a cell of a table (`harness.readers.tables`)."""
        table, column, start, number = cell.groups()
        found = self._in_folder(path, table)
        if found is None:
            return None
        from harness.readers.archives import Member
        from harness.readers.tables import FAULTS, read_cell

        try:
            data = read_cell(Path(found.name), column, int(start), int(number) if number else None)
        except (*FAULTS, IndexError, StopIteration) as fault:
            descriptors.check(fault)
            raise BadImage(path, "unreadable", str(fault).strip() or type(fault).__name__) from None
        except HarnessError as fault:
            raise BadImage(path, "unreadable", fault.what) from None
        member = Member(size=len(data), read=lambda: data)
        return _Located(f"{found.name}#{cell[0].partition('#')[2]}", len(data), found.mtime_ns, member)

    def _in_folder(self, path: str, relative: str) -> _Located | None:
        if relative == ".":
            return None
        try:
            real = os.path.realpath(self._root / relative)
            if not any(real.startswith(real_root) for real_root in self._roots):
                raise BadImage(path, "outside_root", "a link leads out of the data root")
            found = Path(real).stat()
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        except OSError as error:
            descriptors.check(error)
            raise BadImage(path, "unreadable", error.strerror or str(error)) from None
        if not stat.S_ISREG(found.st_mode):
            raise BadImage(path, "unreadable", "not a regular file")
        return _Located(real, found.st_size, found.st_mtime_ns)

    def _all_archives(self) -> tuple[list[Archive], str]:
        """The archives, and the faults of those that cannot be read."""
        from harness.readers.archives import FAULTS, open_archive

        with self._lock:
            if self._archives is None:
                found: list[Archive] = []
                broken: list[str] = []
                for path in self._archive_paths():
                    try:
                        found.append(open_archive(path))
                    except FAULTS as fault:
                        descriptors.check(fault)
                        broken.append(f"{path.name}: {fault}")
                self._archives = found, "; ".join(broken)
            return self._archives

    def _archive_paths(self) -> Iterator[Path]:
        from harness.readers import archives

        if self._root.is_file():
            yield self._root.absolute()
            return
        inner: list[Path] = []
        try:
            inner = sorted(self._root.iterdir())
        except OSError as error:  # no folder, or one that may not be listed
            descriptors.check(error)
        root = resolve_name(self._root)
        next_to_it = [root.with_name(root.name + ending) for ending in archives.SUFFIXES if root.name]
        for path in (*inner, *next_to_it):
            if archives.suffix(path) and path.is_file() and (path in next_to_it or self._is_own(path.name)):
                yield path.absolute()

    def _is_own(self, name: str) -> bool:
        """Whether a file lies in the folder itself, and is no link that leads out of it."""
        try:
            return self._in_folder(name, name) is not None
        except BadImage:
            return False
