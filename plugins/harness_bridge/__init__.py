"""`harness bridge`: other harnesses' command lines, with our models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def harness_commands(cli: click.Group) -> None:
    """Add `harness bridge`."""
    from .group import command

    cli.add_command(command)
