"""`harness power`: how many samples and seeds an evaluation needs, and what they cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def harness_commands(cli: click.Group) -> None:
    """Add `harness power`."""
    from .command import command

    cli.add_command(command)
