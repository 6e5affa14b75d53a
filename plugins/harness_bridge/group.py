"""The group of bridges: each is a module with a click command `command`, imported on use."""

from __future__ import annotations

import importlib
from typing import Final

import click

from harness.cli.options import Group, show_examples

#: command -> module of this package, and its line in the list of commands
BRIDGES: Final = {
    "lm-eval": ("lm_eval", "Run lm-eval's command line with one of our models."),
    "vlmeval": ("vlmeval", "Run VLMEvalKit's command line with one of our models."),
}


class Bridges(Group):
    """Bridges, each loaded from its module."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """All bridges."""
        return list(BRIDGES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the bridge."""
        if cmd_name not in BRIDGES:
            return None
        command = importlib.import_module(f"{__package__}.{BRIDGES[cmd_name][0]}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Uses the table above: help must not import a bridge's dependencies."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in BRIDGES.items()])


@click.group(
    "bridge",
    cls=Bridges,
    epilog=show_examples(
        "harness bridge lm-eval --model mini/base -- --tasks NAME",
        "harness bridge vlmeval --model mini/base -- --data MMStar",
    ),
)
def command() -> None:
    """Run another harness's own command line with one of our models.

    Flags after `--` go to it unchanged.
    """
