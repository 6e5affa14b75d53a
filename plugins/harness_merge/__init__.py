"""`harness merge`: makes one run of the shards of `harness run --shard i/n`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def harness_commands(cli: click.Group) -> None:
    """Add `harness merge`."""
    from .command import command

    cli.add_command(command)
