"""Reading `test.json`, the references of `safe_safes`, and the images they name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from harness import BadData, MissingData, Sample, Settings, distinct, open_files, prompt, rows
from harness.readers import DataFiles, Row, first_of

from .source import REPOSITORY

#: Of the hub's own layout, of the repository's, and what its script looks for.
FOLDERS: Final = ("", "data/", "data/VLGuard/")
REFERENCES: Final = "gpt4_safe_safes.json"
#: Split -> whether its images are safe, and the field of its instruction.
ASKED: Final[Mapping[str, tuple[bool, str]]] = {
    "unsafes": (False, "instruction"),
    "mini": (False, "instruction"),
    "safe_unsafes": (True, "unsafe_instruction"),
    "safe_safes": (True, "safe_instruction"),
}


def samples(root: Path, split: str, _settings: Settings) -> Iterator[Sample]:
    """The samples of one split; `mini-NAME` is read as NAME is.

    Raises:
        MissingData: test.json is not there, or the references are not.
        BadData: a record lacks a field, or has no instruction of the split's kind.
    """
    files = open_files(root)
    safe, field = ASKED[split.removeprefix("mini-")]
    found = [row for row in rows(files, *(f"{folder}test.json" for folder in FOLDERS)) if row.flag("safe") == safe]
    references = _references(files) if field == "safe_instruction" else None
    names = distinct(row.key("id", "image") for row in found)
    # All records are read before the first sample is given, so that a broken file costs no model call.
    return iter([_sample(files, row, split, name, field, references) for row, name in zip(found, names, strict=True)])


def _sample(
    files: DataFiles, row: Row, split: str, name: str, field: str, references: Mapping[str, str] | None
) -> Sample:
    instruction, image = _instruction(row, field), row.text("image")
    source = image.replace("\\", "/").partition("/")[0]
    tags, target = {"source": source}, {"intent": instruction}
    if field == "instruction":
        tags["sub_category"] = row.text("harmful_subcategory", default="")
    if references is not None:
        target = {"reference": references[image]} if image in references else {}
        tags["reference"] = "none" if not target else "text" if target["reference"].strip() else "empty"
    places = (files.image(f"{folder}{part}{image}") for folder in FOLDERS for part in ("test/", ""))
    return Sample(
        id=name,
        split=split,
        request=prompt(first_of(*places), instruction),
        category=row.text("harmful_category") if field == "instruction" else source,
        tags=tags,
        target=target,
    )


def _instruction(row: Row, field: str) -> str:
    """The instruction of one kind, found by its key: a record has several in no stated order."""
    for entry in row.rows("instr-resp"):
        if entry.has(field):
            return entry.text(field)
    raise BadData(f"none of its entries has the field {field!r}", where=f"{row.place}, field instr-resp")


def _references(files: DataFiles) -> Mapping[str, str]:
    """Image -> what the reference model said; an empty text where it said nothing."""
    try:
        found = rows(files, *(f"{folder}{REFERENCES}" for folder in FOLDERS))
    except MissingData as error:
        how = f"harness data fetch vlguard takes it from https://github.com/{REPOSITORY} into {files.root}"
        raise MissingData(error.what, where=error.where, remedy=how) from None
    return {row.text("image"): row.text("response", "output", default="") for row in found}
