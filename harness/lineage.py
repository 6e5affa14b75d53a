"""What a model was trained from and on, as the user or the training.json next to its weights declares it.

It is not part of the identity: the weights are the same, whatever is declared about them. It is written to results.json
as `model.training`. Reports mark numbers on data of a source the model was trained on, and the categories that were
held out of its training.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, cast

from harness.errors import BadData
from harness.keys import short
from harness.types import Json, Setting

FILE: Final = "training.json"

#: what `-M` takes for every provider
SETTINGS: Final = (
    Setting(
        name="tuned_from",
        type=str,
        default=None,
        identity=False,
        help="the model it was tuned from, as SCHEME/NAME; shown in reports",
    ),
    Setting(
        name="trained_on",
        type=str,
        default=None,
        identity=False,
        help="data it was tuned on, with commas between; reports mark results on the same source",
    ),
)


def read_lineage(values: Mapping[str, Any], places: Iterable[Path]) -> dict[str, Json]:
    """`tuned_from` and `trained_on`, as far as they are declared; the user's settings come before the file.

    A file may also say which categories were left out of the training, `held_out`, and the hash of the base's files,
    `base_files`: the name of a base that is a folder means nothing elsewhere. `seed` is the training's, and `recipe` a
    hash of all that the training was given but its seed: trainings with equal recipes differ in the seed alone.

    Args:
        values: settings of the model.
        places: folders that may hold its training.json; the first that does counts.

    Raises:
        BadData: a training.json is not JSON with these keys.
    """
    file = next((place / FILE for place in places if (place / FILE).is_file()), None)
    known: dict[str, Any] = {}
    if file is not None:
        try:
            read: object = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise BadData(f"not JSON: {error}", where=str(file)) from None
        known = cast("dict[str, Any]", read) if isinstance(read, dict) else {}
        if not isinstance(known.get("tuned_from", ""), str) or not _are_texts(known.get("trained_on", [])):
            raise BadData("tuned_from must be a text and trained_on a list of texts", where=str(file))
        if not _are_texts(_section(known, "mixture").get("held_out", [])):
            raise BadData("held_out of the mixture must be a list of texts", where=str(file))
        if not isinstance(_section(known, "base").get("digest", ""), str):
            raise BadData("digest of the base must be a text", where=str(file))
    declared = values.get("tuned_from")
    tuned_from = declared or known.get("tuned_from") or ""
    given = str(values.get("trained_on") or "").split(",")
    names = [name.strip() for name in given if name.strip()] or list(known.get("trained_on", ()))
    if not tuned_from and not names:
        return {}
    more: dict[str, Json] = {
        "held_out": _section(known, "mixture").get("held_out"),
        "base_files": "" if declared else _section(known, "base").get("digest"),
    }
    seed = _section(known, "training").get("seed")
    if isinstance(seed, int) and not declared and not values.get("trained_on"):
        more |= {"seed": str(seed), "recipe": _hash_recipe(known)}
    return {"tuned_from": tuned_from, "trained_on": names, **{name: each for name, each in more.items() if each}}


def _hash_recipe(known: Mapping[str, Any]) -> str:
    """A hash of a training's method, recipe, settings, data and base, without its seed."""
    recipe, mixture = _section(known, "recipe"), _section(known, "mixture")
    named = ("name", "source", "layout", "labels", "part", "found", "taken", "files")  # the seed decides the rest
    parts: object = mixture.get("parts")
    return short(
        {
            "method": _section(known, "method").get("name"),
            "recipe": {**recipe, "values": {k: v for k, v in _section(recipe, "values").items() if k != "seed"}},
            "settings": known.get("settings"),
            "base": _section(known, "base").get("digest"),
            "trained_on": known.get("trained_on"),
            "held_out": mixture.get("held_out"),
            "parts": [
                {k: v for k, v in cast("dict[str, Any]", part).items() if k in named}
                for part in (cast("list[object]", parts) if isinstance(parts, list) else [])
                if isinstance(part, dict)
            ],
        }
    )


def fold_category(name: str) -> str:
    """A category in the form that is compared: no capitals, and one space for spaces, hyphens and underscores."""
    return " ".join(re.split(r"[\s_-]+", name.casefold())).strip()


def find_held_out(names: Iterable[str], category: str) -> str:
    """The one of these names that a category has, or one of several with `;` between; empty for none."""
    here = {fold_category(each) for each in category.split(";")} - {""}
    return next((name for name in names if fold_category(name) in here), "")


def _section(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    found: object = body.get(name)
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _are_texts(names: object) -> bool:
    return isinstance(names, list) and all(isinstance(name, str) for name in cast("list[object]", names))
