"""Photographs that lie in a folder, with what is said of them beside them.

Of `a/cup.jpg` speak `a/cup.json`, `a/cup.txt` (its caption alone), and a table `metadata` (.jsonl, .json, .csv, .tsv)
in its folder or one above, by the column `file_name`, which counts from the table's own folder.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final, cast

from harness import BadData, BadImage, Json, rows
from harness.readers import DataFiles

from .fields import Said, said
from .found import IMAGES, Found, Lost

_TABLES: Final = tuple(f"metadata.{ending}" for ending in ("jsonl", "json", "csv", "tsv"))


def loose(files: DataFiles) -> Iterator[Found | Lost]:
    """The photographs of a folder, in the order of their names.

    Raises:
        BadData: a table cannot be read, or has no column `file_name`.
    """
    told: dict[str, Said] = {}
    for folder, names in _folders(files.root):
        told |= _table(files, folder, names)
        there = frozenset(names)
        for name in names:
            if PurePosixPath(name).suffix.casefold() in IMAGES:
                yield _photograph(files, folder, name, there, told)
    for _ in told:
        yield "absent"


def _folders(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Each folder, with a slash, and the files in it."""
    for place, below, names in os.walk(root):
        below[:] = sorted(name for name in below if not name.startswith((".", "__MACOSX")))
        folder = Path(place).relative_to(root).as_posix()
        yield ("" if folder == "." else f"{folder}/"), sorted(name for name in names if not name.startswith("."))


def _table(files: DataFiles, folder: str, names: list[str]) -> dict[str, Said]:
    name = next((each for each in _TABLES if each in names), "")
    if not name:
        return {}
    found = rows(files, folder + name)
    return {(PurePosixPath(folder) / row.text("file_name")).as_posix(): said(row.values) for row in found}


def _photograph(files: DataFiles, folder: str, name: str, there: frozenset[str], told: dict[str, Said]) -> Found | Lost:
    place, stem = folder + name, name.rpartition(".")[0]
    try:
        beside = _beside(files, folder, stem, there)
        _, size, changed = files.stamp(place)
    except (BadData, BadImage):
        told.pop(place, None)
        return "unreadable"
    words = beside.over(told.pop(place, Said()))
    return Found(place=place, image=files.image(place), stamp=f"{size} {changed}", said=words)


def _beside(files: DataFiles, folder: str, stem: str, there: frozenset[str]) -> Said:
    record, caption = f"{stem}.json", f"{stem}.txt"
    own = record_of(files.read(folder + record)) if record in there else Said()
    return own.over(Said(caption=caption_of(files.read(folder + caption)))) if caption in there else own


def record_of(data: bytes) -> Said:
    """What the JSON object beside a photograph says. Raises BadData where it is none: it may hold a licence."""
    try:
        value: Json = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise BadData("what stands beside a photograph is no JSON object")
    return said(cast("dict[str, Json]", value))


def caption_of(data: bytes) -> str:
    """The text beside a photograph, in one line."""
    return " ".join(data.decode("utf-8-sig", "replace").split())
