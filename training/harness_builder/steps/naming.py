"""Whether a text names an object, and whether two names are one."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_ARTICLE: Final = re.compile(r"^(?:an?|the|some)\s+", re.IGNORECASE)
_UNSPACED: Final = re.compile(r"[ᄀ-ᇿ぀-ヿ㐀-鿿가-힯]")  # scripts that put no spaces between words


def names(text: str, name: str, *, but: str = "") -> bool:
    """Whether a text names an object, in any case and without its article.

    Args:
        text: to look through.
        name: of the object.
        but: another name, within which the object's is not its own: "knife block" does not name a knife.
    """
    wanted, other = _plain(name), _plain(but)
    if not wanted or set(wanted.split()) <= set(other.split()):
        return False
    rest = _found(other).sub(" ", _plain(text)) if other else _plain(text)
    return _found(wanted).search(rest) is not None


def same(one: str, other: str) -> bool:
    """Whether two names are one, whatever their case, articles, spaces and signs."""
    return _letters(one) == _letters(other)


def alike(one: str, other: str) -> bool:
    """Whether two names are of one object: they are the same, or one ends in the other, as "bread knife" in "knife"."""
    if same(one, other):
        return True
    short, long = sorted((_plain(one).split(), _plain(other).split()), key=len)
    return bool(short) and long[-len(short) :] == short


def _letters(name: str) -> str:
    whole = _plain(unicodedata.normalize("NFKC", name))
    return "".join(each for each in whole if each.isalnum()) or whole


def _plain(text: str) -> str:
    return _ARTICLE.sub("", " ".join(text.casefold().split()))


def _found(name: str) -> re.Pattern[str]:
    """The name as whole words, in the plural of English too."""
    if _UNSPACED.search(name):
        return re.compile(re.escape(name))
    return re.compile(rf"(?<!\w){re.escape(name)}(?:e?s)?(?!\w)")
