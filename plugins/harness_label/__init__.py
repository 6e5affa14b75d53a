"""`harness label`: people label drawn answers of a run on a page of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def harness_commands(cli: click.Group) -> None:
    """Add `harness label`."""
    from .command import command

    cli.add_command(command)
