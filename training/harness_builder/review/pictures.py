"""The two images of each candidate, by their hash: no other file can be asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from harness import Image
from harness.errors import BadImage
from harness.images import open_image
from harness.types import ImageContent
from harness_builder.values import Candidate

#: why an image is not shown, in a reviewer's words
_WHY: Final = {
    "missing": "the file is gone",
    "outside_root": "its path leads out of the folder",
    "too_many_pixels": "it has too many pixels",
    "too_many_bytes": "it is too large",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What is known of an image: its hash, or why it cannot be shown."""

    sha256: str = ""
    why: str = ""


class Pictures:
    """Images that were looked at, and where they lie."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[Picture, Picture]] = {}
        self._known: dict[str, Image] = {}

    def of(self, candidate: Candidate) -> tuple[Picture, Picture]:
        """Both images of a candidate; each file is read once."""
        if candidate.key not in self._seen:
            first, second = candidate.images
            self._seen[candidate.key] = (self._look(first), self._look(second))
        return self._seen[candidate.key]

    def get(self, sha256: str) -> ImageContent | Picture:
        """The image with this hash; what is wrong where it is no longer there. Raises KeyError for one never seen."""
        try:
            content = open_image(self._known[sha256]).opened
        except BadImage as fault:
            return Picture(why=_told(fault))
        return content if content.sha256 == sha256 else Picture(why="the file is another one now")

    def _look(self, image: Image) -> Picture:
        try:
            sha256 = open_image(image).opened.sha256
        except BadImage as fault:
            return Picture(why=_told(fault))
        self._known[sha256] = image
        return Picture(sha256=sha256)


def _told(fault: BadImage) -> str:
    return _WHY.get(fault.reason, "it cannot be read")
