"""The folder of a set: its layout, which files belong to a build, and how a set is deleted.

A build owns the files that the set's manifest names and, after an interrupted write, those that it was about to write.
No build deletes or replaces any other file. An earlier set is deleted manifest and lists first, so that a reader finds
no list without its images.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from harness import HarnessError
from harness.data.provenance import FILE as SOURCE
from harness.files import atomic_write
from harness.store.journal import load_lines
from harness_builder.calls.store import NAME as CALLS
from harness_builder.disk import write_error
from harness_builder.values import REAL, WORK, Subset


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One file of records.

    Attributes:
        file: a JSON list.
        name: for `datasets.load_dataset(FOLDER, NAME)`.
        split: of that data set.
        images: folder of its images, `<images>/<n>/object1.png` and `object2.png`.
    """

    file: str
    name: str
    split: str
    images: str


LISTINGS: Final[Mapping[Subset, Listing]] = {
    "easy": Listing(file="mis_easy.json", name="easy", split="test", images="easy_image"),
    "hard": Listing(file="mis_hard.json", name="hard", split="test", images="hard_image"),
    "real": Listing(file="mis_real.json", name="real", split="test", images="real_image"),
    "train": Listing(file="mis_train.json", name="train", split="train", images="images"),
}
REFUSAL: Final = Listing(file="mis_train_refusal.json", name="train_refusal", split="train", images="images")
FILES: Final[Mapping[str, Listing]] = {each.file: each for each in (*LISTINGS.values(), REFUSAL)}
#: training files; they share one folder of images
TRAINING: Final = (LISTINGS["train"].file, REFUSAL.file)

MANIFEST: Final = "build.json"
MANIFEST_SCHEMA: Final = "harness.build/1"
PROVENANCE: Final = "provenance.jsonl"
CARD: Final = "README.md"
LICENCE: Final = "LICENSE"

IMAGES: Final = tuple(dict.fromkeys(each.images for each in FILES.values()))
#: files about the records
ABOUT: Final = (PROVENANCE, CARD, LICENCE, SOURCE)
#: all files of a set except images, the manifest first: without it a set is not complete
SINGLE: Final = (MANIFEST, *FILES, *ABOUT)
_IMAGE: Final = re.compile(rf"({'|'.join(IMAGES)})/[1-9][0-9]*(/object[12]\.png)?")

SCRATCH: Final = ".being-written"  #: folder in which a set is written before it is moved to its place
_WRITING: Final = ".being-written.list"
_WRITING_SCHEMA: Final = "harness.build.writing/1"
_REPLACES: Final = ".replaces.json"
_NAMED: Final = 3  # foreign files that a message names


