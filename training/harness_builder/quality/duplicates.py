"""Finds near-duplicates of texts and of images as they arrive.

Texts are compared by their runs of five characters (folded, with single spaces): their likeness is Jaccard's, the share
of runs that both have. MinHash and its index find the few earlier texts worth comparing. These are compared exactly, so
nothing is dropped on an estimate. The index can miss pairs near the threshold: with likeness 0.8 it finds 988 of 1,000
pairs, with 0.85 9,995 of 10,000, with 0.9 all except one or two in a million.

The mark of an image is its perceptual hash (64 bits, of shapes in grey) and the mean colours of a coarse grid, since a
red star and a blue one have the same shape. Two are near-duplicates if both are close: scaled, compressed, lightly
cropped or brightened copies are. An image without shapes has a hash of noise; it is compared by its colours alone.

The mark of an image is computed once per build and stored in `work/marks.db`, by the sha256 of its bytes. Nothing of a
stopped image stays: dropping it blanks its mark, and closing the file blanks copies left where rows moved.
"""

from __future__ import annotations

import sqlite3
import threading
from array import array
from collections import defaultdict
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

from harness import HarnessError, Image
from harness.extras import Untyped, require_module
from harness.images import decode, open_image
from harness.readers import normalize_question
from harness_builder.disk import disk_errors
from harness_builder.plan import IMAGE_BITS, LOWEST_LIKENESS, MOST_BITS, TEXT_LIKENESS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image as Picture

Ints: TypeAlias = "NDArray[np.integer[Any]]"

_RUN: Final = 5  # characters
_BANDS: Final = 24  # 1 - (1 - 0.8 ** 8) ** 24 is 0.988
_ROWS: Final = 8  # fewer find more, but make questions of one form match each other
_HASH_SEED: Final = 20_261_125
MINHASH: Final = (_BANDS, _ROWS, _HASH_SEED, _RUN)  #: for the benchmark
_SLACK: Final = 0.15  # four standard deviations of the estimate; texts further below are not compared exactly

_BITS: Final = 64
_GRID: Final = 4
_TINT: Final = 28  # levels of 255 by which a cell's mean colour may differ
_FLAT: Final = 3.0  # standard deviation of grey below which there are no shapes
_SIGN: Final = 1 << 63  # sqlite's integers are signed


@dataclass(frozen=True, slots=True, kw_only=True)
class NearDuplicate:
    """An item that nearly equals an earlier one.

    Attributes:
        key: of the item.
        of: key of the earlier one.
        likeness: from 0 to 1: of texts, the share of runs in both; of images, the share of equal bits.
    """

    key: str
    of: str
    likeness: float


# ---- texts -----------------------------------------------------------------------------------------------------------


class TextIndex:
    """The texts so far; about 3 kB each.

    `find` returns the text that an item nearly equals, and `add` adds it. Adding only new texts keeps the first of each
    group.
    """

    def __init__(self, least: float = TEXT_LIKENESS) -> None:
        """Args: least: least likeness of near-duplicate texts, from 0.7 to 1. Raises HarnessError if out of bounds, or
        the library is not installed."""
        if not LOWEST_LIKENESS <= least <= 1:
            remedy = f"give one from {LOWEST_LIKENESS:g} to 1"
            raise HarnessError(f"a likeness of {least:g} is out of bounds", remedy=remedy)
        self._library = require_module("rensa", "build", by="finding near-duplicates")
        self._least = least
        self._index: Untyped = self._library.RMinHashLSH(least, _BANDS * _ROWS, _BANDS)
        self._hashes: list[Untyped] = []
        self._texts: list[str] = []
        self._keys: list[str] = []
        self._known: set[str] = set()

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, key: str, text: str) -> NearDuplicate | None:
        """The most similar earlier text, if it is a near-duplicate; among equals the first."""
        return _most_like(self.find_all(key, text))

    def find_all(self, key: str, text: str) -> list[NearDuplicate]:
        """All near-duplicate earlier texts, in the order they came."""
        runs = find_runs(normalize_question(text))
        return self._find_near(key, runs, self._hash(runs))

    def add(self, key: str, text: str) -> None:
        """Add a text. Raises ValueError if there is one with this key."""
        plain = normalize_question(text)
        self._insert(key, plain, self._hash(find_runs(plain)))

    def take(self, key: str, text: str) -> NearDuplicate | None:
        """`find`, and `add` if it is like none."""
        plain = normalize_question(text)
        runs = find_runs(plain)
        hashed = self._hash(runs)
        near = _most_like(self._find_near(key, runs, hashed))
        if near is None:
            self._insert(key, plain, hashed)
        return near

    def _insert(self, key: str, plain: str, hashed: Untyped) -> None:
        if key in self._known:
            raise ValueError("there is a text under this key")
        self._index.insert(len(self._texts), hashed)
        self._keys.append(key)
        self._known.add(key)
        self._texts.append(plain)
        self._hashes.append(hashed)

    def _hash(self, runs: frozenset[str]) -> Untyped:
        hashed = self._library.RMinHash(_BANDS * _ROWS, _HASH_SEED)
        hashed.update([run.encode("utf-8", "surrogatepass") for run in runs])
        return hashed

    def _find_near(self, key: str, runs: frozenset[str], hashed: Untyped) -> list[NearDuplicate]:
        asked: list[int] = self._index.query(hashed)
        found: list[NearDuplicate] = []
        for at in sorted(asked):
            if self._hashes[at].jaccard(hashed) < self._least - _SLACK:
                continue
            likeness = jaccard(runs, find_runs(self._texts[at]))
            if likeness >= self._least:
                found.append(NearDuplicate(key=key, of=self._keys[at], likeness=likeness))
        return found


