"""`harness serve`: any model as an OpenAI-compatible server on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def harness_commands(cli: click.Group) -> None:
    """Add `harness serve`."""
    from .command import command

    cli.add_command(command)
