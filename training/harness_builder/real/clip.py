"""Photographs by what they look like: images and words in one space, and how near they lie to each other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from heapq import nsmallest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import numpy as np

from harness import BadImage
from harness.images import decode, open_image
from harness.keys import short

from .values import Photo
from .vectors import Floats, Places, Vectors

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Prepared: TypeAlias = Any  #: a picture as its encoder takes it
_BATCH: Final = 64
_TOLD: Final = 20  # lines in all, while the images are seen
_HANDS: Final = 4  # images that are decoded at once: one may take 240 MB
_DIGITS: Final = 4  # of a likeness: further ones are not the same in each order of adding up


class Encoder(Protocol):
    """Puts images and words into one space; both come out with length 1."""

    @property
    def name(self) -> str:
        """Model and weights; another name, other vectors."""
        ...

    @property
    def width(self) -> int:
        """Of a vector."""
        ...

    def prepare(self, picture: Picture) -> Prepared:
        """A picture in the model's own size. Safe to use from several threads."""
        ...

    def images(self, pictures: Sequence[Prepared]) -> Floats:
        """A row for each."""
        ...

    def words(self, text: str) -> Floats:
        """One vector."""
        ...


class ClipIndex:
    """See `PhotoIndex`. The images are seen once, in batches; what was seen stays in the build's folder.

    Args:
        photos: all of them.
        encoder: sees them.
        work: folder of the build that keeps what was seen; None keeps nothing.
        least: cosine of words and image from which on they belong together.
        tell: given lines for a person.
    """

    def __init__(
        self, photos: Sequence[Photo], encoder: Encoder, work: Path | None, *, least: float, tell: Callable[[str], None]
    ) -> None:
        self._photos = photos
        self._encoder = encoder
        self._least = least
        self._tell = tell
        file = work / "photos" / f"{short([encoder.name, encoder.width], 16)}.vectors" if work else None
        self._vectors = Vectors(file, encoder.width)
        self._missing = [number for number, photo in enumerate(photos) if photo.stamp not in self._vectors]
        self._places: Places | None = None
        self._seeing: Iterator[None] = self._batches()

    def __len__(self) -> int:
        return len(self._photos)

    def advance(self) -> bool:
        """See the next few images; whether there are more."""
        return next(self._seeing, self) is not self

    def find(self, words: str, count: int) -> list[Photo]:
        """See `PhotoIndex`; the score is the cosine."""
        while self.advance():
            pass
        scores = self._scores(words)
        near = [int(number) for number in np.flatnonzero(scores >= self._least)]
        best = nsmallest(count, near, key=lambda number: (-scores[number], self._photos[number].key))
        return [replace(self._photos[number], score=float(scores[number])) for number in best]

    def _scores(self, words: str) -> Floats:
        if self._places is None:
            self._places = self._vectors.places(photo.stamp for photo in self._photos)
        parts = list(self._vectors.products(self._places, self._encoder.words(words)))
        return np.concatenate(parts).astype(np.float32).round(_DIGITS)

    def _batches(self) -> Iterator[None]:
        missing, told, broken = self._missing, 0, 0
        with ThreadPoolExecutor(min(_HANDS, os.cpu_count() or 1)) as hands:
            for start in range(0, len(missing), _BATCH):
                broken += self._see(missing[start : start + _BATCH], hands)
                done = min(start + _BATCH, len(missing))
                if done * _TOLD // len(missing) > told:
                    told = done * _TOLD // len(missing)
                    self._tell(f"{done:,} of {len(missing):,} photographs seen by {self._encoder.name}")
                yield
        if broken:
            self._tell(f"{broken:,} photographs cannot be opened, and are not used")

    def _see(self, numbers: Sequence[int], hands: ThreadPoolExecutor) -> int:
        """Keep the vectors of these photographs, one of zeros where one cannot be opened -> how many cannot."""
        prepared = list(hands.map(self._prepared, numbers))
        vectors = np.zeros((len(numbers), self._encoder.width), np.float32)
        there = [place for place, each in enumerate(prepared) if each is not None]
        if there:
            vectors[there] = self._encoder.images([prepared[place] for place in there])
        self._vectors.add([self._photos[number].stamp for number in numbers], vectors)
        return len(numbers) - len(there)

    def _prepared(self, number: int) -> Prepared | None:
        try:
            return self._encoder.prepare(decode(open_image(self._photos[number].image).opened))
        except BadImage:
            return None
