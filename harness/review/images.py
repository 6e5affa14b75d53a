"""The images that a page shows: opened once each, and served by their hash alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from harness.errors import BadImage
from harness.images import open_image
from harness.types import Image, ImageContent

#: why an image is not shown, in a person's words
_FAULTS: Final = {
    "missing": "the file is missing",
    "outside_root": "its path leads outside the folder",
    "too_many_pixels": "it has too many pixels",
    "too_many_bytes": "it is too large",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageState:
    """An image's hash, or why it cannot be shown."""

    sha256: str = ""
    why: str = ""


class ShownImages:
    """The images of what was shown; no other file can be requested."""

    def __init__(self) -> None:
        self._images: dict[str, Image] = {}
        self._states: dict[str, tuple[ImageState, ...]] = {}
        self._stamps: dict[str, list[object]] = {}

    def open(self, key: str, images: Iterable[Image]) -> tuple[ImageState, ...]:
        """The images of one key; each file is read once."""
        known = self._states.get(key)
        if known is None:
            states: list[ImageState] = []
            for image in images:
                try:
                    sha256 = open_image(image).opened.sha256
                except BadImage as fault:
                    states.append(ImageState(why=_describe(fault)))
                else:
                    self._images[sha256] = image
                    states.append(ImageState(sha256=sha256))
            known = self._states[key] = tuple(states)
        return known

    def forget_changed(self, key: str, images: Sequence[Image]) -> None:
        """Open the images of a key again the next time, if a file has changed or gone, or has come back."""
        stamps: list[object] = []
        for image in images:
            try:
                stamps.append(image.files.stamp(image.path))
            except BadImage as fault:
                stamps.append(fault.reason)
        if self._stamps.get(key) != stamps:
            self._states.pop(key, None)
            self._stamps[key] = stamps

    def find(self, sha256: str) -> ImageContent | ImageState:
        """An image by its hash; or why it can no longer be shown. Raises KeyError if no shown item has it."""
        try:
            content = open_image(self._images[sha256]).opened
        except BadImage as fault:
            return ImageState(why=_describe(fault))
        return content if content.sha256 == sha256 else ImageState(why="the file has changed")


def _describe(fault: BadImage) -> str:
    return _FAULTS.get(fault.reason, "it cannot be read")
