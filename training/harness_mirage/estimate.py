"""An estimate of memory and time."""

from __future__ import annotations

from harness import Training

from .methods import Method
from .mixture import Mixture
from .recipe import Recipe


def check(method: Method, training: Training, recipe: Recipe, mixture: Mixture) -> None:
    """Refuse what cannot fit."""
