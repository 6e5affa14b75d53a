"""Under which terms the data of the methods are published, as their cards say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from harness.data import provenance

MIS: Final = "Tuwhy/MIS_Train"
M4: Final = "lmms-lab/M4-Instruct-Data"
VLGUARD: Final = "ys-zong/VLGuard"
LLAVA: Final = "liuhaotian/LLaVA-Instruct-150K"
_LONGEST: Final = 200  # characters of a LICENSE's first line
PUBLISHED: Final[Mapping[str, str]] = {
    MIS: "apache-2.0",
    M4: "cc-by-4.0, and the terms of use of OpenAI",
    "PKU-Alignment/PKU-SafeRLHF": "cc-by-nc-4.0: no commercial use",
    VLGUARD: "MIT; access must be asked for",
    LLAVA: "cc-by-4.0, and the terms of use of OpenAI",
}


def stated(path: Path) -> str:
    """What data say of themselves: in the record of where they were fetched, or in the first line of their LICENSE."""
    return provenance.read(path).licence or _first_line(path / "LICENSE") if path.is_dir() else ""


def published(hub: str) -> str:
    """What is known of a set on the hub; empty where nothing is."""
    return f"{hub} is published under: {PUBLISHED[hub]}" if hub in PUBLISHED else ""


def _first_line(file: Path) -> str:
    try:
        with file.open(encoding="utf-8") as lines:
            return next((line.strip()[:_LONGEST] for line in lines if line.strip()), "")
    except (OSError, ValueError):
        return ""
