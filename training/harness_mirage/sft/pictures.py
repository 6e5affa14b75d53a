"""A record's image, opened when a batch needs it and never kept."""

from __future__ import annotations

import io
import struct
from math import sqrt
from typing import TYPE_CHECKING, Final

from harness import BadData, BadImage, Files, Image
from harness.images import decode, open_image, read_image
from harness_mirage.records import Picture

if TYPE_CHECKING:
    import PIL.Image

EDGE: Final = 336  #: pixels of a black square's side
BLANK: Final = (56, 56)  #: size of an image that is there only so that the vision tower runs: a few patches
_TURNED: Final = range(5, 9)  # values of EXIF's orientation that swap width and height
_ORIENTATION: Final = 0x0112


def opened(picture: Picture, pixels: int | None, place: str) -> PIL.Image.Image:
    """The pixels of an image, scaled down to at most so many.

    Raises:
        BadData: it is missing or broken; `place` says in which record.
    """
    import PIL.Image

    if picture.files is None:
        return PIL.Image.new("RGB", (EDGE, EDGE))
    try:
        found = decode(open_image(Image(path=picture.path, files=picture.files)).opened)
    except BadImage as error:
        raise _unreadable(error, place) from None
    size = fitted(found.size, pixels)
    return found if size == found.size else found.resize(size, PIL.Image.Resampling.BICUBIC)


def blank() -> PIL.Image.Image:
    """An image that says nothing, as small as every processor takes it."""
    import PIL.Image

    return PIL.Image.new("RGB", BLANK)


def size(picture: Picture, pixels: int | None, place: str) -> tuple[int, int]:
    """Width and height that `opened` would have, without decoding.

    Raises:
        BadData: the image is missing or broken.
    """
    if picture.files is None:
        return EDGE, EDGE
    try:
        width, height = looked_at(picture.path, picture.files)
    except BadImage as error:
        raise _unreadable(error, place) from None
    return fitted((width, height), pixels)


def looked_at(path: str, files: Files) -> tuple[int, int]:
    """Width and height of an image as a person sees it: all of the file is looked at, and no pixel is decoded.

    Raises:
        BadImage: it is missing, no image, cut off or too large, or Pillow cannot open it.
    """
    import PIL.Image

    data = read_image(Image(path=path, files=files))
    try:
        with PIL.Image.open(io.BytesIO(data)) as found:
            width, height = found.size
            turned = found.getexif().get(_ORIENTATION) in _TURNED
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        raise BadImage(path, "unreadable", str(error)) from None
    return (height, width) if turned else (width, height)


def fitted(size: tuple[int, int], pixels: int | None) -> tuple[int, int]:
    """A size of the same shape with at most so many pixels."""
    width, height = size
    if pixels is None or width * height <= pixels:
        return size
    scale = sqrt(pixels / (width * height))
    return max(1, int(width * scale)), max(1, int(height * scale))


def _unreadable(error: BadImage, place: str) -> BadData:
    return BadData(f"an image cannot be read: {error}", where=place, remedy="mend the file, or leave out the record")
