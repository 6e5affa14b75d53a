"""Runs of `labelled_world` with people's labels, and comparisons of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from click.testing import CliRunner

from harness import Comparison, compare, plugins
from harness.cli import cli
from harness.plugins.host import Host
from harness.runs.label_entry import Said, enter_words
from harness.runs.labelling import draw_run
from harness.runs.stored import open_run
from harness.types import Verdict

SOURCE = Path(__file__).with_name("labelled_world.py")
WORLD = ("--plugin", str(SOURCE))


def answered(folder: Path, name: str, *flags: str, tasks: str = "drawn:one") -> Path:
    """A run of `drawn/NAME` that the rule has judged."""
    given = ("--model", f"drawn/{name}", "--tasks", tasks, "--judge", "rule", "--no-probe", "--output", str(folder))
    done = CliRunner().invoke(cli, ["run", *given, *WORLD, *flags])
    assert done.exit_code in (0, 3), done.output
    return folder


def labelled(run: Path, n: int, *, people: tuple[str, ...] = ("anna",), draw: bool = True, first: int = 0) -> Path:
    """The run, with n drawn answers of each split labelled by each of these people, as is true of them.

    `first`: only so many of them; all where it is 0.
    """
    with plugins.use(Host.load([SOURCE])):
        stored = open_run(run, ())
        if draw:
            items = [item for each in draw_run(stored, n=n) for item in each.items]
        else:
            items = [a.item for title in stored.splits for a in stored.answers(title) if a.outcome == "answered"][:n]
        answers = {answer.item: answer for title in stored.splits for answer in stored.answers(title)}
        said = [
            Said(item=item, decision=Verdict(label=answers[item].text.split()[1])) for item in items[: first or None]
        ]
        for person in people:
            enter_words(open_run(run, ()), f"human-{person}", said, {}, command=())
    return run


def beside(*runs: Path, **options: Any) -> Comparison:
    """What `harness.compare` finds."""
    with plugins.use(Host.load([SOURCE])):
        return compare(*runs, **options)
