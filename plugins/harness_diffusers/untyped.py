"""diffusers and transformers, as what they are to a strict type checker: mostly unknown. Imported on use only."""

from __future__ import annotations

from typing import Any, TypeAlias

import diffusers as _diffusers
import transformers as _transformers

Untyped: TypeAlias = Any
diffusers: Untyped = _diffusers
transformers: Untyped = _transformers
