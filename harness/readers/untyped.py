"""pyarrow, as what it is to a strict type checker: a library without types, and one that may not be installed."""

from __future__ import annotations

import importlib
from typing import Any, TypeAlias

Untyped: TypeAlias = Any
arrow: Untyped = importlib.import_module("pyarrow")
parquet: Untyped = importlib.import_module("pyarrow.parquet")
