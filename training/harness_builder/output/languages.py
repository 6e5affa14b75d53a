"""A language as a config spells it, in English or in itself, becomes the code by which the hub finds a set."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

_TABLE: Final = Path(__file__).with_name("languages.txt")


def code_of(language: str) -> str:
    """The ISO 639-1 code of a language by its name, or that is one; empty where the table does not have it."""
    return _codes().get(_folded(language), "")


@cache
def _codes() -> Mapping[str, str]:
    found: dict[str, str] = {}
    for line in _TABLE.read_text(encoding="utf-8").splitlines():
        code, _, names = line.partition(":")
        if not line.startswith("#"):
            found |= dict.fromkeys((code, *map(_folded, names.split(","))), code)
    return found


def _folded(name: str) -> str:
    """Without case and accents."""
    apart = unicodedata.normalize("NFKD", name.strip().casefold())
    return "".join(each for each in apart if not unicodedata.combining(each))
