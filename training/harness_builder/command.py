"""`harness build`: make a data set by any plugin's builder, and review, show, check and push one.

A name after `build` is one of the commands here, else a builder's. Builders are looked up last, when the command runs:
a file given with `--plugin` after the name may offer one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import click

from harness.cli.options import Group, load_host, plugin_options, show_examples
from harness.text import one_line, plain

#: commands -> what each does
COMMANDS: Final[Mapping[str, str]] = {
    "show": "Print the story of one record.",
    "review": "Review the candidates of a build.",
    "verify": "Compare the files of a set with its manifest.",
    "push": "Upload a set to the hub, private and gated.",
}


class Builds(Group):
    """The commands by their modules, then builders by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Commands in the order of work, then the builders without a command's name."""
        return [*COMMANDS, *(name for name in _builders(ctx) if name not in COMMANDS)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command, imported now; any other name counts as a builder's until it is used."""
        from .subcommands import SUBCOMMANDS, build_command

        return SUBCOMMANDS[cmd_name] if cmd_name in COMMANDS else build_command(cmd_name, COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Both, apart."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
        found = {name: text for name, text in _builders(ctx).items() if name not in COMMANDS}
        if found:
            with formatter.section("Builders"):
                formatter.write_dl([(plain(name), one_line(text, 80)) for name, text in found.items()])


@click.group(
    "build",
    cls=Builds,
    invoke_without_command=True,
    no_args_is_help=True,
    subcommand_metavar="BUILDER|COMMAND …",
    epilog=show_examples("harness build --list", "harness build mis --config set.yaml --out sets/mine"),
)
@click.option("--list", "listed", is_flag=True, help="List the builders, or show the one named after it, and exit.")
@click.option("--json", "as_json", is_flag=True, help="With --list: print JSON.")
@plugin_options
@click.pass_context
def command(ctx: click.Context, /, listed: bool, as_json: bool) -> None:
    """Make new data with a builder, and review, show, check and share it.

    `harness build BUILDER --config FILE --out DIR` builds. The same command again continues, and repeats no finished
    call. Exit codes: 0 done, 2 an error you can fix, 3 done but incomplete, 130 interrupted.
    """
    for builder, plugin in load_host(ctx).offers("builders"):
        if builder.name in COMMANDS:
            what = f"the builder {builder.name!r} of the plugin {plugin} cannot be used: `harness build {builder.name}`"
            click.echo(plain(f"note: {what} is a command; it needs another name"), err=True)
    if listed:
        from .subcommands import list_builders

        list_builders(ctx, ctx.invoked_subcommand, as_json=as_json)
        ctx.exit()
    if as_json:
        raise click.UsageError("--json has no effect here without --list; give it after the builder's name")


def _builders(ctx: click.Context) -> dict[str, str]:
    return {builder.name: builder.description for builder, _ in load_host(ctx).offers("builders")}
