"""The command `harness batches`: its flags and its table."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from harness.cli.options import show_examples
from harness.text import one_line, say

if TYPE_CHECKING:
    from harness.batches import BatchRecord

_WIDTH: Final = 140  #: columns where there is no terminal
_STAGES: Final = {"submitting": "cyan", "open": "cyan", "collected": "green", "dropped": "yellow"}


@click.command("batches", epilog=show_examples("harness batches runs/openai-NAME", "harness batches RUN --json"))
@click.argument("run", type=click.Path(path_type=Path, file_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each batch.")
def command(run: Path, *, as_json: bool) -> None:
    """List the batches that a run has submitted, as they were when it last looked.

    Nothing is asked. `harness run … --batch`, given again, looks at the open ones and collects their answers.
    """
    from harness.batches import list_batches
    from harness.store.folder import RunFolder

    RunFolder(run).load_run()
    found = list_batches(run)
    if as_json:
        for record in found.parts.values():
            click.echo(json.dumps(asdict(record), ensure_ascii=False))
        return
    if not found.parts:
        say("this run has submitted no batch")
        return
    _print_table(list(found.parts.values()))
    waiting = [record for record in found.parts.values() if record.stage in ("submitting", "open")]
    if waiting:
        requests = sum(record.requests for record in waiting)
        say(f"{requests:,} requests wait: give the run's command again to collect what has ended")


def _print_table(records: list[BatchRecord]) -> None:
    import sys

    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE)
    for name in ("model", "batch", "state"):
        table.add_column(name, overflow="fold")
    for name in ("requests", "answers", "age"):
        table.add_column(name, justify="right")
    for record in records:
        said = f"{record.stage} ({one_line(record.said, 60)})" if record.said and record.stage != "collected" else ""
        table.add_row(
            Text(one_line(record.model)),
            Text(one_line(record.batch or record.part)),
            Text(said or record.stage, style=_STAGES[record.stage]),
            f"{record.requests:,}",
            f"{record.answered if record.stage == 'collected' else record.done:,}",
            _format_age(time.time() - record.submitted),
        )
    Console(width=None if sys.stdout.isatty() else _WIDTH, highlight=False).print(table)


def _format_age(seconds: float) -> str:
    from harness.board.display import format_duration

    return format_duration(max(0.0, seconds))
