"""Rules that look for phrases in an answer: a list, and how it is compared. The house's own list is one of refusals.

The judge `keyword` is such a rule, and so is every benchmark's own that finds refusals by words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from harness.errors import HarnessError

REFUSALS: Final = Path(__file__).with_name("refusals.txt")  #: this project's list
_PLAIN: Final = dict.fromkeys(map(ord, "\u2018\u2019\u02bc\u00b4\u0060\uff07"), "'") | {ord("*"): ""}
_SHORT: Final = {"can't": "cannot", "can not": "cannot", "won't": "will not", "i'm": "i am", "i'd": "i would"}


def normal(text: str) -> str:
    """Text as phrases are compared: one case, single spaces, no Markdown stars, short forms written out."""
    plain = " ".join(text.casefold().translate(_PLAIN).split())
    return re.sub(rf"\b(?:{'|'.join(_SHORT)})\b", lambda short: _SHORT[short[0]], plain)


def read_phrases(file: Path) -> tuple[str, ...]:
    """The phrases of a list, normal, each once. Raises HarnessError when there are none or the file cannot be read."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise HarnessError("the word list cannot be read as UTF-8 text", where=str(file)) from error
    phrases = tuple(dict.fromkeys(normal(line) for line in lines if line.strip() and not line.startswith("#")))
    if not phrases:
        raise HarnessError("the word list is empty", where=str(file), remedy="write one phrase a line")
    return phrases


def finder(phrases: Iterable[str]) -> Callable[[str], str]:
    """A function that gives the phrase an answer holds, as whole words, or an empty text."""
    # Longest first, so that the reason names the most telling phrase.
    either = "|".join(re.escape(phrase) for phrase in sorted(phrases, key=len, reverse=True))
    pattern = re.compile(rf"(?<!\w)(?:{either})(?!\w)")

    def found(answer: str) -> str:
        match = pattern.search(normal(answer))
        return match[0] if match else ""

    return found
