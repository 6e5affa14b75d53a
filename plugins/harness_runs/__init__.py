"""`harness runs` and `harness rerun`: the runs under a folder, and one of them again; the core does the work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def harness_commands(cli: click.Group) -> None:
    """Add `harness runs` and `harness rerun`."""
    from .command import command
    from .rerun import command as rerun

    cli.add_command(command)
    cli.add_command(rerun)
