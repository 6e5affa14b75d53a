"""Data of a training: read in any layout, checked record by record, sampled, mixed, and written for other trainers."""

from __future__ import annotations

from .convert import FORMATS, write
from .mixing import mix

__all__ = ["FORMATS", "mix", "write"]
