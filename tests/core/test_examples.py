"""Every `--help` has examples, and they are command lines that the commands take."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from harness.cli import cli

ROOT = Path(__file__).parents[2]
CODE = ("harness", "plugins", "tasks", "judges", "training", "reports")


def walk(command: click.Command, ctx: click.Context, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The words of each command, groups as well."""
    yield words
    if isinstance(command, click.Group):
        for name in command.list_commands(ctx):
            inner = command.get_command(ctx, name)
            assert inner is not None
            yield from walk(inner, click.Context(inner, info_name=name, parent=ctx), (*words, name))


def find(words: tuple[str, ...]) -> tuple[click.Command, click.Context]:
    ctx, command = click.Context(cli, info_name="harness", **cli.context_settings), cli
    for word in words:
        assert isinstance(command, click.Group)
        command = command.get_command(ctx, word)
        assert command is not None
        ctx = click.Context(command, info_name=word, parent=ctx)
    return command, ctx


def list_commands() -> list[tuple[str, ...]]:
    with click.Context(cli, info_name="harness", **cli.context_settings) as ctx:
        return list(walk(cli, ctx, ()))


def list_examples(words: tuple[str, ...]) -> list[str]:
    command, ctx = find(words)
    ctx.terminal_width = 300
    lines = command.get_help(ctx).splitlines()
    return [line.strip() for line in lines[lines.index("  Examples:") + 1 :] if line.strip()]


def check(line: str) -> tuple[str, ...]:
    """The command that a line calls; each of its flags, choices and arguments is one that it takes."""
    program, *rest = shlex.split(line)
    assert program == "harness"
    ctx, command, words = click.Context(cli, info_name="harness", **cli.context_settings), cli, tuple[str, ...]()
    while True:
        given, left, _ = command.make_parser(ctx).parse_args(list(rest))
        for param in command.params:
            value = given.get(str(param.name))  # what is not given is an object of click's own
            values = list(value) if isinstance(value, list | tuple) else [value] * isinstance(value, str | int)
            if param.required and not ({"--help", "-h", "--list"} & set(rest)):
                assert values, f"{line}: {param.name} is missing"
            if isinstance(param.type, click.Choice | click.types.IntParamType | click.types.FloatParamType):
                for each in values:
                    param.type.convert(each, param, ctx)
        if not isinstance(command, click.Group) or not left:
            return words
        command = command.get_command(ctx, left[0])
        assert command is not None, f"{line}: no command {left[0]}"
        words = (*words, left[0])
        ctx, rest = click.Context(command, info_name=left[0], parent=ctx), left[1:]


COMMANDS = list_commands()


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_help_ends_with_two_examples_that_the_command_takes(words: tuple[str, ...]) -> None:
    examples = list_examples(words)
    assert len(examples) >= 2
    for line in examples:
        assert check(line)[: len(words)] == words


@pytest.mark.parametrize("line", ["harness run --modle mini/base", "harness compare a b --format pdf", "harness rnu"])
def test_an_example_with_a_wrong_flag_is_found(line: str) -> None:
    with pytest.raises((click.UsageError, AssertionError)):
        check(line)


def test_an_example_is_no_wider_than_a_terminal() -> None:
    wide = [line for words in COMMANDS for line in list_examples(words) if len(line) > 96]
    assert wide == []


def test_whatever_opens_a_browser_has_a_flag_that_keeps_it_closed() -> None:
    opens = {
        path
        for room in CODE
        for path in (ROOT / room).rglob("*.py")
        if re.search(r"^(import|from) webbrowser", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    closed = {words for words in COMMANDS if any("--no-browser" in param.opts for param in find(words)[0].params)}
    assert closed == {("view",), ("label",), ("build", "review")}
    assert {path.relative_to(ROOT).as_posix() for path in opens} == {
        "plugins/harness_label/command.py",
        "reports/harness_view/command.py",
        "training/harness_builder/subcommands.py",
    }
