"""The group of bridges: each is a module with a click command named `command`, imported when it is used."""

from __future__ import annotations

import importlib
from typing import Final

import click

from harness.cli.options import Group

#: command -> module of this package, and what the list of commands says of it
BRIDGES: Final = {
    "lm-eval": ("lm_eval", "Run lm-eval's command line with one of our models."),
    "vlmeval": ("vlmeval", "Run VLMEvalKit's command line with one of our models."),
}


class Bridges(Group):
    """Bridges by their module."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """All bridges."""
        return list(BRIDGES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The bridge, imported now."""
        if cmd_name not in BRIDGES:
            return None
        command = importlib.import_module(f"{__package__}.{BRIDGES[cmd_name][0]}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """By the table above: help must not import what a bridge needs."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in BRIDGES.items()])


@click.group("bridge", cls=Bridges)
def command() -> None:
    """Run another harness's own command line with one of our models.

    What stands after `--` is theirs, word for word.
    """
