"""Of which file a folder of rows was made: kept beside them, so that it is known each time they are read."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from harness import Json

ROWS: Final = "rows.jsonl"
_FILE: Final = "known.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A file that rows were made of.

    Attributes:
        md5: of the file.
        expected: of the file that VLMEvalKit knows; empty where it knows none.
    """

    md5: str
    expected: str

    @staticmethod
    def of(facts: Mapping[str, Json]) -> Made:
        """As the build said it."""
        return Made(md5=str(facts["md5"]), expected=str(facts["expected"]))

    @staticmethod
    def read(place: Path) -> Made | None:
        """As it stands beside the rows; None where they are not there, or not whole."""
        try:
            return Made.of(json.loads((place / _FILE).read_text("utf-8"))) if (place / ROWS).is_file() else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, place: Path) -> None:
        """Keep it beside the rows; nobody reads half of it."""
        part = place / f"{_FILE}-{os.getpid()}.part"
        part.write_text(json.dumps(asdict(self)), encoding="utf-8")
        part.replace(place / _FILE)

    @property
    def foreign(self) -> bool:
        """VLMEvalKit knows another file under this name."""
        return self.expected not in ("", self.md5)

    @property
    def told(self) -> str:
        """For people."""
        return f"md5 {self.md5}" + (f", not VLMEvalKit's {self.expected} (any_revision)" if self.foreign else "")
