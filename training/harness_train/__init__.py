"""`harness train METHOD`: any plugin's trainer, from the plan to the evaluation of what came out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def harness_commands(cli: click.Group) -> None:
    """Add `harness train`."""
    from .command import command

    cli.add_command(command)
