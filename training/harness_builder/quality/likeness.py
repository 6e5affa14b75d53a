"""What two near-duplicates are to each other."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """An item nearly equals one that came before it.

    Attributes:
        key: of the item.
        of: key of the earlier one.
        likeness: from 0 to 1: the share of what either text holds that both hold; of images, of bits that are equal.
    """

    key: str
    of: str
    likeness: float
