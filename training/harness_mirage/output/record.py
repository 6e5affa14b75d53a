"""training.json: what a model was made of, with the hash of everything that went in and came out."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness import Json, Training
from harness.fingerprint import of_file, of_folder
from harness.keys import digest
from harness.lineage import FILE
from harness.local import counts_area
from harness_mirage.methods import Method
from harness_mirage.mixture import Mixture, Part
from harness_mirage.recipe import Recipe
from harness_mirage.values import FIELDS

if TYPE_CHECKING:
    from harness_mirage.models.base import Base
    from harness_mirage.sft.fitted import Fitted

SCHEMA: Final = "harness.training/1"
_PACKAGES: Final = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "vlm-safety-harness")


def is_of(training: Training, method: Method, recipe: Recipe, mixture: Mixture, base: Path) -> str:
    """What tells one training from another, as a hash: the base and its files, the data, the recipe, and the seed."""
    return digest(
        {
            "model": _placeless(training.model),
            "base": of_folder(base),
            "mixture": mixture.digest,
            "images": [part.images for part in mixture.parts],
            "recipe": {name: getattr(recipe, name).value for name in FIELDS},
            "roles": dict(recipe.roles),
            "trained": list(method.trained),
            "seed": training.seed,
            "merge": bool(training.settings.get("merge")),
        }
    )


def same(out: Path, identity: str) -> bool:
    """Whether a folder holds what this training makes."""
    try:
        found: Any = json.loads((out / FILE).read_text(encoding="utf-8"))
        return bool(found["identity"] == identity)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def record(
    fitted: Fitted, base: Base, mixture: Mixture, recipe: Recipe, method: Method, training: Training
) -> dict[str, Json]:
    """The whole record but the hashes of the files beside it."""
    files = of_folder(base.folder)
    return {
        "schema": SCHEMA,
        "tuned_from": ref_of(training.model),
        "trained_on": [*dict.fromkeys(name for part in mixture.parts if part.taken for name in part.sources)],
        "identity": is_of(training, method, recipe, mixture, base.folder),
        "kind": fitted.kind,
        "method": {
            "name": method.name,
            "description": method.description,
            "source": method.source,
            "trained": list(method.trained),
        },
        "recipe": of_recipe(recipe),
        "settings": {name: _plain(value) for name, value in training.settings.items()},
        "mixture": of_mixture(mixture, training),
        "base": {"architecture": base.architecture, "digest": digest(dict(files)), "files": files},
        "parameters": {role: {"all": whole, "learnt": learnt} for role, (whole, learnt) in fitted.counts.items()},
        "training": _told(fitted, training),
        "evaluation": _evaluation(base, recipe),
        "versions": versions(_PACKAGES),
    }


def of_recipe(recipe: Recipe) -> dict[str, Json]:
    """Every value with whose it is."""
    return {
        "name": recipe.name,
        "paper": recipe.paper,
        "method": recipe.method,
        "values": {name: asdict(getattr(recipe, name)) for name in FIELDS},
        "roles": dict(recipe.roles),
    }


def of_mixture(mixture: Mixture, training: Training) -> dict[str, Json]:
    """What was learnt from, part by part."""
    return {
        "digest": mixture.digest,
        "records": len(mixture.records),
        "seed": mixture.seed,
        "held_out": list(training.hold_out),
        "parts": [_part(part) for part in mixture.parts],
    }


def ref_of(model: str) -> str:
    """The base as a run of the harness names it, SCHEME/NAME; a folder by its name alone, which holds elsewhere."""
    from harness import plugins

    scheme = model.partition("/")[0]
    known = {provider.scheme for provider, _ in plugins.current().offers("models")}
    name = _placeless(model)
    return model if scheme in known and name == model else f"hf/{name.removeprefix('hf/')}"


def _placeless(model: str) -> str:
    """A folder by its name, wherever it lies; anything else as it is."""
    folders = (Path(text).expanduser() for text in (model, model.removeprefix("hf/")))
    return next((folder.absolute().name for folder in folders if folder.is_dir()), model)


def hashes(folder: Path) -> dict[str, Json]:
    """Size and sha256 of each file of a model folder but the record itself and the card, which evaluations add to."""
    files = (file for file in sorted(folder.rglob("*")) if file.is_file() and file.name not in {FILE, "README.md"})
    return {file.relative_to(folder).as_posix(): of_file(file) for file in files}


def versions(packages: Iterable[str]) -> dict[str, Json]:
    """Versions of Python and of packages; one that is not installed is left out."""
    found: dict[str, Json] = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _part(part: Part) -> dict[str, Json]:
    its = part.ingredient
    return {
        "name": its.name,
        "source": ", ".join(part.sources),
        "layout": its.layout,
        "labels": its.labels,
        "part": its.part,
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


def _told(fitted: Fitted, training: Training) -> dict[str, Json]:
    losses = [row["loss"] for row in fitted.history if "loss" in row]
    return {
        "seed": training.seed,
        "steps": fitted.steps,
        "records": fitted.records,
        "too_long": len(fitted.left_out),
        "seconds": round(fitted.seconds, 1),
        "resumed_from": fitted.resumed_from,
        "losses": {"first": losses[0], "last": losses[-1], "least": min(losses)} if losses else {},
    }


def _evaluation(base: Base, recipe: Recipe) -> dict[str, Json]:
    """Settings by which a run shows the model its images as the training did, and what a reader should know of it."""
    pixels = recipe.pixels.value
    if pixels is None:
        return {"settings": {}, "note": ""}
    if counts_area(base.frontend.processor.image_processor):
        return {"settings": {"max_pixels": pixels}, "note": ""}
    note = f"the training scaled images down to {pixels:,} pixels, and the model's processor takes no such limit"
    return {"settings": {}, "note": note}


def _plain(value: Any) -> Json:
    return value.name if isinstance(value, Path) else value


def written(values: Mapping[str, Json]) -> str:
    """As it stands in the file."""
    return json.dumps(values, ensure_ascii=False, indent=1) + "\n"
