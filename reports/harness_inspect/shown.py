"""What of a sample a log may hold: its texts where they were asked for, else how long they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.keys import canonical
from harness.terminal import plain
from harness.types import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """How the texts of samples are shown.

    Attributes:
        reveal: as they are, without control characters and direction marks; else redacted.
    """

    reveal: bool

    def text(self, text: str) -> str:
        """A text, or its length in brackets; an empty one stays empty."""
        if not text:
            return ""
        return plain(text) if self.reveal else f"[{len(text)} characters]"

    def only(self, text: str) -> str | None:
        """A text that is left out where it is not shown."""
        return plain(text) if self.reveal and text else None

    def value(self, value: Json) -> str:
        """What a judge compares with: JSON, or a text as it is; empty where it is not shown."""
        if value is None or not self.reveal:
            return ""
        return plain(value if isinstance(value, str) else canonical(value))

    def axes(self, axes: Mapping[str, Json]) -> dict[str, Json]:
        """Scores beside a label; those that are texts only where they are shown."""
        return {
            plain(name): plain(value) if isinstance(value, str) else value
            for name, value in axes.items()
            if self.reveal or isinstance(value, bool | int | float)
        }

    def image(self, number: int, part: Mapping[str, Json]) -> str:
        """Where an image stood. Never an image part: a reader would open what a data set calls a path."""
        return f"[image {number}: {plain(str(part['image']))}]" if self.reveal else f"[image {number}]"
