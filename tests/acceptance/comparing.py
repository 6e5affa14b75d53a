"""Holding figures of results.json to figures that were computed otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from tests.acceptance.upstream import Figure, Item


def same(found: Mapping[str, Any], expected: Mapping[str, Figure]) -> None:
    """Hold metrics of results.json to figures computed otherwise: all of them, and every field."""
    assert found.keys() == expected.keys()
    for name, figure in expected.items():
        for field, value in figure.items():
            close = value if value is None else pytest.approx(value, rel=1e-9, abs=1e-9)
            assert found[name][field] == close, (name, field)


def same_by(
    found: Mapping[str, Any], items: Sequence[Item], key: Callable[[Item], str], figures: Callable[[list[Item]], Any]
) -> None:
    """Hold a breakdown of results.json to the same formulas over each part."""
    parts: dict[str, list[Item]] = {}
    for item in items:
        parts.setdefault(key(item), []).append(item)
    assert found.keys() == parts.keys() - {""}
    for name, part in parts.items():
        if name:
            assert found[name]["n"] == len(part)
            same(found[name]["metrics"], figures(part))
