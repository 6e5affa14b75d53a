"""A set that stands goes as soon as something that it holds is stopped: the next one stands once a build ends whole."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Final

from harness.store.journal import lines as lines_of
from harness_builder.disk import write_error
from harness_builder.values import REAL

from .layout import PROVENANCE, SINGLE, TOLD
from .owning import SCRATCH, note_writing, standing

_GONE: Final = "the set that stood in {} held what a hard stop has ended: it is gone until a build ends whole"


class StandingSet:
    """The set that an earlier build wrote.

    Args:
        folder: of the build.
        tell: told once, where it goes.
    """

    def __init__(self, folder: Path, tell: Callable[[str], None]) -> None:
        self._folder = folder
        self._tell = tell
        self._holds: Callable[[str], bool] | None = None  # read at the first stop, and most builds have none

    def strike(self, key: str) -> None:
        """An element was stopped. Raises HarnessError where a set that holds it cannot be taken away."""
        if self._holds is None:
            self._holds = self._read()
        if self._holds(key):
            self._withdraw()
            self._tell(_GONE.format(self._folder))
            self._holds = _nothing

    def _read(self) -> Callable[[str], bool]:
        """Whether it holds an element; it may hold any where records stand and nothing yet says which."""
        provenance = self._folder / PROVENANCE
        if not provenance.exists():
            records = (path for path in standing(self._folder).files if path not in TOLD)
            return _anything if any((self._folder / path).exists() for path in records) else _nothing
        try:
            return {str(said["key"]).removesuffix(REAL) for said in lines_of(provenance)}.__contains__
        except (OSError, ValueError, KeyError, TypeError):
            return _anything

    def _withdraw(self) -> None:
        there = standing(self._folder)
        try:
            if there.name is not None:
                note_writing(self._folder, there.name, there.files)  # a build that is killed leaves no stranger
            shutil.rmtree(self._folder / SCRATCH, ignore_errors=True)
            take_away(self._folder, there.files)
        except OSError as error:
            raise write_error(self._folder, error, "the set that stands cannot be taken away") from error


def take_away(folder: Path, owned: Collection[str]) -> None:
    """Delete what a build put there, the manifest and the lists first, and the folders that are empty then.

    Raises:
        OSError: a file stays.
    """
    images = [path for path in owned if path not in SINGLE]
    for name in (*SINGLE, *images):
        if name in owned:
            (folder / name).unlink(missing_ok=True)
    for emptied in sorted({parent for path in images for parent in PurePosixPath(path).parents[:-1]}, reverse=True):
        with suppress(OSError):  # somebody keeps something of their own in it
            (folder / emptied).rmdir()


def _nothing(_: str) -> bool:
    return False


def _anything(_: str) -> bool:
    return True
