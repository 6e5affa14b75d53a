"""The command `harness batches`: its flags and its table."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click

from harness.cli.options import show_examples
from harness.text import one_line, say

_WIDTH: Final = 140  #: columns where there is no terminal
_STAGES: Final = {"submitting": "cyan", "open": "cyan", "collected": "green", "dropped": "yellow"}


_EXAMPLES: Final = show_examples(
    "harness batches runs/openai-NAME",
    "harness batches runs/openai-NAME --json",
    "harness batches runs/openai-NAME --cancel",
)


@click.command("batches", epilog=_EXAMPLES)
@click.argument("run", type=click.Path(path_type=Path, file_okay=False))
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--cancel", is_flag=True, help="End these open batches at their providers; without an ID, all of them.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each batch.")
def command(run: Path, ids: tuple[str, ...], *, cancel: bool, as_json: bool) -> None:
    """List the batches that a run has submitted, as they were when it last looked.

    Nothing is asked. `harness run --model openai/NAME … --batch` makes such a run; given again, it looks at the open
    batches and collects their answers.

    \b
    Exit codes: 0 done, 2 error or a batch that could not be cancelled.
    """
    if ids and not cancel:
        raise click.UsageError("an ID chooses what --cancel ends: add --cancel, or leave the ID out")
    if cancel:
        _cancel(run, ids, as_json=as_json)
        return
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
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from harness.board.display import format_duration
    from harness.board.tables import print_drawing

    table = Table(box=box.SIMPLE)
    for name in ("model", "batch", "state"):
        table.add_column(name, overflow="fold")
    for name in ("requests", "answers", "age"):
        table.add_column(name, justify="right")
    for record in found.parts.values():
        said = f"{record.stage} ({one_line(record.said, 60)})" if record.said and record.stage != "collected" else ""
        table.add_row(
            Text(one_line(record.model)),
            Text(one_line(record.batch or record.part)),
            Text(said or record.stage, style=_STAGES[record.stage]),
            f"{record.requests:,}",
            f"{record.answered if record.stage == 'collected' else record.done:,}",
            format_duration(max(0.0, time.time() - record.submitted)),
        )
    print_drawing(lambda console: console.print(table), _WIDTH)
    waiting = [record for record in found.parts.values() if record.stage in ("submitting", "open")]
    if waiting:
        requests = sum(record.requests for record in waiting)
        say(f"{requests:,} requests wait: give the run's command again to collect what has ended")


def _cancel(run: Path, ids: tuple[str, ...], *, as_json: bool) -> None:
    import anyio

    from harness.runs.cancelling import cancel_batches

    found = anyio.run(cancel_batches, run, ids)
    for each in found:
        if as_json:
            state = {} if each.state is None else {"state": each.state.state, "said": each.state.message}
            click.echo(json.dumps({**asdict(each.record), **state, "why": each.why}, ensure_ascii=False))
        else:
            name = f"{one_line(each.record.batch or each.record.part)} ({one_line(each.record.model)})"
            said = "" if each.state is None else one_line(each.state.message, 60)
            say(f"{name}: not cancelled: {one_line(each.why, 300)}" if each.why else f"{name}: {said}")
    if not as_json and not found:
        say("no batch of this run is open")
    elif not as_json:
        say("Give the run's command again to collect what they have answered: it asks for the rest in new batches")
    if any(each.why for each in found):
        raise SystemExit(2)
