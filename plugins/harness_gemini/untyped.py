"""google-auth, as what it is to a strict type checker: a library whose types are partly unknown."""

from __future__ import annotations

import importlib
from typing import Any, TypeAlias

Untyped: TypeAlias = Any
auth: Untyped = importlib.import_module("google.auth")
