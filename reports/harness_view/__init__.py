"""Shows a run sample by sample: `harness view`, `harness show`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def harness_commands(cli: click.Group) -> None:
    """Add `harness view` and `harness show`."""
    from .command import show_command, view_command

    cli.add_command(view_command)
    cli.add_command(show_command)
