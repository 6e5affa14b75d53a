"""`harness gate`: decides whether a run keeps limits and is no worse than a baseline, for a release check in CI."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def harness_commands(cli: click.Group) -> None:
    """Add `harness gate`."""
    from .command import command

    cli.add_command(command)
