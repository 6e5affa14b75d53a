"""lm-eval, as what it is to a type checker here: a library that may not be installed. Imported on use only."""

from __future__ import annotations

import importlib
from typing import Any, TypeAlias

Untyped: TypeAlias = Any

api: Untyped = importlib.import_module("lm_eval.api.model")
registry: Untyped = importlib.import_module("lm_eval.api.registry")
progress: Untyped = importlib.import_module("tqdm")


def command_line() -> Untyped:
    """Their command, as their own script calls it."""
    return importlib.import_module("lm_eval.__main__").cli_evaluate


importlib.import_module("lm_eval.models")  # puts their own models into the registry, which ours then joins
