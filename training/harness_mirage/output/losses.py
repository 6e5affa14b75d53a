"""The losses of a training: a line a step as JSON, a table, and a plot where the plotting library is there."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

LINES: Final = "history.jsonl"
TABLE: Final = "losses.csv"
PLOT: Final = "losses.svg"
_COLUMNS: Final[tuple[str, ...]] = ("step", "epoch", "loss", "learning_rate", "grad_norm")
_SMOOTH: Final = 0.1  #: weight of a new loss in the smoothed line


def write(folder: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Write them into a model folder."""
    steps = [row for row in history if "loss" in row]
    lines = "".join(json.dumps(dict(row)) + "\n" for row in steps)
    (folder / LINES).write_text(lines, encoding="utf-8")
    with (folder / TABLE).open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(_COLUMNS)
        table.writerows([row.get(name, "") for name in _COLUMNS] for row in steps)
    if steps and find_spec("vl_convert") is not None:
        (folder / PLOT).write_text(plot(steps), encoding="utf-8")


def plot(steps: Sequence[Mapping[str, float]]) -> str:
    """The losses as SVG: each step, and a smoothed line."""
    import vl_convert

    step, line = {"field": "step", "type": "quantitative"}, {"type": "line"}
    chart: dict[str, Any] = {
        "width": 480,
        "height": 220,
        "data": {"values": _smoothed(steps)},
        "encoding": {"x": step},
        "layer": [
            {"mark": {**line, "opacity": 0.3}, "encoding": {"y": {"field": "loss", "type": "quantitative"}}},
            {"mark": line, "encoding": {"y": {"field": "smooth", "type": "quantitative", "title": "loss"}}},
        ],
    }
    return str(vl_convert.vegalite_to_svg(chart, allowed_base_urls=[]))


def _smoothed(steps: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    found: list[dict[str, float]] = []
    smooth = steps[0]["loss"]
    for row in steps:
        smooth += _SMOOTH * (row["loss"] - smooth)
        found.append({"step": row["step"], "loss": row["loss"], "smooth": smooth})
    return found
