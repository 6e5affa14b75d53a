"""Files that hold what a report should look like; `HARNESS_GOLDEN=write` writes them anew, for a person to read."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).parent / "reports" / "golden"


def check(name: str, text: str) -> None:
    """Whether a text is that of its file."""
    path = FOLDER / name
    if os.environ.get("HARNESS_GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), f"{name}: read the change, then HARNESS_GOLDEN=write pytest …"
