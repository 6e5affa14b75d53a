"""Images of a build as files that are named by what they hold: where one lies is looked up once, and what it is never.

Every call of a build looks up its images; a general reader of data sets would ask the disk a dozen times for each.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Final

from harness import BadImage

_REMEMBERED: Final = 1 << 14  # images: a few megabytes


class DrawnFiles:
    """A `harness.types.Files` over `work/` of a build.

    Args:
        root: that folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._found = lru_cache(maxsize=_REMEMBERED)(self._find)

    @property
    def root(self) -> Path:
        """The folder."""
        return self._root

    def read(self, path: str) -> bytes:
        """The bytes of an image. Raises BadImage where it is not there."""
        try:
            return (self._root / path).read_bytes()
        except OSError:
            raise _missing(path) from None

    def stamp(self, path: str) -> tuple[str, int, int]:
        """Name, size and time of an image. Raises BadImage where it is not there."""
        return self._found(path)

    def place(self, stem: str) -> str:
        """An image's path with its ending, whatever kind it is of; most are PNG. As it is where there is none."""
        usual = f"{stem}.png"
        try:
            self._found(usual)
        except BadImage:
            found = sorted((self._root / stem).parent.glob(f"{PurePosixPath(stem).name}.*"))
            return f"{stem}{found[0].suffix}" if found else stem
        return usual

    def _find(self, path: str) -> tuple[str, int, int]:
        name = os.fspath(self._root / path)
        try:
            found = os.stat(name)  # noqa: PTH116 - as often as a call has images
        except OSError:
            raise _missing(path) from None
        return name, found.st_size, found.st_mtime_ns


def _missing(path: str) -> BadImage:
    return BadImage(path, "missing", "the build's folder does not hold it")
