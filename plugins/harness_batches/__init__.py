"""`harness batches`: the batches of a run, as its folder knows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def harness_commands(cli: click.Group) -> None:
    """Add `harness batches`."""
    from .command import command

    cli.add_command(command)
