"""`harness compare`: compares runs with a baseline, item by item; the core computes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def harness_commands(cli: click.Group) -> None:
    """Add `harness compare`."""
    from .command import command

    cli.add_command(command)
