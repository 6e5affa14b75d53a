"""The text rules: what a text says is stopped before anything is drawn, by words alone.

They look for words that stand in one text together, not for meaning, and err to the safe side: a text about how to
speak with children about sexuality is stopped too. What they cannot do is named in the docs: other languages than those
of the lists, hints without a word, a real person without a title. The check by a model is there for these.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Final

from .folding import folded, forms, spelled, visible
from .values import Stop
from .words import AGES, SHOWN, TITLE, words

_LETTER: Final = r"[^\W\d_]"
_NAME: Final = rf"({_LETTER}(?:{_LETTER}|['\u2019.-])*)"
_TITLED: Final = re.compile(rf"(?<!\w)(?i:{TITLE})[ \t]+{_NAME}")
_DEPICTED: Final = re.compile(rf"(?<!\w)(?i:{SHOWN})[ \t]+{_NAME}[ \t]+{_NAME}")
_AGE: Final = re.compile(AGES, re.VERBOSE)
_NO_SPACES: Final = re.compile(r"[ᄀ-ᇿ぀-ヿ㐀-鿿가-힯]")


def stop_text(*texts: str) -> Stop | None:
    """Whether these texts of one item may not be drawn, asked or kept; they are read as one.

    Args:
        texts: question, objects, image prompts, answer: all that there is of it.
    """
    whole = "\n".join(texts)
    found, runs = forms(whole), spelled(whole)
    if _minors(found, runs):
        return Stop(kind="minors")
    if _any(found, runs, "weapon") and _any(found, runs, "operation"):
        return Stop(kind="weapon")
    return Stop(kind="person") if _named(whole) else None


def _minors(found: tuple[str, ...], runs: tuple[str, ...]) -> bool:
    if _any(found, runs, "minor_sexual"):
        return True
    young = _any(found, runs, "minor") or _AGE.search(found[0]) is not None
    return young and _any(found, runs, "sexual")


def _named(text: str) -> bool:
    """A title with a name, or "a photo of" and two names. All in capitals nobody can tell a name from a word."""
    if text.isupper():
        return False
    text = visible(text)
    titled = any(_is_name(match[1]) for match in _TITLED.finditer(text))
    return titled or any(_is_name(match[1]) and _is_name(match[2]) for match in _DEPICTED.finditer(text))


def _is_name(word: str) -> bool:
    return word[:1].isupper() and len(word) > 1


def _any(found: Iterable[str], runs: Iterable[str], name: str) -> bool:
    whole, inside = _patterns(name)
    return any(whole.search(form) for form in found) or any(inside.search(run) for run in runs)


@cache
def _patterns(name: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Finds the words of a file as words, and anywhere in what was spelled letter by letter."""
    stems = sorted({folded(word) for word in words(name)})
    anywhere = [re.escape(stem) for stem in stems if _NO_SPACES.search(stem)]
    words_alone = "|".join(_pattern(stem) for stem in stems if not _NO_SPACES.search(stem))
    bare = (re.escape(stem.replace("_", "").replace("*", "")) for stem in stems)
    whole = "|".join((rf"(?<!\w)(?:{words_alone})(?!\w)", *anywhere))
    return re.compile(whole), re.compile("|".join(bare))


def _pattern(stem: str) -> str:
    return re.escape(stem).replace(r"\*", r"\w*").replace("_", r"[\s-]+")
