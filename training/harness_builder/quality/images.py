"""Near-duplicates of images, found as they come.

An image is known by its perceptual hash (64 bits, of shapes in grey) and by the mean colours of a coarse grid, since a
red star and a blue one have the same shape. Two are near-duplicates when both are close: scaled, compressed, lightly
cropped or brightened copies are. An image without shapes has a hash of noise; it is compared by its colours alone.
"""

from __future__ import annotations

import importlib
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from harness import HarnessError, Image
from harness.images import decode, open_image

from .likeness import Near

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Untyped: TypeAlias = Any

INSTALL: Final = "pip install 'vlm-safety-harness[build]'"
MOST: Final = 6  #: bits of 64 in which near-duplicates may differ
_BITS: Final = 64
_GRID: Final = 4
_TINT: Final = 28  # levels of 255 by which a cell's mean colour may differ
_FLAT: Final = 3.0  # standard deviation of grey below which there are no shapes


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageMark:
    """What an image looks like.

    Attributes:
        shape: its perceptual hash; None where it has no shapes.
        tint: red, green and blue of each cell of the grid, row by row.
    """

    shape: int | None
    tint: bytes


def mark(image: Image) -> ImageMark:
    """What an image looks like.

    Raises:
        BadImage: it is missing, broken or out of bounds.
        HarnessError: the library is not installed.
    """
    from PIL.Image import Resampling

    picture = decode(open_image(image).opened)
    tint = picture.resize((_GRID, _GRID), Resampling.BOX).tobytes()
    return ImageMark(shape=None if _flat(picture) else _hash(picture), tint=tint)


class ImageIndex:
    """The images so far; see `TextIndex` for the use.

    A hash is kept in as many bands as may differ and one more: two that are close are equal in at least one of them, so
    that none is missed.
    """

    def __init__(self, most: int = MOST) -> None:
        """Args: most: bits in which near-duplicates may differ, from 0 to 16."""
        if not 0 <= most <= 16:
            raise HarnessError(f"{most} bits cannot be asked for", remedy="give a number from 0 to 16")
        self._most = most
        self._marks: dict[str, ImageMark] = {}
        self._bands: defaultdict[tuple[int, int], list[str]] = defaultdict(list)
        self._flats: list[str] = []

    def __len__(self) -> int:
        return len(self._marks)

    def find(self, key: str, image: ImageMark) -> Near | None:
        """The earlier image that this one is most like, where it is like it enough; among equals the first."""
        found = {other: _apart(image, self._marks[other]) for other in self._near(image)}
        best = min(found, key=lambda other: (found[other], other), default=None)
        if best is None or found[best] > self._most:
            return None
        return Near(key=key, of=best, likeness=1 - found[best] / _BITS)

    def add(self, key: str, image: ImageMark) -> None:
        """Take an image in.

        Raises:
            ValueError: there is one under this key.
        """
        if key in self._marks:
            raise ValueError("there is an image under this key")
        self._marks[key] = image
        if image.shape is None:
            self._flats.append(key)
        for band in self._cut(image):
            self._bands[band].append(key)

    def take(self, key: str, image: ImageMark) -> Near | None:
        """`find`, and `add` where it is like none."""
        near = self.find(key, image)
        if near is None:
            self.add(key, image)
        return near

    def _near(self, image: ImageMark) -> set[str]:
        if image.shape is None:
            return set(self._flats)
        return {key for band in self._cut(image) for key in self._bands.get(band, ())}

    def _cut(self, image: ImageMark) -> list[tuple[int, int]]:
        if image.shape is None:
            return []
        count = self._most + 1
        edges = [_BITS * number // count for number in range(count + 1)]
        return [
            (number, (image.shape >> low) & ((1 << (high - low)) - 1))
            for number, (low, high) in enumerate(pairwise(edges))
        ]


def _apart(one: ImageMark, other: ImageMark) -> int:
    """In how many bits they differ; all of them where their colours do."""
    if any(abs(left - right) > _TINT for left, right in zip(one.tint, other.tint, strict=True)):
        return _BITS
    if one.shape is None or other.shape is None:
        return 0 if one.shape is other.shape else _BITS
    return (one.shape ^ other.shape).bit_count()


def _hash(picture: Picture) -> int:
    try:
        library: Untyped = importlib.import_module("imagehash")
    except ImportError as error:
        raise HarnessError("near-duplicates need the extra `build`", where=str(error), remedy=INSTALL) from error
    return int(str(library.phash(picture)), 16)


def _flat(picture: Picture) -> bool:
    from PIL import ImageStat

    return ImageStat.Stat(picture.convert("L")).stddev[0] < _FLAT
