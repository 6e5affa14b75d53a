"""vLLM and transformers, as what they are to a strict type checker: not installed, or mostly unknown.

Imported on use only: it takes seconds.
"""

from __future__ import annotations

import importlib
from typing import Any, TypeAlias

Untyped: TypeAlias = Any


def load(module: str) -> Untyped:
    """A module of vLLM or transformers."""
    return importlib.import_module(module)
