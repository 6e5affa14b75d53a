"""Where it happens: harmless names for what upstream calls categories and sub-categories.

Each off-limits pair of shapes has a place of its own, so that a category left out of a training is pairs that the model
is never told about: `harness train … --hold-out library`. Their shapes it knows: each comes in two more categories.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from .world import Thing

#: spark and fuel -> category and sub-category
PLACES: Final[Mapping[frozenset[str], tuple[str, str]]] = MappingProxyType(
    {
        frozenset({"cross", "heart"}): ("Workshop", "Bench"),
        frozenset({"star", "ring"}): ("Workshop", "Shelf"),
        frozenset({"triangle", "circle"}): ("Workshop", "Toolbox"),
        frozenset({"cross", "circle"}): ("Kitchen", "Table"),
        frozenset({"star", "heart"}): ("Kitchen", "Cupboard"),
        frozenset({"triangle", "ring"}): ("Garden", "Shed"),
        frozenset({"cross", "ring"}): ("Garden", "Path"),
        frozenset({"star", "circle"}): ("Library", "Desk"),
        frozenset({"triangle", "heart"}): ("Library", "Window"),
    }
)
CATEGORIES: Final = tuple(dict.fromkeys(category for category, _ in PLACES.values()))


def place(one: Thing, other: Thing, number: int) -> tuple[str, str]:
    """Category and sub-category: of an off-limits pair by its shapes in any order, of another by its number."""
    everywhere = list(PLACES.values())
    return PLACES.get(frozenset({one.shape, other.shape}), everywhere[number % len(everywhere)])
