"""The flags of `harness train`."""

from __future__ import annotations

import click


@click.command("train")
def command() -> None:
    """Train a model by a method, and evaluate what came out."""
