"""lm-eval itself, as far as tasks need it: imported on use, since it may not be installed."""

from __future__ import annotations

import importlib
from typing import Any, TypeAlias

from harness import HarnessError
from harness_lm_eval import INSTALL

Untyped: TypeAlias = Any


def module(name: str) -> Untyped:
    """A module of lm-eval; raises HarnessError where it is not installed."""
    try:
        return importlib.import_module(f"lm_eval.{name}")
    except ImportError as error:
        raise HarnessError(f"lm-eval: needs the extra `lm-eval`: {error}", remedy=INSTALL) from error
