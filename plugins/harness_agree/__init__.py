"""`harness agree`: how far judges and people agree on one run; exports and imports people's labels as CSV."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def harness_commands(cli: click.Group) -> None:
    """Add `harness agree`."""
    from .command import command

    cli.add_command(command)