def _most_like(found: list[NearDuplicate]) -> NearDuplicate | None:
    return max(found, key=lambda near: near.likeness, default=None)


def find_runs(plain: str) -> frozenset[str]:
    """The distinct runs of five characters; a shorter text is one run."""
    return frozenset(plain[at : at + _RUN] for at in range(max(len(plain) - _RUN + 1, 1)))


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """The number in both, as a share of the number in either."""
    common = len(one & other)
    return common / (len(one) + len(other) - common)


# ---- images ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageMark:
    """The look of an image.

    Attributes:
        shape: its perceptual hash; None if it has no shapes.
        tint: red, green and blue of each cell of the grid, row by row.
    """

    shape: int | None
    tint: bytes


def mark_image(image: Image) -> ImageMark:
    """Compute the mark of an image.

    Raises:
        BadImage: it is missing, broken or out of bounds.
        HarnessError: the library is not installed.
    """
    from PIL import ImageStat
    from PIL.Image import Resampling

    picture: Picture = decode(open_image(image).opened)
    tint = picture.resize((_GRID, _GRID), Resampling.BOX).tobytes()
    if ImageStat.Stat(picture.convert("L")).stddev[0] < _FLAT:
        return ImageMark(shape=None, tint=tint)
    library = require_module("imagehash", "build", by="finding near-duplicates")
    return ImageMark(shape=int(str(library.phash(picture)), 16), tint=tint)


class MarkTable:
    """Marks by their place, and a search for those that may be close to another.

    A hash has one more band than bits may differ: two close ones are equal in at least one band, so none is missed. An
    image without shapes is filed by its mean colour, which equals that of a close one or is next to it. Marks in one
    bucket are compared together, in arrays: a drawing of one object may come thousands of times.
    """

    def __init__(self, most: int) -> None:
        if not 0 <= most <= MOST_BITS:
            raise HarnessError(f"{most} bits are out of bounds", remedy=f"set a number from 0 to {MOST_BITS}")
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
        """Add a mark at the next place. One that is not filed is never found."""
        for bucket in self._find_buckets(image) if filed else ():
            self._filed[bucket].append(len(self._shapes))
        self._shapes.append(image.shape or 0)
        self._flat.append(image.shape is None)
        self._tints += image.tint

    def places(self, image: ImageMark) -> list[Ints]:
        """The places of marks that may be close; a place may come more than once."""
        import numpy as np

        if image.shape is not None:
            buckets = self._find_buckets(image)
        else:
            red, green, blue = _mean_colour(image)
            near = (-1, 0, 1)
            buckets = [
                (red + more, green + greener, blue + bluer) for more in near for greener in near for bluer in near
            ]
        found = (self._filed.get(bucket) for bucket in buckets)
        return [np.frombuffer(places, np.uint32) for places in found if places]

    def apart(self, image: ImageMark, places: Ints) -> Ints:
        """The number of bits in which the marks at these places differ from one; all bits if the colours differ."""
        import numpy as np

        shapes = np.frombuffer(self._shapes, np.uint64)[places] ^ np.uint64(image.shape or 0)
        bits: Ints = np.unpackbits(shapes.view(np.uint8)).reshape(-1, _BITS).sum(axis=1, dtype=np.int64)
        bits[np.frombuffer(self._flat, np.bool_)[places] != (image.shape is None)] = _BITS
        close = np.flatnonzero(bits <= self.most)
        tints = np.frombuffer(self._tints, np.uint8).reshape(-1, len(image.tint))[places[close]].astype(np.int16)
        away = np.abs(tints - np.frombuffer(image.tint, np.uint8)).max(axis=1, initial=0) > _TINT
        bits[close[away]] = _BITS
        return bits

    def _find_buckets(self, image: ImageMark) -> list[tuple[int, ...]]:
        shape = image.shape
        if shape is None:
            return [_mean_colour(image)]
        return [(number, shape >> low & mask) for number, (low, mask) in enumerate(self._bands)]


