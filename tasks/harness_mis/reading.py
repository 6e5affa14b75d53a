"""Reading `mis_<split>.json` and the images it names.

Every record is checked before the first sample is given, so that a broken file costs no model call.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Final

from harness import MissingData, Sample
from harness.data.built import built
from harness.readers import DataFiles, Row, distinct, normalised, open_files, prompt, rows, together

from .source import file_of, held

#: Names as the paper spells them, whatever the file does; one that is not here is kept as it is.
NAMES: Final = (
    *("Illegal Activity", "Property Crimes", "Cybercrimes", "Drug-Related Offenses", "Human Trafficking"),
    *("Violent", "Weapon-Related", "Public Violence and Rioting", "Abuse and Physical Alterations"),
    *("Hate", "Racial/Ethnic", "Gender", "Self-Harm", "Physical Self-Injury", "Psychological"),
    *("Privacy", "Unauthorized Data Collection", "Identity Theft", "Erotic", "Erotic Visual Content"),
)


def samples(root: Path, split: str) -> Iterator[Sample]:
    """The samples of one split, those of one question together.

    Raises:
        MissingData: the file is not there; of a set that was built, with the splits that it has.
        BadData: it is not a list of records with question, category, image_path1 and image_path2.
    """
    files = open_files(root)
    found = _rows(files, split)
    ids = distinct(_id(row) for row in found)
    read = [_sample(files, row, split, name) for row, name in zip(found, ids, strict=True)]
    return together(read, key=lambda sample: sample.cluster)


def _rows(files: DataFiles, split: str) -> tuple[Row, ...]:
    try:
        return rows(files, file_of(split))
    except MissingData as error:
        made = built(files.root)
        if made is None:
            raise
        what = f"the set {made.name} has no split {split!r}: {error.what}"
        remedy = f"it has {', '.join(held(files.root)) or 'nothing to test on'}"
        raise MissingData(what, where=str(files.root), remedy=remedy) from None


@lru_cache(maxsize=1024)
def canonical(name: str) -> str:
    """A category as the paper spells it, whatever its case, hyphens and underscores; an unknown one as it is."""
    return _SPELLING.get(_letters(name), " ".join(name.split()))


def _letters(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


_SPELLING: Final = {_letters(name): name for name in NAMES}


def _id(row: Row) -> str:
    """The record's own id, else the number of its images' folder, else its place in the file."""
    folder = PurePosixPath(row.text("image_path1").replace("\\", "/")).parent.name
    return row.key("id", default=folder or str(row.number))


def _sample(files: DataFiles, row: Row, split: str, name: str) -> Sample:
    question = row.text("question")
    images = [files.image(row.text(field)) for field in ("image_path1", "image_path2")]
    objects = _objects(row)
    return Sample(
        id=name,
        split=split,
        request=prompt(*images, question),
        category=canonical(row.text("category")),
        tags={"sub_category": canonical(row.text("sub_category", default=""))},
        # The mini world has few questions and many pairs: there only both together are one question.
        cluster="\n".join((normalised(question), *objects.values())),
        target=objects or None,
    )


def _objects(row: Row) -> dict[str, str]:
    """What the images show, in the mini splits alone: the rule judge compares with it."""
    names = ("object1", "object2")
    return {name: row.text(name) for name in names} if all(row.has(name) for name in names) else {}
