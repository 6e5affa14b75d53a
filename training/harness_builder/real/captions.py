"""Photographs by their captions: all words of what is looked for stand in the caption. No model is asked.

Of two captions that hold them the shorter one says less besides, and its photograph comes first. Words are compared
without case, accents, and the plural of English; in scripts without spaces they are not found.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from dataclasses import replace
from heapq import nsmallest
from typing import Final

from harness_builder.stops.rules import fold_text

from .values import Photo

_ARTICLES: Final = frozenset({"a", "an", "the", "some"})
#: ending of a plural of English -> what may stand in its place
_PLURALS: Final = (("s", ("",)), ("es", ("",)), ("ies", ("y",)), ("ves", ("f", "fe")))
_LEAST: Final = 3  # letters of a word that can be a plural


class CaptionIndex:
    """See the module and `PhotoIndex`."""

    def __init__(self, photos: Sequence[Photo]) -> None:
        self._photos = photos
        self._holding: dict[str, array[int]] | None = None
        self._lengths = array("I")

    def __len__(self) -> int:
        return len(self._photos)

    def advance(self) -> bool:
        """Read the captions; there is no more to do."""
        if self._holding is None:
            self._holding = self._read()
        return False

    def find(self, words: str, count: int) -> list[Photo]:
        """See `PhotoIndex`; the score is the share of the caption's words that were looked for."""
        self.advance()
        wanted = {each for each in _words(words) if each not in _ARTICLES}
        if not wanted or self._holding is None:
            return []
        held = set[int].intersection(*(self._with(word, self._holding) for word in wanted))
        scores = {number: min(len(wanted) / self._lengths[number], 1.0) for number in held}
        best = nsmallest(count, held, key=lambda number: (-scores[number], self._photos[number].key))
        return [replace(self._photos[number], score=scores[number]) for number in best]

    @staticmethod
    def _with(word: str, holding: dict[str, array[int]]) -> set[int]:
        return {number for form in _forms(word) for number in holding.get(form, ())}

    def _read(self) -> dict[str, array[int]]:
        holding: dict[str, array[int]] = {}
        for number, photo in enumerate(self._photos):
            found = _words(photo.caption)
            self._lengths.append(len(found))
            for form in {form for word in found for form in _forms(word)}:
                holding.setdefault(form, array("I")).append(number)
        return holding


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", fold_text(text))


def _forms(word: str) -> set[str]:
    """The word, and what it may be the plural of."""
    if len(word) < _LEAST:
        return {word}
    return {word, *(word.removesuffix(end) + one for end, ones in _PLURALS if word.endswith(end) for one in ones)}