def _mean_colour(image: ImageMark) -> tuple[int, int, int]:
    """The mean colour in steps; close images differ by at most one step."""
    red, green, blue = (sum(image.tint[channel::3]) // (len(image.tint) // 3 * (_TINT + 1)) for channel in range(3))
    return red, green, blue


class ImageIndex:
    """The images so far; see `TextIndex` for the use."""

    def __init__(self, most: int = IMAGE_BITS) -> None:
        """Args: most: bits in which near-duplicates may differ, from 0 to 16."""
        self._table = MarkTable(most)
        self._keys: list[str] = []
        self._known: set[str] = set()
        self._marks: set[ImageMark] = set()

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, key: str, image: ImageMark) -> NearDuplicate | None:
        """The most similar earlier image, if it is a near-duplicate; among equals the first."""
        import numpy as np

        if not (filed := self._table.places(image)):
            return None
        places = np.unique(np.concatenate(filed))
        apart = self._table.apart(image, places)
        best = int(apart.argmin())
        if apart[best] > self._table.most:
            return None
        return NearDuplicate(key=key, of=self._keys[int(places[best])], likeness=1 - int(apart[best]) / _BITS)

    def add(self, key: str, image: ImageMark) -> None:
        """Add an image. Raises ValueError if there is one with this key."""
        if key in self._known:
            raise ValueError("there is an image under this key")
        self._table.add(image, filed=image not in self._marks)  # of equals the first is found
        self._keys.append(key)
        self._known.add(key)
        self._marks.add(image)

    def take(self, key: str, image: ImageMark) -> NearDuplicate | None:
        """`find`, and `add` if it is like none."""
        near = self.find(key, image)
        if near is None:
            self.add(key, image)
        return near


class PairIndex:
    """The pairs of images so far. Two are near-duplicates if each image of one nearly equals one of the other, in
    either order. One common image is not enough: many risks take a kitchen knife."""

    def __init__(self, most: int = IMAGE_BITS) -> None:
        """Args: most: bits in which near-duplicate images may differ, from 0 to 16."""
        self._table = MarkTable(most)
        self._keys: list[str] = []

    def __len__(self) -> int:
        return len(self._keys)

    def take(self, key: str, pair: tuple[ImageMark, ImageMark]) -> NearDuplicate | None:
        """The most similar near-duplicate pair, among equals the first; if there is none, this one is added."""
        near = self._find(key, pair)
        if near is None:
            self._keys.append(key)
            for image in pair:
                self._table.add(image)
        return near

    def _find(self, key: str, pair: tuple[ImageMark, ImageMark]) -> NearDuplicate | None:
        """Look up the image with fewer candidates; then compare the other image of each candidate's pair.

        A separate function: the table cannot grow while arrays refer to it.
        """
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
        return NearDuplicate(key=key, of=self._keys[int(places[best]) // 2], likeness=1 - int(apart[best]) / _BITS)


class MarkStore:
    """The marks in `work/marks.db`; a context manager. Safe to use from several threads.

    Args:
        folder: `work/` of the build. The caller ensures that no other process writes there.

    Raises:
        HarnessError: here and in every method: the disk cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._lock = threading.Lock()
        self._path = folder / "marks.db"
        with disk_errors(self._path), ExitStack() as stack:
            self._db = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
            stack.callback(self._db.close)
            self._db.execute("PRAGMA synchronous=OFF")
            self._db.execute("CREATE TABLE IF NOT EXISTS marks (sha256 TEXT PRIMARY KEY, shape INTEGER, tint BLOB)")
            stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            with disk_errors(self._path):
                if self._db.execute("PRAGMA user_version").fetchone() != (0,):
                    self._db.execute("VACUUM")
                    self._db.execute("PRAGMA user_version = 0")
        finally:
            self._db.close()

    def drop(self, names: Iterable[str]) -> None:
        """Erase the marks of images, by their sha256."""
        with self._lock, disk_errors(self._path):
            for setting in ("PRAGMA secure_delete = ON", "BEGIN"):
                self._db.execute(setting)
            gone = self._db.executemany("DELETE FROM marks WHERE sha256 = ?", [(each,) for each in names]).rowcount
            if gone > 0:
                self._db.execute("PRAGMA user_version = 1")  # the next build blanks the rest, if this one is killed
            self._db.execute("COMMIT")

    def get(self, image: Image) -> ImageMark:
        """The mark of an image, computed if it is not stored. Raises BadImage like `mark_image`."""
        opened = open_image(image)
        name = opened.opened.sha256
        with self._lock, disk_errors(self._path):
            row = self._db.execute("SELECT shape, tint FROM marks WHERE sha256 = ?", (name,)).fetchone()
        if row is not None:
            return ImageMark(shape=None if row[0] is None else row[0] + _SIGN, tint=row[1])
        found = mark_image(opened)
        shape = None if found.shape is None else found.shape - _SIGN
        with self._lock, disk_errors(self._path):
            self._db.execute("INSERT OR REPLACE INTO marks VALUES (?, ?, ?)", (name, shape, found.tint))
        return found
