"""Where everything of a set lies: MIS's own names, and what stands beside them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from harness.data.provenance import FILE as SOURCE
from harness_builder.values import Subset


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One file of records.

    Attributes:
        file: a JSON list.
        name: that `datasets.load_dataset(FOLDER, NAME)` takes.
        split: that it gives.
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
#: files that are there to train on, whose images lie in one folder
TRAINING: Final = (LISTINGS["train"].file, REFUSAL.file)

MANIFEST: Final = "build.json"
PROVENANCE: Final = "provenance.jsonl"
CARD: Final = "README.md"
LICENCE: Final = "LICENSE"

IMAGES: Final = tuple(dict.fromkeys(each.images for each in FILES.values()))
#: what is told about the records
TOLD: Final = (PROVENANCE, CARD, LICENCE, SOURCE)
#: all that the output puts into a folder beside its images, the manifest first: without it a set is not whole
SINGLE: Final = (MANIFEST, *FILES, *TOLD)
_IMAGE: Final = re.compile(rf"({'|'.join(IMAGES)})/[1-9][0-9]*(/object[12]\.png)?")


def ours(path: str) -> bool:
    """Whether the output would put a file there, by its place under the set's folder."""
    found = _IMAGE.fullmatch(path)
    return path in SINGLE or (found is not None and found[2] is not None)


def blocks(path: str) -> bool:
    """Whether a file or a link there would be in the way of one of the output's."""
    return path in SINGLE or _IMAGE.fullmatch(path) is not None
