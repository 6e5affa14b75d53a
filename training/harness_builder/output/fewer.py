"""Records that a set held and that wait for people now: what leaves a finished set is said, and does not just go."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.http.status import as_mapping

from .layout import MANIFEST
from .values import Facts


def held(folder: Path) -> dict[str, int]:
    """File -> how many records the set has that stands there; nothing where none stands."""
    try:
        said = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    records = as_mapping(as_mapping(said).get("records"))
    return {file: number for file, number in records.items() if isinstance(number, int)}


def fewer(before: Mapping[str, int], facts: Facts) -> Iterator[str]:
    """One line where people have still to decide, and the set holds less than it held before; else none."""
    now = facts.written.records
    less = [
        f"{file} {now.get(file, 0):,} of {number:,}" for file, number in before.items() if now.get(file, 0) < number
    ]
    if less and any(number for (_, end), number in facts.tally.ends.items() if end == "waiting"):
        yield f"until people have decided, the set holds fewer records than it did: {', '.join(less)}"
