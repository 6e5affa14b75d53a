"""What of a text may leave the machine: names and choices by their shape, all else as its length and hash."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, cast

from harness.keys import taken_out as taken_out
from harness.types import Json

_WORD: Final = re.compile(r"[\w.+:=,%-]{1,80}")
_CHOICE: Final = re.compile(r"yes|no|[A-Za-z]", re.IGNORECASE)


def is_word(text: str) -> bool:
    """Whether it is a word of letters, digits and `._+:=,-`."""
    return _WORD.fullmatch(text) is not None


def is_choice(text: str) -> bool:
    """Whether it is an answer to choose: yes, no or one letter."""
    return _CHOICE.fullmatch(text.strip()) is not None


def word(text: str) -> str:
    """A word as it is; any other text taken out."""
    return text if is_word(text) else taken_out(text)


def name(text: str) -> str:
    """The name of a model or a data set, `NAME` or `OWNER/NAME`; of a path or an address only what it ends with."""
    pieces = re.split(r"[/\\]", text)
    if len(pieces) <= 2 and all(map(is_word, pieces)) and not text.startswith("."):
        return text
    last = next((piece for piece in reversed(pieces) if piece), "")
    return f"…/{last}" if len(pieces) > 1 and is_word(last) else taken_out(text)


def ref(text: str) -> str:
    """`SCHEME/NAME` of a model; of a path only what it ends with."""
    scheme, slash, rest = text.partition("/")
    return f"{word(scheme)}/{name(rest)}" if slash else name(text)


def value(given: Json) -> Json:
    """A setting's value: numbers and names stay."""
    if isinstance(given, str):
        return given if not given or (is_word(given) or name(given) == given) else taken_out(given)
    if isinstance(given, Mapping):
        return {word(key): value(each) for key, each in cast("Mapping[str, Json]", given).items()}
    if isinstance(given, list | tuple):
        return [value(each) for each in cast("Sequence[Json]", given)]
    return given


def counts(given: Mapping[str, Json]) -> dict[str, Json]:
    """What counts something: names with numbers; anything else is left out."""
    return {key: each for key, each in given.items() if isinstance(each, int | float)}
