"""A build's candidates as a queue that people work through, with the images of the build's folder."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from shlex import quote
from typing import Final

from harness import HarnessError, Image
from harness_builder.review import Queue

from .candidates import NAME, Candidates, read_candidates
from .deciding import REVIEWS
from .drawn import DrawnFiles

WORK: Final = "work"
_IMAGES: Final = "images"
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def image_of(work: Path) -> Callable[[str], Image]:
    """What finds an image of a build by its sha256; one that is not there is found to be missing when it is opened."""
    files = DrawnFiles(work)

    def image(sha256: str) -> Image:
        if not _SHA256.fullmatch(sha256):
            raise ValueError(f"{sha256!r} is no sha256")
        return Image(path=files.place(f"{_IMAGES}/{sha256[:2]}/{sha256}"), files=files)

    return image


def standing(out: Path) -> Candidates:
    """What the last walk left to be decided. Raises HarnessError where there is none."""
    work = out / WORK
    if not (work / NAME).is_file():
        what = "there is nothing to review here"
        raise HarnessError(what, where=str(out), remedy="run `harness build` with this folder as --out first")
    return read_candidates(work / NAME, image_of(work))


def reviewing(out: Path) -> Queue:
    """The candidates of a build, to be reviewed. Raises HarnessError where there are none."""
    found = standing(out)
    then = f"harness build mis --config FILE --out {quote(str(out))}"
    return Queue(out / REVIEWS, found.every, found.categories, language=found.language, then=then)
