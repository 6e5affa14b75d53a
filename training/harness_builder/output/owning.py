"""Which files of a folder are a build's: those that the set's manifest names and, where a writing did not end, those
that it was about to put there. All others are somebody's own, and no build removes or replaces them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness import HarnessError
from harness.store.journal import replace
from harness_builder.calls.store import NAME as BOOK

from .layout import IMAGES, MANIFEST, SINGLE, TOLD, blocks, ours

SCHEMA: Final = "harness.build/1"  #: of the manifest
WORK: Final = "work"
SCRATCH: Final = ".being-written"  #: folder in which a set is written before it is moved to its place
_WRITING: Final = ".being-written.list"
_WRITING_SCHEMA: Final = "harness.build.writing/1"
_GIVEN_UP: Final = ".replaces.json"
_NAMED: Final = 3  # strangers whose names are told


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What of a folder is a build's.

    Attributes:
        name: of the set that lies there; None where none does.
        files: that it, or a writing of it that did not end, has put there: paths under the folder.
    """

    name: str | None
    files: frozenset[str]


def standing(folder: Path) -> Standing:
    """What a build has put into a folder so far."""
    made, begun = _said(folder / MANIFEST, SCHEMA), _said(folder / _WRITING, _WRITING_SCHEMA)
    found = {*made.get("files", ()), *begun.get("files", ()), *([MANIFEST] if made else [])}
    name = made.get("name", begun.get("name"))
    return Standing(name=None if name is None else str(name), files=frozenset(filter(ours, map(str, found))))


def note_writing(folder: Path, name: str, files: Iterable[str]) -> None:
    """Say that these, and what is told about them, are about to be put there. Raises OSError."""
    said = {"schema": _WRITING_SCHEMA, "name": name, "files": sorted({*files, MANIFEST, *TOLD})}
    replace(folder / _WRITING, f"{json.dumps(said)}\n")


def note_written(folder: Path) -> None:
    """The manifest stands, and says it from now on. Raises OSError."""
    (folder / _WRITING).unlink(missing_ok=True)


def note_given_up(folder: Path) -> None:
    """A person means to replace the set that stands, whatever the next one is called. Raises OSError."""
    name = standing(folder).name
    if name is not None:
        replace(folder / WORK / _GIVEN_UP, f"{json.dumps({'schema': _WRITING_SCHEMA, 'name': name})}\n")


def check_name(folder: Path, name: str) -> None:
    """Whether a set of this name may be built there.

    Raises:
        HarnessError: a set of another name stands there, and nobody said that it may be replaced.
    """
    there = standing(folder).name
    given_up = _said(folder / WORK / _GIVEN_UP, _WRITING_SCHEMA).get("name")
    if there not in (None, name, given_up):
        raise HarnessError(
            f"the set {there!r} lies there, and the config builds {name!r}",
            where=str(folder),
            remedy="give another folder: --out DIR; or --fresh, if you mean to replace the set",
        )


def check_free(folder: Path) -> None:
    """Whether a build may work and write there; asked before `work/` is made.

    Raises:
        HarnessError: what it would replace is no build's.
    """
    there = standing(folder)
    if there.name is None:
        _refuse(list(_work(folder)), folder)
    check_own(folder, there.files)


def check_own(folder: Path, files: Collection[str]) -> None:
    """Whether a set may be put there, in the place of these files.

    Raises:
        HarnessError: others lie where it would put its own; or none of a build's, and others under its names.
    """
    _refuse(list(_strangers(folder, files)), folder)


def _refuse(strangers: list[str], folder: Path) -> None:
    if strangers:
        more = f" and {len(strangers) - _NAMED:,} more" if len(strangers) > _NAMED else ""
        raise HarnessError(
            f"the folder holds {', '.join(strangers[:_NAMED])}{more}, which no build made and this one would replace",
            where=str(folder),
            remedy="give another folder: --out DIR; or move away what is yours",
        )


def _work(folder: Path) -> Iterator[str]:
    """What lies where a build works, unless one has: it leaves its lock even where a person took its book away."""
    work = folder / WORK
    if work.is_dir() and not any((work / sign).exists() for sign in (BOOK, f".{BOOK}.lock")):
        yield from (f"{WORK}/{each.name}" for each in sorted(work.iterdir()) if not each.name.startswith("."))


def _strangers(folder: Path, files: Collection[str]) -> Iterator[str]:
    """What is in the way; where nothing is a build's, all that lies under the names of a set."""
    for name in SINGLE:
        path = folder / name
        if os.path.lexists(path) and (name not in files or _is_folder(path)):
            yield name
    for name in IMAGES:
        top = folder / name
        if os.path.lexists(top) and not _is_folder(top):
            yield name
            continue
        for path in _below(top):
            place = path.relative_to(folder).as_posix()
            if _is_folder(path) or (place not in files and (not files or blocks(place))):
                yield place
    half = (path for path in (folder / SCRATCH).rglob("*") if not _is_folder(path))
    yield from (
        path.relative_to(folder).as_posix() for path in half if not ours(path.relative_to(folder / SCRATCH).as_posix())
    )


def _below(top: Path) -> Iterator[Path]:
    """Files and links, and folders that have the name of an image; a link is not followed."""
    for folder, below, names in os.walk(top):
        for name in sorted([*below, *names]):
            path = Path(folder, name)
            if not _is_folder(path) or ours(path.relative_to(top.parent).as_posix()):
                yield path


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _said(path: Path, schema: str) -> dict[str, Any]:
    """What a file of ours says; nothing where it is not there, or another's."""
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
        return dict(found) if found["schema"] == schema else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
