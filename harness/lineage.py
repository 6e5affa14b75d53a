"""What a model was made of, as far as it is declared: by the user, or by the training.json beside its weights.

Nothing of it is identity: the weights are the same, whatever is said about them. It stands in results.json as
`model.training`, and reports mark numbers on data of a source the model was trained on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, cast

from harness.errors import BadData
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


def lineage(values: Mapping[str, Any], places: Iterable[Path]) -> dict[str, Json]:
    """`tuned_from` and `trained_on`, as far as anything is declared; the user's word counts before the file's.

    Args:
        values: settings of the model.
        places: folders that may hold its training.json; the first that does counts.

    Raises:
        BadData: a training.json is not JSON with these keys.
    """
    file = next((place / FILE for place in places if (place / FILE).is_file()), None)
    known = {} if file is None else _read(file)
    tuned_from = values.get("tuned_from") or known.get("tuned_from") or ""
    given = str(values.get("trained_on") or "").split(",")
    names = [name.strip() for name in given if name.strip()] or list(known.get("trained_on", ()))
    return {"tuned_from": tuned_from, "trained_on": names} if tuned_from or names else {}


def _read(file: Path) -> dict[str, Any]:
    try:
        read: object = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadData(f"not JSON: {error}", where=str(file)) from None
    body = cast("dict[str, Any]", read) if isinstance(read, dict) else {}
    names: object = body.get("trained_on", [])
    if not isinstance(body.get("tuned_from", ""), str) or not _are_texts(names):
        raise BadData("tuned_from must be a text and trained_on a list of texts", where=str(file))
    return body


def _are_texts(names: object) -> bool:
    return isinstance(names, list) and all(isinstance(name, str) for name in cast("list[object]", names))
