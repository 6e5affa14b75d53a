"""A mixture and a recipe in words, as the plan, a training and the card say them."""

from __future__ import annotations

from collections.abc import Iterator

from .mixture import Mixture, Part
from .recipe import Recipe


def value(found: object) -> str:
    """A value of a recipe, spelled as `--set` takes it."""
    return "none" if found is None else str(found).lower() if isinstance(found, bool) else str(found)


def name(part: Part) -> str:
    """What a part is called, and what was done to its answers."""
    labels = part.ingredient.labels
    return part.title + ("" if labels == "given" else f" ({labels.replace('_', ' ')})")


def amount(part: Part) -> str:
    """How much was taken of how much, and how much was wanted where that is more."""
    return f"{part.taken:,} of {part.found:,}" + (f", {part.wanted:,} wanted" if part.lacks else "")


def short(mixture: Mixture) -> Iterator[str]:
    """What a person should know of parts that hold less than was wanted."""
    for part in mixture.parts:
        if part.lacks:
            yield f"note: {name(part)} has {part.taken:,} records to learn from, and {part.wanted:,} were wanted"


def in_one_line(mixture: Mixture, recipe: Recipe) -> str:
    """What a training learns from, and how."""
    parts = "; ".join(f"{name(part)}: {amount(part)}" for part in mixture.parts)
    held = f"; {mixture.held_out:,} held out" if mixture.held_out else ""
    return f"{len(mixture.records):,} records ({parts}{held}); recipe {recipe.name}"
