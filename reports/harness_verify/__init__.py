"""`harness verify` and `harness export`: numbers that can be recomputed from their lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def harness_commands(cli: click.Group) -> None:
    """Add `harness verify` and `harness export`."""
    from .command import export_command, verify_command

    cli.add_command(verify_command)
    cli.add_command(export_command)
