"""A finished run of the world in which every text is a secret, and how to ask the command line about it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

import harness
from harness import plugins
from harness.cli import cli
from harness.plugins.host import Host
from tests.reports.secret_world import SECRET

WORLD = Path(__file__).with_name("secret_world.py")


def host() -> Host:
    """The world's plugin and all that is installed."""
    return Host.load([WORLD])


def run(folder: Path, **options: Any) -> Path:
    """Two splits, two judges, two epochs, each outcome there is."""
    with plugins.use(host()):
        harness.run(
            model="said/any",
            tasks=["told"],
            judge=["asking=said/home/secretary/judge", "ruling"],
            output=folder,
            probe=False,
            **{"epochs": 2, "system": SECRET, "model_settings": {"places": "/home/secretary/x"}, **options},
        )
    return folder


def command(*arguments: str | Path) -> Result:
    """A command of a process that has the world's plugin."""
    verb, *rest = map(str, arguments)
    return CliRunner().invoke(cli, [verb, "--plugin", str(WORLD), *rest], standalone_mode=False)


def change(path: Path, edit: Callable[[Any], Any]) -> None:
    """Rewrite a file of JSON."""
    body = json.loads(path.read_text(encoding="utf-8"))
    edit(body)
    path.write_text(json.dumps(body), encoding="utf-8")


def change_lines(path: Path, edit: Callable[[Any], Any]) -> None:
    """Rewrite each line of a file of JSON lines."""
    made = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for line in made:
        edit(line)
    path.write_text("".join(f"{json.dumps(line)}\n" for line in made), encoding="utf-8")
