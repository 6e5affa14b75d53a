"""What a training leaves: the model folder with its card, its record and its losses, moved into place in one rename.

The record, training.json, says what a model was made of, with the hash of everything that went in and came out.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import importlib.metadata
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness import HarnessError, Json, Training
from harness.fingerprint import hash_file, hash_folder
from harness.keys import digest
from harness.lineage import FILE
from harness.local import counts_area
from harness.text import escape_markdown

from .methods import Method
from .mixture import Mixture
from .recipe import FIELDS, Recipe, format_value

if TYPE_CHECKING:
    from .models.base import Base
    from .sft.trainer import Fitted

LINES: Final = "history.jsonl"
TABLE: Final = "losses.csv"
PLOT: Final = "losses.svg"
CARD: Final = "README.md"
SCHEMA: Final = "harness.training/1"
_COLUMNS: Final[tuple[str, ...]] = ("step", "epoch", "loss", "learning_rate", "grad_norm")
_PACKAGES: Final = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "vlm-safety-harness")
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
            "you are in this folder, so a new model cannot replace it",
            where=str(out.resolve()),
            remedy="name another --out, such as models/NAME",
        )
    # A folder is renamed to the output at the end, which works onto nothing and onto an empty folder.
    if out.name in ("", ".."):
        raise HarnessError("--out does not end with the name of a folder", where=str(out), remedy="name another --out")
    if out.is_symlink() and (training.resume or not out.exists()):
        raise HarnessError(
            "this is a link, and a folder cannot replace it",
            where=f"{out} -> {out.readlink()}",
            remedy="remove the link, or name another --out",
        )
    if out.is_mount():
        what = "a disk is mounted there, and a folder cannot replace it"
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
        HarnessError: the disk is full, or the output's name is taken; the scratch folder is kept.
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
    """Write the losses into a model folder: a line a step as JSON, a table, and a plot if vl-convert is installed.

    The plot shows each step, and a smoothed line.
    """
    steps = [row for row in history if "loss" in row]
    lines = "".join(json.dumps(dict(row)) + "\n" for row in steps)
    (folder / LINES).write_text(lines, encoding="utf-8")
    with (folder / TABLE).open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(_COLUMNS)
        table.writerows([row.get(name, "") for name in _COLUMNS] for row in steps)
    if not steps or find_spec("vl_convert") is None:
        return
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
    (folder / PLOT).write_text(str(vl_convert.vegalite_to_svg(chart, allowed_base_urls=[])), encoding="utf-8")


def identify_training(training: Training, method: Method, recipe: Recipe, mixture: Mixture, base: Path) -> str:
    """A hash over what tells one training from another: the base and its files, the data, the recipe, and the seed."""
    return digest(
        {
            "model": _without_place(training.model),
            "base": hash_folder(base),
            "mixture": mixture.digest,
            "images": [part.images for part in mixture.parts],
            "recipe": {name: getattr(recipe, name).value for name in FIELDS},
            "roles": dict(recipe.roles),
            "trained": list(method.trained),
            "seed": training.seed,
            "merge": bool(training.settings.get("merge")),
        }
    )


def has_identity(out: Path, identity: str) -> bool:
    """Whether a folder holds the model of the training with this identity."""
    try:
        found: Any = json.loads((out / FILE).read_text(encoding="utf-8"))
        return bool(found["identity"] == identity)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def build_record(
    fitted: Fitted, base: Base, mixture: Mixture, recipe: Recipe, method: Method, training: Training
) -> dict[str, Json]:
    """The whole record but the hashes of the files next to it."""
    files = hash_folder(base.folder)
    losses = [row["loss"] for row in fitted.history if "loss" in row]
    versions: dict[str, Json] = {"python": platform.python_version()}
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    # By which settings a run shows the model its images as the training did, and what a reader should know of it.
    pixels = recipe.pixels.value
    shown: dict[str, Json] = {}
    note = ""
    if pixels is not None and counts_area(base.frontend.processor.image_processor):
        shown["max_pixels"] = pixels
    elif pixels is not None:
        note = f"the training scaled images down to {pixels:,} pixels, and the model's processor takes no such limit"
    settings = {name: value.name if isinstance(value, Path) else value for name, value in training.settings.items()}
    return {
        "schema": SCHEMA,
        "tuned_from": name_base(training.model),
        "trained_on": [*dict.fromkeys(name for part in mixture.parts if part.taken for name in part.sources)],
        "identity": identify_training(training, method, recipe, mixture, base.folder),
        "kind": fitted.kind,
        "method": {
            "name": method.name,
            "description": method.description,
            "source": method.source,
            "trained": list(method.trained),
        },
        "recipe": recipe_json(recipe),
        "settings": settings,
        "mixture": mixture_json(mixture, training),
        "base": {"architecture": base.architecture, "digest": digest(dict(files)), "files": files},
        "parameters": {role: {"all": whole, "learnt": learnt} for role, (whole, learnt) in fitted.counts.items()},
        "training": {
            "seed": training.seed,
            "steps": fitted.steps,
            "records": fitted.records,
            "too_long": len(fitted.left_out),
            "seconds": round(fitted.seconds, 1),
            "resumed_from": fitted.resumed_from,
            "losses": {"first": losses[0], "last": losses[-1], "least": min(losses)} if losses else {},
        },
        "evaluation": {"settings": shown, "note": note},
        "versions": versions,
    }


def recipe_json(recipe: Recipe) -> dict[str, Json]:
    """Every value of a recipe with its source."""
    return {
        "name": recipe.name,
        "paper": recipe.paper,
        "method": recipe.method,
        "values": {name: asdict(getattr(recipe, name)) for name in FIELDS},
        "roles": dict(recipe.roles),
    }


def mixture_json(mixture: Mixture, training: Training) -> dict[str, Json]:
    """What was learnt from, part by part."""
    parts: list[Json] = [
        {
            "name": part.ingredient.name,
            "source": ", ".join(part.sources),
            "layout": part.ingredient.layout,
            "labels": part.ingredient.labels,
            "part": part.ingredient.part,
            "wanted": part.ingredient.count,
            "found": part.found,
            "taken": part.taken,
            "left_out": dict(part.left_out),
            "files": dict(part.files),
            "images": part.images,
            "ids": part.ids,
            "sampled": list(part.names) if part.taken < part.found else [],
            "licence": part.licence,
        }
        for part in mixture.parts
    ]
    return {
        "digest": mixture.digest,
        "records": len(mixture.records),
        "seed": mixture.seed,
        "held_out": list(training.hold_out),
        "parts": parts,
    }


def name_base(model: str) -> str:
    """The base as a run of the harness names it, SCHEME/NAME; a folder by its name alone, without its place."""
    from harness import plugins

    scheme = model.partition("/")[0]
    known = {provider.scheme for provider, _ in plugins.current().offers("models")}
    name = _without_place(model)
    return model if scheme in known and name == model else f"hf/{name.removeprefix('hf/')}"


def _without_place(model: str) -> str:
    """The name of a folder, wherever it lies; any other text unchanged."""
    folders = (Path(text).expanduser() for text in (model, model.removeprefix("hf/")))
    return next((folder.absolute().name for folder in folders if folder.is_dir()), model)


def hash_files(folder: Path) -> dict[str, Json]:
    """Size and sha256 of each file of a model folder but the record itself and the card, which evaluations add to."""
    files = (file for file in sorted(folder.rglob("*")) if file.is_file() and file.name not in {FILE, CARD})
    return {file.relative_to(folder).as_posix(): hash_file(file) for file in files}
