"""`harness verify` and `harness export`: numbers that can be made anew from what they count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def harness_commands(cli: click.Group) -> None:
    """Add `harness verify` and `harness export`."""
    from . import export, verify

    cli.add_command(verify.command)
    cli.add_command(export.command)
