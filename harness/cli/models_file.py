"""`--models FILE.yaml`: a list of {model, settings, strategy}."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from harness.errors import HarnessError
from harness.models import ModelSpec
from harness.runs.config import load_yaml


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    model: str
    settings: dict[str, Any] = {}
    strategy: str = ""
    strategy_settings: dict[str, Any] = {}


def read(path: Path) -> list[ModelSpec]:
    """The models of a file. Raises HarnessError with the entry and the field that is wrong."""
    return checked(load_yaml(path, "--models"), str(path))


def checked(loaded: object, where: str) -> list[ModelSpec]:
    """The models of a list that was read from `where`. Raises HarnessError with the entry and the field."""
    try:
        entries = TypeAdapter(list[_Entry]).validate_python(loaded)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise HarnessError(
            f"--models: {place}: {first['msg']}", where=where, remedy="write a list of {model, settings, strategy}"
        ) from None
    return [
        ModelSpec(
            ref=entry.model,
            settings=entry.settings,
            strategy=entry.strategy,
            strategy_settings=entry.strategy_settings,
        )
        for entry in entries
    ]
