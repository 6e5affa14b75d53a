"""`harness judges bench` and `harness judges attack`: how well judges agree with people, and what moves them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def harness_commands(cli: click.Group) -> None:
    """Add both to `harness judges`."""
    from .commands import group

    cli.add_command(group)
