"""Near-duplicates of images, found as they come.

An image is known by its perceptual hash (64 bits, of shapes in grey) and by the mean colours of a coarse grid, since a
red star and a blue one have the same shape. Two are near-duplicates when both are close: scaled, compressed, lightly
cropped or brightened copies are. An image without shapes has a hash of noise; it is compared by its colours alone.
"""

from __future__ import annotations

import importlib
from array import array
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from harness import HarnessError, Image
from harness.images import decode, open_image

from .likeness import Near

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image as Picture

Untyped: TypeAlias = Any
Ints: TypeAlias = "NDArray[np.integer[Any]]"

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


class MarkTable:
    """Marks by their place, and which of them may be close to another.

    A hash is filed in as many bands as may differ and one more: two that are close are equal in at least one of them,
    so that none is missed. An image without shapes is filed by its mean colour, which is that of a close one or
    beside it. What is filed alike is compared at once, in arrays: a drawing of one object may come thousands of times.
    """

    def __init__(self, most: int) -> None:
        if not 0 <= most <= 16:
            raise HarnessError(f"{most} bits cannot be asked for", remedy="give a number from 0 to 16")
        self.most = most
        edges = [_BITS * number // (most + 1) for number in range(most + 2)]
        self._bands = [(low, (1 << (high - low)) - 1) for low, high in pairwise(edges)]
        self._shapes = array("Q")
        self._flat = bytearray()
        self._tints = bytearray()
        self._filed: defaultdict[tuple[int, ...], array[int]] = defaultdict(partial(array, "I"))

    def __len__(self) -> int:
        return len(self._shapes)

    def add(self, image: ImageMark, *, filed: bool = True) -> None:
        """Take a mark in, at the next place; one that is not filed is found by no other."""
        for drawer in self._drawers(image) if filed else ():
            self._filed[drawer].append(len(self._shapes))
        self._shapes.append(image.shape or 0)
        self._flat.append(image.shape is None)
        self._tints += image.tint

    def places(self, image: ImageMark) -> list[Ints]:
        """Where those stand that may be close to it; one may be named more than once."""
        import numpy as np

        drawers = self._drawers(image) if image.shape is not None else _around(*_mean(image))
        found = (self._filed.get(drawer) for drawer in drawers)
        return [np.frombuffer(places, np.uint32) for places in found if places]

    def apart(self, image: ImageMark, places: Ints) -> Ints:
        """In how many bits it differs from those that stand there; all of them where the colours do."""
        import numpy as np

        shapes = np.frombuffer(self._shapes, np.uint64)[places] ^ np.uint64(image.shape or 0)
        bits: Ints = np.unpackbits(shapes.view(np.uint8)).reshape(-1, _BITS).sum(axis=1, dtype=np.int64)
        bits[np.frombuffer(self._flat, np.bool_)[places] != (image.shape is None)] = _BITS
        close = np.flatnonzero(bits <= self.most)
        tints = np.frombuffer(self._tints, np.uint8).reshape(-1, len(image.tint))[places[close]].astype(np.int16)
        away = np.abs(tints - np.frombuffer(image.tint, np.uint8)).max(axis=1, initial=0) > _TINT
        bits[close[away]] = _BITS
        return bits

    def _drawers(self, image: ImageMark) -> list[tuple[int, ...]]:
        shape = image.shape
        if shape is None:
            return [_mean(image)]
        return [(number, shape >> low & mask) for number, (low, mask) in enumerate(self._bands)]


class ImageIndex:
    """The images so far; see `TextIndex` for the use."""

    def __init__(self, most: int = MOST) -> None:
        """Args: most: bits in which near-duplicates may differ, from 0 to 16."""
        self._table = MarkTable(most)
        self._keys: list[str] = []
        self._known: set[str] = set()
        self._marks: set[ImageMark] = set()

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, key: str, image: ImageMark) -> Near | None:
        """The earlier image that this one is most like, where it is like it enough; among equals the first."""
        import numpy as np

        if not (filed := self._table.places(image)):
            return None
        places = np.unique(np.concatenate(filed))
        apart = self._table.apart(image, places)
        best = int(apart.argmin())
        if apart[best] > self._table.most:
            return None
        return Near(key=key, of=self._keys[int(places[best])], likeness=1 - int(apart[best]) / _BITS)

    def add(self, key: str, image: ImageMark) -> None:
        """Take an image in.

        Raises:
            ValueError: there is one under this key.
        """
        if key in self._known:
            raise ValueError("there is an image under this key")
        self._table.add(image, filed=image not in self._marks)  # of equals the first is found
        self._keys.append(key)
        self._known.add(key)
        self._marks.add(image)

    def take(self, key: str, image: ImageMark) -> Near | None:
        """`find`, and `add` where it is like none."""
        near = self.find(key, image)
        if near is None:
            self.add(key, image)
        return near


class PairIndex:
    """The pairs of images so far. Two are near-duplicates where the images of one nearly equal those of the other, each
    its own, in either order: many risks take a kitchen knife."""

    def __init__(self, most: int = MOST) -> None:
        """Args: most: bits in which two images that are near-duplicates may differ, from 0 to 16."""
        self._table = MarkTable(most)
        self._keys: list[str] = []

    def __len__(self) -> int:
        return len(self._keys)

    def take(self, key: str, pair: tuple[ImageMark, ImageMark]) -> Near | None:
        """The earlier pair that this one is most like, among equals the first; taken in where there is none."""
        near = self._find(key, pair)
        if near is None:
            self._keys.append(key)
            for image in pair:
                self._table.add(image)
        return near

    def _find(self, key: str, pair: tuple[ImageMark, ImageMark]) -> Near | None:
        """Of the two images the one is looked up that fewer may be close to; of what is, its neighbour is compared."""
        import numpy as np

        filed = [self._table.places(image) for image in pair]
        seldom = min((0, 1), key=lambda at: sum(map(len, filed[at])))
        if not filed[seldom]:
            return None
        places = np.unique(np.concatenate(filed[seldom]))
        apart = self._table.apart(pair[seldom], places)
        near = apart <= self._table.most
        places, apart = places[near], apart[near]
        apart = np.maximum(apart, self._table.apart(pair[1 - seldom], places ^ 1))
        if not len(apart) or apart.min() > self._table.most:
            return None
        best = int(apart.argmin())
        return Near(key=key, of=self._keys[int(places[best]) // 2], likeness=1 - int(apart[best]) / _BITS)


def _mean(image: ImageMark) -> tuple[int, int, int]:
    """The mean colour, in steps by which those of close images differ by one at most."""
    red, green, blue = (sum(image.tint[channel::3]) // (len(image.tint) // 3 * (_TINT + 1)) for channel in range(3))
    return red, green, blue


def _around(red: int, green: int, blue: int) -> list[tuple[int, ...]]:
    near = (-1, 0, 1)
    return [(red + more, green + greener, blue + bluer) for more in near for greener in near for bluer in near]


def _hash(picture: Picture) -> int:
    try:
        library: Untyped = importlib.import_module("imagehash")
    except ImportError as error:
        raise HarnessError("near-duplicates need the extra `build`", where=str(error), remedy=INSTALL) from error
    return int(str(library.phash(picture)), 16)


def _flat(picture: Picture) -> bool:
    from PIL import ImageStat

    return ImageStat.Stat(picture.convert("L")).stddev[0] < _FLAT
