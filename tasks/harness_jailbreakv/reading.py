"""Reading JailBreakV-28K's tables, and where the images they name lie in the copies that are about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from harness import Sample, distinct, open_files, prompt, rows, together
from harness.readers import DataFiles, Row, first_of

#: of the hub's copy, of the folder alone, of an archive unpacked inside the folder
BASES: Final = ("JailBreakV_28K/", "", "JailBreakV_28K/JailBreakV_28K/")
WHOLE: Final = "JailBreakV_28K.csv"
PART: Final = "mini_JailBreakV_28K.csv"
GOALS: Final = "RedTeam_2K.csv"


def samples(root: Path, split: str) -> Iterator[Sample]:
    """The samples of one split, those of one goal together.

    Raises:
        MissingData: its table is not there.
        BadData: a record lacks a field.
    """
    files = open_files(root)
    found = _rows(files, split)
    goal, *others = ("question",) if split == "redteam" else ("redteam_query", "jailbreak_query", "image_path")
    for row in found:  # checked before the first sample is given
        for field in (goal, *others, "policy"):
            row.text(field)
    names = distinct(row.key("id", default=str(row.number)) for row in found)
    named = together(zip(found, names, strict=True), key=lambda pair: pair[0].text(goal))
    return (_sample(files, row, split, name, row.text(goal)) for row, name in named)


def _rows(files: DataFiles, split: str) -> list[Row]:
    if split == "redteam":
        return list(rows(files, *(base + GOALS for base in BASES)))
    whole = tuple(base + WHOLE for base in BASES)
    if split == "full":
        return list(rows(files, *whole))
    part = tuple(base + PART for base in BASES)
    if any(files.has(name) for name in part) or not any(files.has(name) for name in whole):
        return list(rows(files, *part))
    return [row for row in rows(files, *whole) if row.text("selected_mini", default="").strip().casefold() == "true"]


def _sample(files: DataFiles, row: Row, split: str, name: str, goal: str) -> Sample:
    tags: Mapping[str, str] = {"source": row.text("from", default="")}
    if split == "redteam":
        request = prompt(goal)
    else:
        path = row.text("image_path").strip()
        request = prompt(first_of(*(files.image(base + path) for base in BASES)), row.text("jailbreak_query"))
        tags = {"format": row.text("format", default=""), "image": _kind(path), **tags}
    return Sample(
        id=name,
        split=split,
        request=request,
        category=" ".join(row.text("policy").split()),
        tags=tags,
        cluster=goal,
        target={"intent": goal},
    )


def _kind(path: str) -> str:
    """What the image is: blank, noise, nature, SD (generated), typo or figstep, as its file's place says."""
    place = PurePosixPath(path.replace("\\", "/"))
    return "figstep" if "figstep" in place.parts else place.stem.partition("_")[0]
