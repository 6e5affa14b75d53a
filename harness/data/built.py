"""A set that was built in the layout of a benchmark: `harness build` says so in the `.source.json` beside its files.

What is measured on such a set is a number of the set and never of the benchmark. So its task goes by another name,
`mis+data=shapes`, by which run folders, results, boards and comparisons keep the two apart, and no size that was
published is expected of it. This module is read before anything is run, so it imports little.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from harness.contracts import Split
from harness.sources import BUILT

FILE: Final = ".source.json"  #: in a data root: where its files came from; see `harness.data.provenance`
_KIND: Final = "build"
_WIDEST: Final = 60  # characters of a set's name in the name of a task, which also names a folder


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltSet:
    """A set in a data root.

    Attributes:
        name: as whoever built it called it.
        revision: what it was built from; empty where it does not say.
        licence: of the set.
    """

    name: str
    revision: str
    licence: str

    @property
    def mark(self) -> str:
        """What stands behind a task's name: `+data=shapes`, in characters that any file name may hold."""
        told = (self.name, self.revision.rpartition(":")[2][:8], "built")
        names = (re.sub(r"[^A-Za-z0-9._-]+", "-", each).strip("-.")[:_WIDEST] for each in told)
        return BUILT + next(filter(None, names))


def built(root: Path) -> BuiltSet | None:
    """The set that a data root holds; None where no build says that it made it."""
    text = _text(root)
    # What was fetched lists thousands of files, and need not be parsed to learn that no build made it.
    return _read(text) if f'"{_KIND}"'.encode() in text else None


def unpublished(splits: Mapping[str, Split]) -> Mapping[str, Split]:
    """A task's splits on a set that was built: nothing is published of any but the packaged ones."""
    return _Unpublished(splits)


def _text(root: Path) -> bytes:
    """The record in a root, which may be an archive in a folder's place; empty where there is none."""
    try:
        if root.is_dir():
            return (root / FILE).read_bytes()
        if not any(each.name == root.name or each.name.startswith(f"{root.name}.") for each in root.parent.iterdir()):
            return b""
    except OSError:
        return b""
    from harness.errors import BadImage
    from harness.readers.files import open_files

    try:
        return open_files(root).read(FILE)
    except BadImage:
        return b""


def _read(text: bytes) -> BuiltSet | None:
    import json

    try:
        raw: Any = json.loads(text)
        part = next((part for part in raw["parts"] if part["kind"] == _KIND), None)
        if part is None:
            return None
        return BuiltSet(name=str(part["name"]), revision=str(part["revision"]), licence=str(raw["licence"]))
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return None  # whoever needs the record says what is wrong with it: `harness.data.provenance.read`


class _Unpublished(Mapping[str, Split]):
    """An open set stays one: it also answers names that it does not list."""

    def __init__(self, splits: Mapping[str, Split]) -> None:
        self._splits = splits

    def __getitem__(self, name: str) -> Split:
        split = self._splits[name]
        return split if split.data is not None else replace(split, n=None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._splits)

    def __len__(self) -> int:
        return len(self._splits)
