"""What a training leaves: the model folder with its card, its record and its losses, moved into place in one rename."""

from __future__ import annotations

import csv
import errno
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness import HarnessError, Training
from harness.lineage import FILE
from harness.text import escape_markdown

from .methods import Method
from .mixture import Mixture
from .recipe import Recipe, format_value
from .record import CARD, build_record, hash_files

if TYPE_CHECKING:
    from .models.base import Base
    from .sft.trainer import Fitted

LINES: Final = "history.jsonl"
TABLE: Final = "losses.csv"
PLOT: Final = "losses.svg"
_COLUMNS: Final[tuple[str, ...]] = ("step", "epoch", "loss", "learning_rate", "grad_norm")
_SMOOTH: Final = 0.1  #: weight of a new loss in the smoothed line


def check_out(training: Training) -> None:
    """Check that the output's name is free and its place can be written to; nothing is made.

    Raises:
        HarnessError: something else is there, it is the current folder, no folder can take its place, or nothing can
            be written next to it.
    """
    out = training.out
    if training.resume and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise HarnessError(
            "something else is there already",
            where=str(out),
            remedy="name another --out, or --fresh: what is there is moved aside once the new model is whole",
        )
    if Path.cwd().is_relative_to(out.resolve()):
        raise HarnessError(
            "a new model is made next to its folder and takes its place when it is whole, and you are in this folder",
            where=str(out.resolve()),
            remedy="name another --out, such as models/NAME",
        )
    # A folder is renamed to the output at the end, which works onto nothing and onto an empty folder.
    if out.name in ("", ".."):
        raise HarnessError("an output has a name of its own", where=str(out), remedy="name another --out")
    if out.is_symlink() and (training.resume or not out.exists()):
        raise HarnessError(
            "a link is there, whose place no folder can take",
            where=f"{out} -> {out.readlink()}",
            remedy="remove the link, or name another --out",
        )
    if out.is_mount():
        what = "a disk is mounted there, whose place no folder can take"
        raise HarnessError(what, where=str(out), remedy=f"--out {out / 'model'}")
    above = next(each for each in out.absolute().parents if each.exists())
    if not above.is_dir():
        raise _unwritable_error(out, f"{above} is a file")
    if not os.access(above, os.W_OK | os.X_OK):
        raise _unwritable_error(out, os.strerror(errno.EACCES))


def make_room(training: Training) -> None:
    """Make the folders above the output, and try to write there. Raises HarnessError."""
    try:
        training.out.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryDirectory(prefix=f".{training.out.name}-", dir=training.out.parent).cleanup()
    except OSError as error:
        raise _unwritable_error(training.out, str(error.strerror)) from None


def _unwritable_error(out: Path, why: str) -> HarnessError:
    return HarnessError(f"cannot write there: {why}", where=str(out), remedy="name another --out")


def finish(fitted: Fitted, base: Base, mixture: Mixture, recipe: Recipe, method: Method, training: Training) -> Path:
    """Complete a trained model in its scratch folder, and move it to the output.

    Raises:
        HarnessError: the disk is full, or the output's name is taken; the scratch folder stays as it is.
    """
    from .sft.save import disk_error

    folder, logs = fitted.folder, fitted.scratch.logs
    values = build_record(fitted, base, mixture, recipe, method, training)
    try:
        write_losses(folder, fitted.history)
        if logs.is_dir():
            logs.rename(folder / logs.name)
        (folder / CARD).write_text(render_card(values), encoding="utf-8")
        values["files"] = hash_files(folder)
        (folder / FILE).write_text(json.dumps(values, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise disk_error(error, fitted.scratch, "the record of the trained model") from error
    move_model(folder, training.out, replace=not training.resume)
    shutil.rmtree(fitted.scratch.folder, ignore_errors=True)
    return training.out


def move_model(folder: Path, out: Path, *, replace: bool) -> None:
    """Rename a whole folder to the output; with `replace`, what is there is first moved to a hidden name next to it.

    Raises:
        HarnessError: the name is taken, or cannot be written.
    """
    try:
        if replace and out.exists():
            aside = out.with_name(f".{out.name}.{datetime.now(UTC):%Y%m%dT%H%M%S%f}")
            out.rename(aside)
            sys.stderr.write(f"what was in {out} before is in {aside}\n")
        folder.rename(out)
    except OSError as error:
        what = f"the trained model cannot get its name: {error.strerror}"
        raise HarnessError(what, where=str(out), remedy=f"it is in {folder}") from None


def render_card(values: Mapping[str, Any]) -> str:
    """The model card of a training, from its record; evaluations are added between its marks.

    Every text that comes from data or from a user passes the filter `md`, which escapes Markdown.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(  # noqa: S701 - Markdown, escaped by `md`
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"md": escape_markdown, "as_set": format_value}
    return environment.get_template("card.j2").render(values)


def write_losses(folder: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Write the losses into a model folder: a line a step as JSON, a table, and a plot if vl-convert is installed."""
    steps = [row for row in history if "loss" in row]
    lines = "".join(json.dumps(dict(row)) + "\n" for row in steps)
    (folder / LINES).write_text(lines, encoding="utf-8")
    with (folder / TABLE).open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(_COLUMNS)
        table.writerows([row.get(name, "") for name in _COLUMNS] for row in steps)
    if steps and find_spec("vl_convert") is not None:
        (folder / PLOT).write_text(_draw_losses(steps), encoding="utf-8")


def _draw_losses(steps: Sequence[Mapping[str, float]]) -> str:
    """The losses as SVG: each step, and a smoothed line."""
    import vl_convert

    values: list[dict[str, float]] = []
    smooth = steps[0]["loss"]
    for row in steps:
        smooth += _SMOOTH * (row["loss"] - smooth)
        values.append({"step": row["step"], "loss": row["loss"], "smooth": smooth})
    line = {"type": "line"}
    chart: dict[str, Any] = {
        "width": 480,
        "height": 220,
        "data": {"values": values},
        "encoding": {"x": {"field": "step", "type": "quantitative"}},
        "layer": [
            {"mark": {**line, "opacity": 0.3}, "encoding": {"y": {"field": "loss", "type": "quantitative"}}},
            {"mark": line, "encoding": {"y": {"field": "smooth", "type": "quantitative", "title": "loss"}}},
        ],
    }
    return str(vl_convert.vegalite_to_svg(chart, allowed_base_urls=[]))
