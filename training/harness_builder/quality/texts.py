"""Near-duplicates of texts, found as they come.

Texts are compared by their runs of five characters (folded, spaces made one): likeness is the share that two have in
common, Jaccard's. MinHash and its index find the few earlier texts worth comparing, and these are compared exactly, so
that nothing is dropped on an estimate. What the index can miss lies at the threshold: of pairs with likeness 0.8 it
finds 988 in 1,000, of those with 0.85 9,995 in 10,000, with 0.9 all but one or two in a million.
"""

from __future__ import annotations

import importlib
from typing import Any, Final, TypeAlias

from harness import HarnessError
from harness.readers import normalised

from .likeness import Near

Untyped: TypeAlias = Any

INSTALL: Final = "pip install 'vlm-safety-harness[build]'"
LEAST: Final = 0.8  #: likeness from which on two texts are near-duplicates
LOWEST: Final = 0.7  #: that can be asked for: the index finds 76 in 100 pairs of this likeness, and fewer below
_WIDTH: Final = 5
_BANDS: Final = 24  # 1 - (1 - 0.8 ** 8) ** 24 is 0.988
_ROWS: Final = 8  # fewer find more, and put questions of one form into each other's way
_SEED: Final = 20_261_125
MINHASH: Final = (_BANDS, _ROWS, _SEED, _WIDTH)  #: bands, rows of one, seed and width of a run: for who measures
_SLACK: Final = 0.15  # four standard deviations of the estimate: what is below by more is not compared exactly


class TextIndex:
    """The texts so far; about 3 kB each.

    `find` says what an item nearly equals; `add` takes it in. Which of the two is called decides who stays: taking in
    only what nearly equals nothing keeps the first of each group.
    """

    def __init__(self, least: float = LEAST) -> None:
        """Args: least: likeness from which on two texts are near-duplicates, from 0.7 to 1.

        Raises:
            HarnessError: out of bounds, or the library is not installed.
        """
        if not LOWEST <= least <= 1:
            raise HarnessError(f"a likeness of {least:g} cannot be asked for", remedy=f"give one from {LOWEST:g} to 1")
        try:
            self._library: Untyped = importlib.import_module("rensa")
        except ImportError as error:
            raise HarnessError("near-duplicates need the extra `build`", where=str(error), remedy=INSTALL) from error
        self._least = least
        self._index: Untyped = self._library.RMinHashLSH(least, _BANDS * _ROWS, _BANDS)
        self._hashes: list[Untyped] = []
        self._texts: list[str] = []
        self._keys: list[str] = []
        self._known: set[str] = set()

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, key: str, text: str) -> Near | None:
        """The earlier text that this one is most like, where it is like it enough; among equals the first."""
        return _nearest(self.every(key, text))

    def every(self, key: str, text: str) -> list[Near]:
        """All earlier texts that this one is like enough, in the order they came."""
        runs = _runs(normalised(text))
        return self._near(key, runs, self._hashed(runs))

    def add(self, key: str, text: str) -> None:
        """Take a text in.

        Raises:
            ValueError: there is one under this key.
        """
        plain = normalised(text)
        self._insert(key, plain, self._hashed(_runs(plain)))

    def take(self, key: str, text: str) -> Near | None:
        """`find`, and `add` where it is like none."""
        plain = normalised(text)
        runs = _runs(plain)
        hashed = self._hashed(runs)
        near = _nearest(self._near(key, runs, hashed))
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

    def _hashed(self, runs: frozenset[str]) -> Untyped:
        hashed = self._library.RMinHash(_BANDS * _ROWS, _SEED)
        hashed.update([run.encode("utf-8", "surrogatepass") for run in runs])
        return hashed

    def _near(self, key: str, runs: frozenset[str], hashed: Untyped) -> list[Near]:
        asked: list[int] = self._index.query(hashed)
        near = sorted(at for at in asked if self._hashes[at].jaccard(hashed) >= self._least - _SLACK)
        found = ((at, _jaccard(runs, _runs(self._texts[at]))) for at in near)
        return [Near(key=key, of=self._keys[at], likeness=share) for at, share in found if share >= self._least]


def _nearest(found: list[Near]) -> Near | None:
    return max(found, key=lambda near: near.likeness, default=None)


def _runs(plain: str) -> frozenset[str]:
    """The distinct runs of five characters; a shorter text is one run."""
    return frozenset(plain[at : at + _WIDTH] for at in range(max(len(plain) - _WIDTH + 1, 1)))


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    common = len(one & other)
    return common / (len(one) + len(other) - common)
