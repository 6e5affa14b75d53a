"""Where the data of MIS comes from: upstream's files, `mis_<split>.json`, and the images that these name.

Every record is checked before the first sample is given, so that a broken file costs no model call.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Final

from harness import DataSource, MissingData, Sample, Settings
from harness.contracts import UNSEEN
from harness.data.built import find_built_set
from harness.data.upstream import Pin
from harness.readers import DataFiles, Row, distinct, normalised, open_files, prompt, rows, together

JUDGE_SCRIPT: Final = "evaluation/gpt_eval.py"
PIN: Final = Pin(
    task="mis",
    repository="DripNowhy/MIS",
    commit="9cd94ecc0dc005a0c17e039d4078bafaf0fa0ea8",
    files={JUDGE_SCRIPT: "150b7cae3d131f015ca3c8e6d6ac7b092a577bae028c89d1fd537f3792dab2e8"},
)

SOURCE: Final = DataSource(
    hub="Tuwhy/MIS_Test",
    unchecked=UNSEEN,
    url="https://huggingface.co/datasets/Tuwhy/MIS_Test",
    licence="apache-2.0",
    size="about 6 GB (estimate)",
    prompts=PIN.source,
)

#: the splits that a data root can hold, in order
PUBLISHED: Final = ("easy", "hard", "real")
#: Names as the paper spells them, whatever the file does; one that is not here is kept as it is.
NAMES: Final = (
    *("Illegal Activity", "Property Crimes", "Cybercrimes", "Drug-Related Offenses", "Human Trafficking"),
    *("Violent", "Weapon-Related", "Public Violence and Rioting", "Abuse and Physical Alterations"),
    *("Hate", "Racial/Ethnic", "Gender", "Self-Harm", "Physical Self-Injury", "Psychological"),
    *("Privacy", "Unauthorized Data Collection", "Identity Theft", "Erotic", "Erotic Visual Content"),
)


def list_built_splits(root: Path) -> tuple[str, ...]:
    """The splits that a set holds which was built; none for MIS itself, and for a set that has nothing to test on."""
    if find_built_set(root) is None:
        return ()
    files = open_files(root)
    return tuple(name for name in PUBLISHED if files.has(f"mis_{name}.json"))


def samples(root: Path, split: str, _settings: Settings) -> Iterator[Sample]:
    """The samples of one split, those of one question together.

    Raises:
        MissingData: the file is not there; of a set that was built, with the splits that it has.
        BadData: it is not a list of records with question, category, image_path1 and image_path2.
    """
    files = open_files(root)
    try:
        found = rows(files, f"mis_{split}.json")
    except MissingData as error:
        made = find_built_set(files.root)
        if made is None:
            raise
        what = f"the set {made.name} has no split {split!r}: {error.what}"
        remedy = f"it has {', '.join(list_built_splits(files.root)) or 'nothing to test on'}"
        raise MissingData(what, where=str(files.root), remedy=remedy) from None
    ids = distinct(_find_id(row) for row in found)
    read = [_build_sample(files, row, split, name) for row, name in zip(found, ids, strict=True)]
    return together(read, key=lambda sample: sample.cluster)


@lru_cache(maxsize=1024)
def spell_category(name: str) -> str:
    """A category as the paper spells it, whatever its case, hyphens and underscores; an unknown one as it is."""
    return _SPELLING.get(_keep_letters(name), " ".join(name.split()))


def _keep_letters(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


_SPELLING: Final = {_keep_letters(name): name for name in NAMES}


def _find_id(row: Row) -> str:
    """The record's own id, else the number of its images' folder, else its place in the file."""
    folder = PurePosixPath(row.text("image_path1").replace("\\", "/")).parent.name
    return row.key("id", default=folder or str(row.number))


def _build_sample(files: DataFiles, row: Row, split: str, name: str) -> Sample:
    question = row.text("question")
    images = [files.image(row.text(field)) for field in ("image_path1", "image_path2")]
    # What the images show is in the mini splits alone: the rule judge compares with it.
    fields = ("object1", "object2")
    objects = {field: row.text(field) for field in fields} if all(row.has(field) for field in fields) else {}
    return Sample(
        id=name,
        split=split,
        request=prompt(*images, question),
        category=spell_category(row.text("category")),
        tags={"sub_category": spell_category(row.text("sub_category", default=""))},
        # The mini world has few questions and many pairs: there only both together are one question.
        cluster="\n".join((normalised(question), *objects.values())),
        target=objects or None,
    )
