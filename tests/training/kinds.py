"""Values whose kind a test knows: each function returns its value, or fails the test."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


def of_kind(kind: type[T], value: object) -> T:
    """The value, which is of this class."""
    assert isinstance(value, kind), value
    return value


def present(value: T | None) -> T:
    """The value, which is there."""
    assert value is not None
    return value