def is_set_file(path: str) -> bool:
    """Whether the output may write this path under the set's folder."""
    found = _IMAGE.fullmatch(path)
    return path in SINGLE or (found is not None and found[2] is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedFiles:
    """The files of a folder that belong to a build.

    Attributes:
        name: of the set there; None if there is none.
        files: written by it, or by an interrupted write: paths under the folder.
    """

    name: str | None
    files: frozenset[str]


def find_owned(folder: Path) -> OwnedFiles:
    """The files that a build has written into a folder so far."""
    made, begun = _load(folder / MANIFEST, MANIFEST_SCHEMA), _load(folder / _WRITING, _WRITING_SCHEMA)
    files = {*made.get("files", ()), *begun.get("files", ()), *([MANIFEST] if made else [])}
    name = made.get("name", begun.get("name"))
    return OwnedFiles(name=None if name is None else str(name), files=frozenset(filter(is_set_file, map(str, files))))


def record_writing(folder: Path, name: str, files: Iterable[str]) -> None:
    """Record that these files, and those about the records, will be written now. Raises OSError."""
    value = {"schema": _WRITING_SCHEMA, "name": name, "files": sorted({*files, MANIFEST, *ABOUT})}
    atomic_write(folder / _WRITING, f"{json.dumps(value)}\n")


def clear_writing(folder: Path) -> None:
    """Remove that record: from now on the manifest names the files. Raises OSError."""
    (folder / _WRITING).unlink(missing_ok=True)


def allow_replacement(folder: Path) -> None:
    """Allow a set of another name to replace the one here. Raises OSError."""
    name = find_owned(folder).name
    if name is not None:
        atomic_write(folder / WORK / _REPLACES, f"{json.dumps({'schema': _WRITING_SCHEMA, 'name': name})}\n")


def check_name(folder: Path, name: str) -> None:
    """Check that a set of this name may be built there. Raises HarnessError if a set of another name is there and may
    not be replaced."""
    there = find_owned(folder).name
    replaced = _load(folder / WORK / _REPLACES, _WRITING_SCHEMA).get("name")
    if there not in (None, name, replaced):
        raise HarnessError(
            f"the folder holds the set {there!r}, but the config builds {name!r}",
            where=str(folder),
            remedy="name another folder: --out DIR; or replace the set with --fresh",
        )


def check_free(folder: Path) -> None:
    """Check that a build may write there; called before `work/` is made. Raises HarnessError if it would replace files
    that no build made."""
    there, work = find_owned(folder), folder / WORK
    # a build leaves its lock even if a person moved its calls away
    if there.name is None and work.is_dir() and not any((work / sign).exists() for sign in (CALLS, f".{CALLS}.lock")):
        foreign = [f"{WORK}/{each.name}" for each in sorted(work.iterdir()) if not each.name.startswith(".")]
        _refuse(foreign, folder)
    check_target(folder, there.files)


def check_target(folder: Path, files: Collection[str]) -> None:
    """Check that a set may replace these files. Raises HarnessError if other files are in its way; or if no file is a
    build's, and others have a set's names."""
    foreign = [
        name for name in SINGLE if os.path.lexists(folder / name) and (name not in files or _is_folder(folder / name))
    ]
    for name in IMAGES:
        top = folder / name
        if os.path.lexists(top) and not _is_folder(top):
            foreign.append(name)
            continue
        for place, below, names in os.walk(top):  # follows no link
            for each in sorted([*below, *names]):
                path = Path(place, each)
                relative = path.relative_to(folder).as_posix()
                if _is_folder(path):
                    in_the_way = is_set_file(relative)  # a folder where an image belongs
                else:
                    in_the_way = relative not in files and (not files or _IMAGE.fullmatch(relative) is not None)
                if in_the_way:
                    foreign.append(relative)
    foreign += [
        path.relative_to(folder).as_posix()
        for path in (folder / SCRATCH).rglob("*")
        if not _is_folder(path) and not is_set_file(path.relative_to(folder / SCRATCH).as_posix())
    ]
    _refuse(foreign, folder)


def _refuse(foreign: list[str], folder: Path) -> None:
    if foreign:
        more = f" and {len(foreign) - _NAMED:,} more" if len(foreign) > _NAMED else ""
        raise HarnessError(
            f"the folder holds {', '.join(foreign[:_NAMED])}{more}, which no build made and this one would replace",
            where=str(folder),
            remedy="name another folder: --out DIR; or move your files away",
        )


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _load(path: Path, schema: str) -> dict[str, Any]:
    """The content of a file of this schema; empty if there is none."""
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
        return dict(found) if found["schema"] == schema else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def delete_files(folder: Path, owned: Collection[str]) -> None:
    """Delete a build's files, manifest and lists first, and then empty folders. Raises OSError if a file cannot be
    deleted."""
    images = [path for path in owned if path not in SINGLE]
    for name in (*SINGLE, *images):
        if name in owned:
            (folder / name).unlink(missing_ok=True)
    for emptied in sorted({parent for path in images for parent in PurePosixPath(path).parents[:-1]}, reverse=True):
        with suppress(OSError):  # other files are in it
            (folder / emptied).rmdir()


class PreviousSet:
    """The set that an earlier build wrote. It is deleted as soon as a hard stop ends one of its elements.

    Args:
        folder: of the build.
        tell: gets a line when the set is deleted.
    """

    def __init__(self, folder: Path, tell: Callable[[str], None]) -> None:
        self._folder = folder
        self._tell = tell
        self._holds: Callable[[str], bool] | None = None  # read at the first stop: most builds have none

    def strike(self, key: str) -> None:
        """Delete the set if it holds this element. Raises HarnessError if that fails."""
        if self._holds is None:
            self._holds = self._read_keys()
        if not self._holds(key):
            return
        there = find_owned(self._folder)
        try:
            if there.name is not None:
                record_writing(self._folder, there.name, there.files)  # if it is killed, the files are still a build's
            shutil.rmtree(self._folder / SCRATCH, ignore_errors=True)
            delete_files(self._folder, there.files)
        except OSError as error:
            raise write_error(self._folder, error, "the earlier set cannot be deleted") from error
        self._tell(
            f"the earlier set in {self._folder} held an element that a hard stop ended: it is deleted, and the next"
            " finished build writes a new one"
        )
        self._holds = lambda _: False

    def _read_keys(self) -> Callable[[str], bool]:
        """Whether the set holds an element; True for records without readable provenance."""
        provenance = self._folder / PROVENANCE
        if not provenance.exists():
            records = (path for path in find_owned(self._folder).files if path not in ABOUT)
            there = any((self._folder / path).exists() for path in records)
            return lambda _: there
        try:
            return {str(each["key"]).removesuffix(REAL) for each in load_lines(provenance)}.__contains__
        except (OSError, ValueError, KeyError, TypeError):
            return lambda _: True
