"""`python docs/picture.py RUN FILE.svg`: the table a run ends with, as a picture for the README."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path

from rich.console import Console

from harness.board.table import draw

WIDTH = 92


def main(run: Path, out: Path) -> None:
    """Draw the results of one run folder."""
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    console = Console(record=True, width=WIDTH, file=io.StringIO(), highlight=False, force_terminal=True)
    draw(console, results)
    picture = console.export_svg(title="harness run --model mini/base --tasks mis:mini,…")
    # a picture loads nothing: the fonts that rich names lie on another host
    out.write_text(re.sub(r"@font-face \{.*?\}|<!-- Generated.*?-->", "", picture, flags=re.DOTALL), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
