"""Paths as people give them."""

from __future__ import annotations

from pathlib import Path


def named(path: Path) -> Path:
    """The same place by its own name, beside which others may stand: `.` and `..` have none; `/` has none at all."""
    return path if path.name not in ("", "..") else path.resolve()
