"""lm-eval, as what it is to a type checker here: a library that may not be installed, with types of its own.

Imported on use only: it takes a second, and its models bring torch.
"""

from __future__ import annotations

import importlib
from typing import Any, TypeAlias

Untyped: TypeAlias = Any

models: Untyped = importlib.import_module("lm_eval.models")
registry: Untyped = importlib.import_module("lm_eval.api.registry")
instances: Untyped = importlib.import_module("lm_eval.api.instance")
utils: Untyped = importlib.import_module("lm_eval.utils")


def module(name: str) -> Untyped:
    """A module of lm-eval that its models have loaded, or load now."""
    return importlib.import_module(name)
