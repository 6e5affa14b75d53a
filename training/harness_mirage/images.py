"""The images of records: opened when a batch needs them and never kept, and found in whatever folder they were put."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from dataclasses import replace
from math import sqrt
from typing import TYPE_CHECKING, Final

from harness import BadData, BadImage, Files, Image
from harness.images import BYTE_LIMIT, decode, open_image, read_image
from harness.readers import DataFiles

from .mixture import BadRecord, Picture, Record

if TYPE_CHECKING:
    import PIL.Image

EDGE: Final = 336  #: pixels of a black square's side
BLANK: Final = (56, 56)  #: size of an image that is there only so that the vision tower runs: a few patches
_ORIENTATION: Final = 0x0112  #: tag of EXIF
_TURNED: Final = range(5, 9)  #: its values that swap width and height
_UNUSABLE: Final = "an image that cannot be used"


def load_picture(picture: Picture, pixels: int | None, place: str) -> PIL.Image.Image:
    """Decode an image, scaled down to at most `pixels`.

    Raises:
        BadData: it is missing or broken; `place` says in which record.
    """
    import PIL.Image

    if picture.files is None:
        return PIL.Image.new("RGB", (EDGE, EDGE))
    try:
        found = decode(open_image(Image(path=picture.path, files=picture.files)).opened)
    except BadImage as error:
        raise _unreadable_error(error, place) from None
    size = scale_size(found.size, pixels)
    return found if size == found.size else found.resize(size, PIL.Image.Resampling.BICUBIC)


def measure_picture(picture: Picture, pixels: int | None, place: str) -> tuple[int, int]:
    """Width and height that `load_picture` would give, without decoding. Raises BadData for a missing or broken one."""
    if picture.files is None:
        return EDGE, EDGE
    try:
        return scale_size(inspect_image(picture.path, picture.files), pixels)
    except BadImage as error:
        raise _unreadable_error(error, place) from None


def inspect_image(path: str, files: Files) -> tuple[int, int]:
    """Width and height of an image as a person sees it: all of the file is checked, and no pixel is decoded.

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


def scale_size(size: tuple[int, int], pixels: int | None) -> tuple[int, int]:
    """A size of the same shape with at most `pixels` pixels."""
    width, height = size
    if pixels is None or width * height <= pixels:
        return size
    scale = sqrt(pixels / (width * height))
    return max(1, int(width * scale)), max(1, int(height * scale))


def _unreadable_error(error: BadImage, place: str) -> BadData:
    return BadData(f"an image cannot be read: {error}", where=place, remedy="fix the file, or leave out the record")


class ImageLocator:
    """Finds the images of one data set, and checks each file once.

    Args:
        files: of the data set.
        folders: in which images may lie.
    """

    def __init__(self, files: DataFiles, folders: Sequence[str]) -> None:
        self._files = files
        self._folders = list(folders)  # the one that had the last image comes first
        self._sound: set[str] = set()

    def locate(self, record: Record) -> tuple[Record, tuple[int, ...]]:
        """The record with the paths at which its images were found, and their sizes in bytes; a black square has none.

        Raises:
            BadRecord: an image is missing, leads out of the data, or is too large a file.
        """
        found = [self._find(each.path) for each in record.pictures if each.path]
        if not found:
            return record, ()
        pictures = tuple(Picture(path=path, files=self._files) for path, _ in found)
        return replace(record, pictures=pictures), tuple(size for _, size in found)

    def check(self, record: Record) -> None:
        """Check that the images of a located record can be opened; no pixel is decoded. Any thread may call it.

        Raises:
            BadRecord: one is no image, cut off, or too large.
        """
        for each in record.pictures:
            if each.files is None or each.path in self._sound:
                continue
            try:
                inspect_image(each.path, each.files)
            except BadImage as fault:
                raise BadRecord(_UNUSABLE, f"image {fault}") from None
            self._sound.add(each.path)

    def _find(self, path: str) -> tuple[str, int]:
        for number, folder in enumerate(self._folders):
            try:
                size = self._files.stamp(folder + path)[1]
            except BadImage as fault:
                if fault.reason == "missing":
                    continue
                raise BadRecord(_UNUSABLE, f"image {fault}") from None
            if size > BYTE_LIMIT:
                raise BadRecord(_UNUSABLE, f"image {path}: {size} bytes, at most {BYTE_LIMIT} are read")
            self._folders.insert(0, self._folders.pop(number))
            return folder + path, size
        raise BadRecord("a missing image", f"image {path} is missing")
