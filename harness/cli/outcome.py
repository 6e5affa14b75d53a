"""What a finished run prints: the table or the JSON on stdout, what the user should read on stderr."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from harness.terminal import plain, say

if TYPE_CHECKING:
    from harness.runs.running import Run


def printed(runs: Sequence[Run], *, as_json: bool, several: bool) -> None:
    """Print runs that ended; with several models `--json` prints a list."""
    if as_json:
        every = [run.results for run in runs]
        click.echo(json.dumps(every if several else every[0], ensure_ascii=False, indent=1))
    for run in runs:
        if not as_json:
            from harness.board.table import show

            show(run.results)
        for note in run.notes:
            click.echo(plain(f"note: {note}"), err=True)
        say(f"results: {run.folder / 'results.json'}", err=True)


def resume_hint(command: Sequence[str]) -> str:
    """How to go on: running the same command again resumes."""
    again = shlex.join(word for word in command if word != "--fresh")
    return f"what was answered is kept; go on with: {again}"
