"""Names of strangers in figures: on one line, short enough to be read, each another one, and safe in XML."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from harness.terminal import one_line

LONG: Final = 44  #: characters of a name at an axis
_NOT_IN_XML: Final[Mapping[int, None]] = {0xFFFE: None, 0xFFFF: None}


def shown(name: str, width: int = LONG) -> str:
    """A name on one line; a long one loses its middle, since names of one family differ at their ends."""
    line = one_line(name.translate(_NOT_IN_XML), 10_000) or "(no name)"
    if len(line) <= width:
        return line
    tail = width // 3
    return f"{line[: width - tail - 1].rstrip()}…{line[-tail:].lstrip()}"


def full(name: str) -> str:
    """A name for a table, where there is room for most of it."""
    return shown(name, 300)


def apart(names: Iterable[str], width: int = LONG) -> list[str]:
    """The names as `shown`, numbered where two would look the same: an axis holds each name once."""
    seen: Counter[str] = Counter()
    told: list[str] = []
    for name in (shown(each, width) for each in names):
        seen[name] += 1
        told.append(name if seen[name] == 1 else f"{name} ·{seen[name]}")
    return told


def slug(*parts: str) -> str:
    """A file name of some parts: `forest-mis-test`."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")[:80].strip("-")


def unique(slugs: Iterable[str]) -> list[str]:
    """The slugs, numbered where one comes again."""
    taken: dict[str, None] = {}
    for name in slugs:
        number, candidate = 1, name
        while candidate in taken:
            number += 1
            candidate = f"{name}-{number}"
        taken[candidate] = None
    return list(taken)
