"""Under which terms the data of the methods are published, as their cards say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from harness.data import provenance

M4: Final = "lmms-lab/M4-Instruct-Data"
_LONGEST: Final = 200  # characters of a LICENSE's first line
PUBLISHED: Final[Mapping[str, str]] = {
    "Tuwhy/MIS_Train": "apache-2.0",
    M4: "cc-by-4.0, and the terms of use of OpenAI",
    "PKU-Alignment/PKU-SafeRLHF": "cc-by-nc-4.0: no commercial use",
    "ys-zong/VLGuard": "MIT; access must be asked for",
    "liuhaotian/LLaVA-Instruct-150K": "cc-by-4.0, and the terms of use of OpenAI",
}


def licence(hub: str, path: Path | None = None) -> str:
    """What the data themselves say, in the record of where they were fetched or in the first line of their LICENSE;
    else what is known of the set whose place they take; empty where nothing is."""
    if path is not None and path.is_dir():
        found = provenance.read(path).licence or _first_line(path / "LICENSE")
        if found:
            return found
    return f"{hub} is published under: {PUBLISHED[hub]}" if hub in PUBLISHED else ""


def _first_line(file: Path) -> str:
    try:
        with file.open(encoding="utf-8") as lines:
            return next((line.strip()[:_LONGEST] for line in lines if line.strip()), "")
    except (OSError, ValueError):
        return ""
