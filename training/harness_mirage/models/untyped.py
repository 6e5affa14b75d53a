"""torch, transformers, safetensors, trl, peft and datasets, as what they are to a strict type checker: mostly unknown.

Everything that comes from them is `Untyped`, here in one place, in place of an ignore on every second line. A name is
imported when it is first asked for: it takes seconds.
"""

from __future__ import annotations

import importlib
from typing import Any, Final, TypeAlias

from harness import HarnessError

Untyped: TypeAlias = Any
INSTALL: Final = "pip install 'vlm-safety-harness[hf,train]'"
_KNOWN: Final = frozenset({"torch", "transformers", "safetensors", "trl", "peft", "datasets"})


def __getattr__(name: str) -> Untyped:
    """Import one of them; raises HarnessError where it is not installed."""
    if name not in _KNOWN:
        raise AttributeError(name)
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise HarnessError(f"training needs the extras `hf` and `train`: {error}", remedy=INSTALL) from error
