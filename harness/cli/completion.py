"""`harness completion SHELL`: a shell's script that completes commands, flags and what plugins offer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    get_completion_class,
)

from harness.contracts import Task
from harness.plugins.host import Host
from harness.settings import effective

from .options import load_host, show_examples
from .stdout import results_stream, show, tell

VARIABLE: Final = "_HARNESS_COMPLETE"  #: holds a shell's question; no command is run then
_SHELLS: Final = ("bash", "zsh", "fish")
_BREAKS: Final = (":", "=")  #: bash takes a word apart at these
#: shell -> the file that it reads at its start, and the line for it
_LINES: Final = {
    "bash": ("~/.bashrc", 'eval "$(harness completion bash)"'),
    "zsh": ("~/.zshrc", 'eval "$(harness completion zsh)"'),
    "fish": ("~/.config/fish/config.fish", "harness completion fish | source"),
}


@click.command(name="completion", epilog=show_examples("harness completion bash", "harness completion zsh"))
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands, flags and names in a shell.

    On a terminal stderr shows the line for the file that your shell reads at its start.
    """
    register()
    found = get_completion_class(shell)
    assert found is not None
    show(found(ctx.find_root().command, {}, "harness", VARIABLE).source(), raw=True)
    if results_stream().isatty():  # a shell that evaluates the script at its start wants no line each time
        file, line = _LINES[shell]
        tell(f"put this line into {file}: {line}")


def register() -> None:
    """Let click answer the shells by the classes of this module."""
    for each in (_Bash, _Zsh, _Fish):
        add_completion_class(each)


class _Names(ShellComplete):
    """Completes the values of flags that name what plugins offer, and else files where click knows nothing."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        flag = args[-1] if args else ""
        if flag in _VALUES and not incomplete.startswith("-"):
            *before, last = incomplete.split(",")
            head = "".join(f"{each}," for each in before)
            host = load_host(click.Context(self.cli), quiet=True, config=False)
            return [CompletionItem(head + name) for name in sorted(_VALUES[flag](host, last)) if name.startswith(last)]
        found = super().get_completions(args, incomplete)
        if not found and not incomplete.startswith("-"):
            return [CompletionItem(incomplete, type="file")]
        return found


class _Bash(_Names, BashComplete):
    """A word with a colon or an equals sign comes in pieces, and the last piece alone is replaced."""

    source_template = BashComplete.source_template.replace(
        "    return 0\n", "    [[ ${COMPREPLY[0]} == */ ]] && compopt -o nospace\n\n    return 0\n"
    )

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        pieces = [*args, incomplete]
        while len(pieces) > 1 and (pieces[-1][:1] in _BREAKS or pieces[-2] in _BREAKS):
            pieces[-2:] = [pieces[-2] + pieces[-1]]
        word = pieces.pop()
        cut = max(word.rfind(each) for each in _BREAKS) + 1
        found = super().get_completions(pieces, word)
        return [CompletionItem(item.value[cut:] if item.type == "plain" else incomplete, item.type) for item in found]


class _Zsh(_Names, ZshComplete):
    """As click's."""


class _Fish(_Names, FishComplete):
    """A list, and a help text, may hold commas: a line is cut at its first one alone."""

    source_template = FishComplete.source_template.replace('string split ","', 'string split --max 1 ","')


def _list_models(host: Host, _: str) -> Iterator[str]:
    return (f"{provider.scheme}/" for provider, _ in host.offers("models"))


def _list_tasks(host: Host, begun: str) -> Iterator[str]:
    name, colon, _ = begun.partition(":")
    if colon:
        tasks: dict[str, Task] = {task.name: task for task, _ in host.offers("tasks")}
        if name in tasks:
            task = tasks[name]
            settings = effective(task.settings, {}, owner=f"task {name}")
            splits = task.splits(settings, Path(name)) if callable(task.splits) else task.splits
            yield from (f"{name}:{split}" for split in splits)
        return
    for kind in ("tasks", "suites"):
        yield from (each.name for each, _ in host.offers(kind))


def _list_judges(host: Host, _: str) -> Iterator[str]:
    yield from (judge.name for judge, _ in host.offers("judges"))
    yield from _list_models(host, "")


def _list_kind(kind: str) -> Callable[[Host, str], Iterable[str]]:
    return lambda host, _: (each.name for each, _ in host.offers(kind))


_VALUES: Final[dict[str, Callable[[Host, str], Iterable[str]]]] = {
    "--model": _list_models,
    "--task": _list_tasks,
    "--tasks": _list_tasks,
    "--judge": _list_judges,
    "--strategy": _list_kind("strategies"),
    "--attack": _list_kind("attacks"),
    "--format": _list_kind("reports"),
}
