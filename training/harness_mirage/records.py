"""A training record, whatever layout it came in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from harness import Files

IMAGE: Final = "<image>"  #: stands in a turn's text where an image stands, once for each
Speaker = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one side says."""

    speaker: Speaker
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An image of a record: a file of its data, or a black square where `files` is None.

    Attributes:
        path: inside the data, with forward slashes.
        files: that hold it.
    """

    path: str = ""
    files: Files | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One conversation to learn from.

    Attributes:
        id: in its source; stable.
        source: of the ingredient, as its method names it.
        place: where it stands, for errors: file and number.
        category: as the data say; empty for none.
        sub_category: likewise.
        turns: an optional system turn, then user and assistant in turn, ending with the assistant.
        pictures: in the order of the `IMAGE` marks in the turns, one for each.
    """

    id: str
    source: str
    place: str
    category: str = ""
    sub_category: str = ""
    turns: tuple[Turn, ...]
    pictures: tuple[Picture, ...] = ()
