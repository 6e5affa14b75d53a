"""A built set in the layout of a benchmark: `harness build` records it in the `.source.json` next to its files.

A number measured on such a set belongs to the set, never to the benchmark. So its task has another name,
`mis+data=shapes`, which keeps the two apart in run folders, results, boards and comparisons. No published size is
expected. This module is imported before anything runs, so it imports little.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from harness.contracts import BUILT, Split

FILE: Final = ".source.json"  #: in a data root: where its files came from; see `harness.data.provenance`
_KIND: Final = "build"
_NAME_LIMIT: Final = 60  # characters of a set's name in the name of a task, which also names a folder


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltSet:
    """A set in a data root.

    Attributes:
        name: the builder's name for it.
        revision: what it was built from; empty if unknown.
        licence: the set's licence.
    """

    name: str
    revision: str
    licence: str

    @property
    def mark(self) -> str:
        """The end of a task's name: `+data=shapes`, in characters allowed in any file name."""
        candidates = (self.name, self.revision.rpartition(":")[2][:8], "built")
        names = (re.sub(r"[^A-Za-z0-9._-]+", "-", each).strip("-.")[:_NAME_LIMIT] for each in candidates)
        return BUILT + next(filter(None, names))


def find_built_set(root: Path) -> BuiltSet | None:
    """The built set that a data root holds; None if its record names no build."""
    text = _read_record(root)
    # A fetched root's record lists thousands of files: do not parse it just to see that no build made it.
    if f'"{_KIND}"'.encode() not in text:
        return None
    import json

    try:
        raw: Any = json.loads(text)
        part = next((part for part in raw["parts"] if part["kind"] == _KIND), None)
        if part is None:
            return None
        return BuiltSet(name=str(part["name"]), revision=str(part["revision"]), licence=str(raw["licence"]))
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return None  # `harness.data.provenance.read` says what is wrong with a record that is needed


def drop_published_sizes(splits: Mapping[str, Split]) -> Mapping[str, Split]:
    """A task's splits on a built set: only the packaged ones have a published size."""
    return _BuiltSplits(splits)


def _read_record(root: Path) -> bytes:
    """The record in a root, which may be a folder or an archive; empty if there is none."""
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


class _BuiltSplits(Mapping[str, Split]):
    """A mapping, so that the splits of an open set still answer names that they do not list."""

    def __init__(self, splits: Mapping[str, Split]) -> None:
        self._splits = splits

    def __getitem__(self, name: str) -> Split:
        split = self._splits[name]
        return split if split.data is not None else replace(split, n=None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._splits)

    def __len__(self) -> int:
        return len(self._splits)
