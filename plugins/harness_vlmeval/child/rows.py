"""The cells of VLMEvalKit's tables as plain text, and what its images hold."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def text(value: Any) -> str | None:
    """A cell as text; None for one that is empty."""
    if value is None or isinstance(value, (list, dict)) or value != value:  # NaN
        return None
    return str(value)


def row_name(value: str) -> str:
    """The name of a row, as it stands in its own row: a column with empty cells makes 12.0 of 12."""
    return value.removesuffix(".0")


def mark(paths: Iterable[str]) -> str:
    """What all rows that show the same images share; empty where there are none, or one cannot be read."""
    total, seen = hashlib.sha256(), False
    for path in paths:
        try:
            total.update(hashlib.sha256(Path(path).read_bytes()).digest())
        except OSError:
            return ""
        seen = True
    return f"sha256:{total.hexdigest()}" if seen else ""
