"""`harness sweep`: many models, each asked the same tasks in a run folder of its own; the core does the work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def harness_commands(cli: click.Group) -> None:
    """Add `harness sweep`."""
    from .command import command

    cli.add_command(command)
