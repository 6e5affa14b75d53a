"""Which data files of a user's copy a layout means: of a folder, of one archive, or the one file that was named."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from harness import BadData, MissingData, open_files
from harness.readers import DataFiles
from harness.readers.archives import FAULTS, open_archive, suffix

from .layouts import Layout


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """The user's copy of a set.

    Attributes:
        files: what images and records are read from.
        names: of all data files, sorted; one alone where the path is that of a data file.
    """

    files: DataFiles
    names: tuple[str, ...]

    def of(self, layout: Layout) -> list[str]:
        """The files of the first of its patterns that matches any; for pictures those of all."""
        matches = ([name for name in self.names if _matches(name, pattern)] for pattern in layout.files)
        if layout.shape == "pictures":
            return sorted({name for found in matches for name in found})
        return next(filter(None, matches), list[str]())


def open_copy(path: Path) -> Copy:
    """The copy at a path: a folder, a zip or tar, or one data file.

    Raises:
        MissingData: there is nothing.
        BadData: it is an archive that cannot be read.
    """
    if not path.exists():
        raise MissingData("there is no such folder or file", where=str(path))
    if path.is_file() and not suffix(path):
        return Copy(files=open_files(path.parent), names=(path.name,))
    names = sorted(_members(path) if path.is_file() else _below(path))
    return Copy(files=open_files(path), names=tuple(names))


def _matches(name: str, pattern: str) -> bool:
    """Without regard to case, wherever in the copy the file lies."""
    name, pattern = f"/{name}".casefold(), pattern.casefold()
    return fnmatchcase(name, pattern if pattern.startswith("*") else f"*/{pattern}")


def _below(folder: Path) -> Iterator[str]:
    """Files of the folder and, by their names in there, of the archives that lie in it."""
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in name.parts):
            yield name.as_posix()
            if suffix(path) and path.parent == folder:
                yield from _members(path)


def _members(path: Path) -> Iterable[str]:
    try:
        return [name for name in open_archive(path).members if not name.startswith("__MACOSX/")]
    except FAULTS as fault:
        raise BadData(f"the archive cannot be read: {fault}", where=str(path)) from None
