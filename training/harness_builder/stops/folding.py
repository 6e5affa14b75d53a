"""One spelling for what is written in many, so that a word is found however it is dressed up.

Width, case, accents, invisible characters, digits and signs for letters, letters of another alphabet that look the
same, letters with spaces or dots between them, letters drawn out: each form is looked through beside the others, since
what undoes one disguise can undo a plain word.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_LEET: Final = str.maketrans({"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", "$": "s", "!": "i"})
_LIKE: Final = str.maketrans("авеіјкмнорѕстухԁһ", "abeijkmhopsctyxdh")  # Cyrillic that looks Latin
_SPACED: Final = re.compile(r"(?<!\w)(?:\w[\W_]{1,2}){2,}\w(?!\w)")  # c h i p, c.h.i.p
_SPLIT: Final = re.compile(r"(?<=\w)[^\w\s]+(?=\w)|_")  # ch-ip, ch.ip
_DRAWN_OUT: Final = re.compile(r"(.)\1{2,}")


def visible(text: str) -> str:
    """NFKC, without characters that cannot be seen."""
    if text.isascii():
        return text
    return "".join(each for each in unicodedata.normalize("NFKC", text) if unicodedata.category(each) != "Cf")


def folded(text: str) -> str:
    """NFKC and casefold, without accents and invisible characters."""
    if text.isascii():
        return text.casefold()
    wide = unicodedata.normalize("NFKD", visible(text).casefold())
    return "".join(letter for letter in wide if unicodedata.category(letter) != "Mn")


def forms(text: str) -> tuple[str, ...]:
    """The folded text and what it becomes when a disguise is undone; the last ones have no spaces left in them."""
    plain = folded(text)
    dressed = dict.fromkeys(_undone(plain.translate(_LIKE)) | _undone(plain))
    return (plain, *sorted(dressed.keys() - {plain}))


def spelled(text: str) -> tuple[str, ...]:
    """Words that were written letter by letter, each run of them as one: where one ends in it nobody can tell."""
    plain = folded(text)
    runs = [run for form in (plain, plain.translate(_LEET), plain.translate(_LIKE)) for run in _SPACED.findall(form)]
    return tuple(dict.fromkeys(re.sub(r"[\W_]+", "", run) for run in runs))


def _undone(text: str) -> set[str]:
    letters = {text, text.translate(_LEET)}
    letters |= {_SPLIT.sub("", form) for form in letters}
    return letters | {_DRAWN_OUT.sub(r"\1", form) for form in letters}
