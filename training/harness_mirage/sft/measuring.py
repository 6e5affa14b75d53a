"""How long a record is in tokens, found out without cutting its images: by blank ones of the same sizes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from harness import HarnessError
from harness.local import Frontend
from harness_mirage.records import Record

from .pictures import size
from .scripts import Script

_OPENED_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Long:
    """A record that is too long to learn from.

    Attributes:
        place: where it stands.
        tokens: its length.
    """

    place: str
    tokens: int


class Ruler:
    """Measures records of one model; what an image of a size adds is found out once.

    Args:
        frontend: of the model.
        mark: what stands for an image in a text.
        pixels: most pixels of an image.
    """

    def __init__(self, frontend: Frontend, mark: str, pixels: int | None) -> None:
        self._frontend = frontend
        self._mark = mark
        self._pixels = pixels
        self._known: dict[tuple[tuple[int, int], ...], int] = {(): 0}

    def __call__(self, record: Record, script: Script) -> int:
        """Tokens of a record's whole script, its images cut up. Raises BadData for an image that cannot be read."""
        return self.of(script, self.sizes(record))

    def sizes(self, record: Record) -> tuple[tuple[int, int], ...]:
        """Width and height of its images; for any thread. Raises BadData for one that cannot be read."""
        return tuple(size(picture, self._pixels, record.place) for picture in record.pictures)

    def of(self, script: Script, sizes: tuple[tuple[int, int], ...]) -> int:
        """Tokens of a script with images of these sizes."""
        return self._frontend.count(script.text) + self.added(sizes)

    def added(self, sizes: tuple[tuple[int, int], ...]) -> int:
        """Tokens that images of some sizes put in the place of their marks; some models count them all together."""
        if sizes not in self._known:
            self._known[sizes] = self._found(sizes)
        return self._known[sizes]

    def _found(self, sizes: Sequence[tuple[int, int]]) -> int:
        import PIL.Image

        blank = [PIL.Image.new("RGB", each) for each in sizes]
        text = self._mark * len(sizes)
        cut = self._frontend.encode(text=[text], images=[blank], return_tensors="pt", add_special_tokens=False)
        return int(cut["input_ids"].shape[-1]) - self._frontend.count(text)


def check_lengths(lengths: Iterable[int], longest: int | None) -> None:
    """Whether anything would be left to learn from; no more lengths are asked for than it takes.

    Raises:
        HarnessError: all are too long.
    """
    if longest is not None and not any(length <= longest for length in lengths):
        raise _too_long(longest)


def sorted_out(
    ruler: Ruler, records: Sequence[Record], scripts: Sequence[Script], longest: int | None
) -> tuple[list[int], tuple[Long, ...]]:
    """Numbers of the records that are short enough, and those that are not.

    Raises:
        HarnessError: none is short enough.
    """
    if longest is None:
        return list(range(len(records))), ()
    with ThreadPoolExecutor(_OPENED_AT_ONCE) as pool:
        sizes = list(pool.map(ruler.sizes, records))
    tokens = [ruler.of(script, its) for script, its in zip(scripts, sizes, strict=True)]
    kept = [number for number, count in enumerate(tokens) if count <= longest]
    if not kept:
        raise _too_long(longest)
    long = (Long(place=records[at].place, tokens=count) for at, count in enumerate(tokens) if count > longest)
    return kept, tuple(long)


def _too_long(longest: int) -> HarnessError:
    return HarnessError(f"no record is short enough for max_length {longest}", remedy="raise it: --set max_length=N")
