"""A data root on its way from what was fetched to what is fetched now, so that it never holds two revisions unnoticed.

Before the first file of a part is written the record names all that will come (`Coming`). When it has come, the files
that the part held before and holds no more are taken away. A command that ends between leaves its note in the record:
`harness data verify` tells of it, and the next fetch mends it. Only what a fetch wrote is taken away, as it wrote it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from harness.data.downloads import digests, parts_of
from harness.data.provenance import Coming, Part, Provenance
from harness.errors import BadImage, HarnessError
from harness.readers.files import inside

_NAMED: Final = 3  # files that are in the way, named in the error


class Renewal:
    """Renews a root part by part: `begin` before anything is written, `end` when all of it is there.

    Attributes:
        record: what is known of the root now; the record on disk says the same.
    """

    def __init__(self, root: Path, record: Provenance) -> None:
        self.record = record
        self._root = root
        self._before = _Before(root=root, parts=(), notes=())
        self._stale: list[str] = []
        self._there: dict[str, tuple[int, int]] = {}

    def begin(self, coming: Coming, alike: Collection[str] = ()) -> None:
        """Note what will come.

        Args:
            coming: all of it.
            alike: other names of the same place.

        Raises:
            HarnessError: a file of what was there before would have to go, and is not as a fetch wrote it.
        """
        names = {coming.name, *alike}
        parts = [part for part in self.record.parts if part.kind == coming.kind and part.name in names]
        notes = [note for note in self.record.coming if note.kind == coming.kind and note.name in names]
        self._before = before = _Before(root=self._root, parts=parts, notes=notes)
        others = {path for part in self.record.parts if part not in parts for path in part.files}
        self._stale = sorted(path for path in before.paths - set(coming.files) - others if _stays(path))
        self._refuse([path for path in self._stale if not before.as_written(path)])
        there = {path: _mark(self._root / path) for path in coming.files if path not in before.written}
        self._there = {path: mark for path, mark in there.items() if mark}
        ours = {path: size for path, size in coming.files.items() if path not in self._there}
        self._note(notes, replace(coming, files={**before.noted, **ours}))

    def end(self, part: Part) -> None:
        """The part has come: it takes the place of what came from there before."""
        for path in self._stale:
            _remove(self._root, path)
        found = frozenset(path for path, mark in self._there.items() if mark == _mark(self._root / path))
        record = self.record.having(replace(part, found=found), instead_of=self._before.parts)
        self.record = replace(record, coming=tuple(note for note in record.coming if note.name != part.name))
        self.record.write(self._root)

    def _note(self, old: Sequence[Coming], new: Coming) -> None:
        kept = (note for note in self.record.coming if note not in old)
        self.record = replace(self.record, coming=(*kept, new))
        self.record.write(self._root)

    def _refuse(self, kept: Sequence[str]) -> None:
        if kept:
            named = ", ".join(kept[:_NAMED]) + (f" and {len(kept) - _NAMED} more" if len(kept) > _NAMED else "")
            what = f"the folder holds files of another revision that were put here by hand or changed since: {named}"
            remedy = "move them away or delete them, or fetch into another folder with --data DIR"
            raise HarnessError(what, where=str(self._root), remedy=remedy)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Before:
    """What came from one place before: whole parts, and what was on its way."""

    root: Path
    parts: Sequence[Part]
    notes: Sequence[Coming]

    @property
    def noted(self) -> Mapping[str, int | None]:
        return {path: size for note in self.notes for path, size in note.files.items()}

    @property
    def written(self) -> set[str]:
        """What a fetch wrote, or was about to."""
        return {path for part in self.parts for path in part.files if path not in part.found} | set(self.noted)

    @property
    def paths(self) -> set[str]:
        return {path for part in self.parts for path in part.files} | set(self.noted)

    def as_written(self, path: str) -> bool:
        """Whether what lies there is what a fetch wrote, or nothing; what was on its way is known by its size."""
        target = self.root / path
        if not target.is_file():
            return not target.exists()
        if not target.resolve().is_relative_to(self.root.resolve()):
            return False  # a link of the user's leads out
        for part in self.parts:
            if path in part.files and path not in part.found and _is(target, *part.files[path]):
                return True
        return path in self.noted and self.noted[path] in (None, target.stat().st_size)


def _is(target: Path, size: int, sha256: str) -> bool:
    return target.stat().st_size == size and digests(target)[0] == sha256


def _stays(path: str) -> bool:
    """Whether a path of the record stays in the root: a record may be a stranger's."""
    try:
        return bool(inside(path))
    except BadImage:
        return False


def _mark(path: Path) -> tuple[int, int] | None:
    """What changes when a file is written anew; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _remove(root: Path, path: str) -> None:
    """Take a file away with what had come of it, and the folders that it leaves empty."""
    target = root / path
    for part in (target, *parts_of(target)):
        part.unlink(missing_ok=True)
    for folder in target.parents:
        if folder == root:
            return
        with suppress(OSError):
            folder.rmdir()
