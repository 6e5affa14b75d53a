"""A build's candidates as a queue that people work through, with the images of the build's folder."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Final

from harness import HarnessError, Image
from harness.readers import open_files
from harness_builder.review import Queue

from .candidates import NAME, Candidates, read_candidates
from .deciding import REVIEWS

WORK: Final = "work"
_IMAGES: Final = "images"
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def image_of(work: Path) -> Callable[[str], Image]:
    """What finds an image of a build by its sha256; one that is not there is found to be missing when it is opened."""
    files = open_files(work)

    def image(sha256: str) -> Image:
        if not _SHA256.fullmatch(sha256):
            raise ValueError(f"{sha256!r} is no sha256")
        return Image(path=_place(work, f"{_IMAGES}/{sha256[:2]}/{sha256}"), files=files)

    return image


def _place(work: Path, stem: str) -> str:
    """With its ending, whatever kind of image it is; most are PNG."""
    if (work / f"{stem}.png").is_file():
        return f"{stem}.png"
    found = sorted((work / stem).parent.glob(f"{PurePosixPath(stem).name}.*"))
    return f"{stem}{found[0].suffix}" if found else stem


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
    return Queue(out / REVIEWS, found.every, found.categories)
