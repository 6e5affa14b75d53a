"""Printing what `--dry-run` found."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from .stdout import results_stream, tell

if TYPE_CHECKING:
    from harness.runs.dry_run import DryRun, Load


def show(every: Sequence[DryRun], *, as_json: bool) -> None:
    """A table of samples, calls, images and bytes for each model and judge; what is missing on stderr."""
    loads = [load for each in every for load in each.loads]
    if as_json:
        click.echo(json.dumps([asdict(load) for load in loads], indent=1), file=results_stream())
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from harness.board.tables import WIDTH

    table = Table(box=box.SIMPLE)
    for name in ("model", "as", "opened in", "task"):
        table.add_column(name)
    for name in ("samples", "calls", "images", "MB", "missing images"):
        table.add_column(name, justify="right")
    there = [load for load in loads if not load.left_out]
    for load in there:
        numbers = (load.samples, _calls(load), load.images, f"{load.bytes / 1e6:.1f}", load.missing)
        table.add_row(load.who, load.role, load.where, load.task, *(str(number) for number in numbers))
    missing = [text for load in loads for text in (load.left_out, load.incomplete)]
    notes = [*missing, *(load.note for load in loads), *(note for each in every for note in each.notes)]
    if there:
        out = results_stream()
        Console(file=out, width=None if out.isatty() else WIDTH).print(table)
    for note in dict.fromkeys(filter(None, notes)):
        tell(f"note: {note}")


def _calls(load: Load) -> str:
    """Requests, from the least to the most of them; a judge's and a stranger strategy's have no bound."""
    if load.most_calls == load.calls:
        return str(load.calls)
    return f"{load.calls}+" if load.most_calls is None else f"{load.calls} to {load.most_calls}"
