"""What a training would do."""

from __future__ import annotations

from harness import Training

from .methods import Method


def planned(method: Method, training: Training) -> str:
    """The plan as text."""
    return f"{method.name} on {training.model}"
