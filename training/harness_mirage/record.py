"""training.json: what a model was made of, with the hash of everything that went in and came out."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness import Json, Training
from harness.fingerprint import hash_file, hash_folder
from harness.keys import digest
from harness.lineage import FILE
from harness.local import counts_area

from .methods import Method
from .mixture import Mixture
from .recipe import FIELDS, Recipe

if TYPE_CHECKING:
    from .models.base import Base
    from .sft.trainer import Fitted

SCHEMA: Final = "harness.training/1"
CARD: Final = "README.md"
_PACKAGES: Final = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "vlm-safety-harness")


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
        "evaluation": _evaluation_json(base, recipe),
        "versions": _list_versions(),
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
            "wanted": part.wanted,
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
    """A folder by its name, wherever it lies; anything else as it is."""
    folders = (Path(text).expanduser() for text in (model, model.removeprefix("hf/")))
    return next((folder.absolute().name for folder in folders if folder.is_dir()), model)


def hash_files(folder: Path) -> dict[str, Json]:
    """Size and sha256 of each file of a model folder but the record itself and the card, which evaluations add to."""
    files = (file for file in sorted(folder.rglob("*")) if file.is_file() and file.name not in {FILE, CARD})
    return {file.relative_to(folder).as_posix(): hash_file(file) for file in files}


def _list_versions() -> dict[str, Json]:
    """Versions of Python and of the packages that are installed."""
    found: dict[str, Json] = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _evaluation_json(base: Base, recipe: Recipe) -> dict[str, Json]:
    """Settings by which a run shows the model its images as the training did, and what a reader should know of it."""
    pixels = recipe.pixels.value
    if pixels is None:
        return {"settings": {}, "note": ""}
    if counts_area(base.frontend.processor.image_processor):
        return {"settings": {"max_pixels": pixels}, "note": ""}
    note = f"the training scaled images down to {pixels:,} pixels, and the model's processor takes no such limit"
    return {"settings": {}, "note": note}
