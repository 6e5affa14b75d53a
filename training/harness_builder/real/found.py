"""A photograph as it is found, before it is one of a collection; and why one is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from harness import Image

from .fields import Said

IMAGES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp"})
#: its image is not on this machine; or it, or what is said of it, cannot be read
Lost = Literal["absent", "unreadable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A photograph.

    Attributes:
        place: under the collection.
        image: not opened.
        stamp: tells that the file has not changed.
        said: of it, by its index.
    """

    place: str
    image: Image
    stamp: str
    said: Said
