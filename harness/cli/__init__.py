"""The command line: a group whose commands are modules, imported only when used.

A core command is `command` in the module with its name, or one of the lists in `listing`; plugins add theirs through
`harness_commands`. A command returns its exit code, or None for 0. Results go to stdout, all else to stderr.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import io
import os
import sys
from collections.abc import Sequence

import click

from harness.errors import HarnessError
from harness.text import say

from .options import (
    Group,
    blame_plugin,
    describe_plugins,
    expect_config,
    load_commands,
    load_host,
    plugin_options,
    show_examples,
)
from .stdout import reserve, tell

CORE = {
    "run": "Ask a model the questions of some tasks, and judge its answers.",
    "judge": "Judge the stored answers of runs, again or with another judge; does not call the model.",
    "report": "Render the results of one or more runs.",
    "data": "List, fetch and verify the data of tasks.",
    "models": "List the providers of models, or show some in detail.",
    "tasks": "List the tasks and suites, or show some in detail.",
    "judges": "List the judges, or show some in detail.",
    "strategies": "List the strategies around a model, or show some in detail.",
    "attacks": "List the attacks and controls, or show some in detail.",
    "painters": "List the painters of builders, or show some in detail.",
    "plugins": "List plugins, diagnose them, or create a new one.",
    "doctor": "Show what this machine has and what is missing.",
    "init": "Write a commented harness.yaml that holds every key.",
    "completion": "Print the script that completes commands, flags and names in a shell.",
}
_LISTS = {
    name: f"{name}_command" for name in ("models", "tasks", "judges", "strategies", "attacks", "painters")
}  #: in `listing`
OPEN = ("judges", "strategies")  #: the lists to which plugins may add subcommands; help of all others loads no plugin


class Commands(Group):
    """Core commands, then those of plugins; no plugin can replace a core command.

    Attributes:
        ran: name of the last command run.
        saves: whether `main` switched the garbage collector off, which a command that works switches on again.
    """

    ran = ""
    saves = False

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Core commands in the order of work, then plugins' by name."""
        return [*CORE, *sorted(_plugin_commands(ctx))]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As in each group; a command that names a config of its own is found without ./harness.yaml."""
        expect_config(ctx, args)
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now; plugins are loaded only for a name that is not core."""
        if cmd_name not in _LISTS or cmd_name in OPEN:
            self.collect()
        if cmd_name in CORE:
            module = importlib.import_module(f"{__name__}.{'listing' if cmd_name in _LISTS else cmd_name}")
            command = getattr(module, _LISTS.get(cmd_name, "command"))
            assert isinstance(command, click.Command)
            _reserve(command)
            return command
        return _plugin_commands(ctx).get(cmd_name)

    def collect(self) -> None:
        """Collect garbage again, if `main` stopped that."""
        if self.saves:
            gc.enable()

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List core commands from the table above, because help must not import what a run needs."""
        with formatter.section("Commands"):
            formatter.write_dl(list(CORE.items()))
        try:
            added = sorted(_plugin_commands(ctx).items())
        except HarnessError as error:  # --strict-plugins, or a missing file: show help anyway
            tell(str(error))
            added = []
        if added:
            with formatter.section("Commands of plugins"):
                formatter.write_dl([(name, command.get_short_help_str(80)) for name, command in added])

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; an error in a plugin's command becomes a PluginError, any other lists the plugins."""
        try:
            return super().invoke(ctx)
        except (Exception, SystemExit, GeneratorExit) as error:
            name = ctx.invoked_subcommand or ""
            if name and name not in CORE:
                blame_plugin(ctx, name, error)
            error.add_note(f"plugins: {describe_plugins(ctx)}")
            raise
        finally:
            self.ran = ctx.invoked_subcommand or ""


def _reserve(command: click.Command) -> None:
    """Let a command and its subcommands print only results on standard output."""
    command.callback = command.callback and reserve(command.callback)
    for each in command.commands.values() if isinstance(command, click.Group) else ():
        _reserve(each)


def _plugin_commands(ctx: click.Context) -> dict[str, click.Command]:
    return {name: command for name, (command, _) in load_commands(load_host(ctx)).items() if " " not in name}


def _show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from .ending import find_version

        say(f"harness {find_version()}")
        ctx.exit()


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=show_examples(
        "harness run --model mini/base --tasks mis:mini --output runs/base",
        "harness report 'runs/*' --output leaderboard.html",
        "harness run --help",
    ),
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show the version."
)
@plugin_options
def cli() -> None:
    """Measure the safety of vision-language models."""


def _open_missing_streams() -> None:
    """Connect closed standard streams to the null device.

    Otherwise the next opened file would get their descriptor, and every print would write into it.
    """
    names = ("stdin", "stdout", "stderr")
    if None not in {getattr(sys, name) for name in names}:
        return
    while (lowest := os.open(os.devnull, os.O_RDWR)) < len(names):
        stream = open(lowest, "w" if lowest else "r", encoding="utf-8", closefd=False)  # noqa: SIM115
        setattr(sys, names[lowest], stream)
    os.close(lowest)


def main(args: Sequence[str] | None = None) -> None:
    """The command `harness`: runs a command and exits with its code.

    0 done, 1 a bug, 2 the user can fix it, 3 done but incomplete, 4 a gate failed, 130 interrupted.
    """
    from .ending import INTERRUPTED, end_soon, end_workers, exit_code, leave_threads

    cli.saves = args is None and gc.isenabled()
    if cli.saves:
        gc.disable()  # what start-up makes stays: help and lists end before there is anything to collect
    _open_missing_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    arguments = list(sys.argv[1:] if args is None else args)
    if "_HARNESS_COMPLETE" in os.environ:
        from .completion import register

        register()
    code = exit_code(lambda: cli.main(arguments, prog_name="harness", standalone_mode=False), arguments)
    if cli.saves and not gc.isenabled():
        atexit.register(gc.freeze)  # Python's end collects once more, and help and lists left nothing to look for
    cli.collect()  # for a caller that goes on
    if args is None:
        end_workers()
        if code == INTERRUPTED:
            leave_threads(code)
        if cli.ran in CORE:
            end_soon(code)
    sys.exit(code)
