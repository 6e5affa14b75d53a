"""transformers, as what it is to a strict type checker: a library whose types are mostly unknown.

Everything that comes from it is `Untyped`, here in one place, in place of an ignore on every second line. Imported on
use only: it takes seconds.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import transformers as _transformers

Untyped: TypeAlias = Any
transformers: Untyped = _transformers
