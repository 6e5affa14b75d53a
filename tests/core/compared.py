"""Runs of `compared_world`, and comparisons of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from harness import Comparison, compare, plugins
from harness.cli import cli
from harness.plugins.host import Host

SOURCE = Path(__file__).with_name("compared_world.py")
WORLD = ("--plugin", str(SOURCE))


def played(folder: Path, letters: str, *flags: str, tasks: str = "played:one", judge: str = "mild") -> Path:
    """The folder of a run in which question i was answered with letter i."""
    given = ("--model", f"played/{letters}", "--tasks", tasks, "--judge", judge, "--no-probe", "--output", str(folder))
    done = CliRunner().invoke(cli, ["run", *given, *WORLD, *flags])
    assert done.exit_code in (0, 3), done.output
    return folder


def beside(*runs: Path, **options: Any) -> Comparison:
    """What `harness.compare` finds."""
    with plugins.use(Host.load([SOURCE])):
        return compare(*runs, **options)


def changed(run: Path, change: Callable[[Any], None], name: str = "run.json") -> Path:
    """The run with its run.json or results.json changed by hand."""
    raw = json.loads((run / name).read_text())
    change(raw)
    (run / name).write_text(json.dumps(raw))
    return run
