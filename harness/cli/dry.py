"""Printing what `--dry-run` found."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from .stdout import results_stream, tell

if TYPE_CHECKING:
    from harness.options import Options


def show(every: Sequence[Options], *, as_json: bool) -> None:
    """A table of samples, calls, images and bytes for each model and judge; nothing is opened."""
    from harness.runs.dry_run import dry_run, noted

    loads = [load for options in every for load in dry_run(options)]
    if as_json:
        click.echo(json.dumps([asdict(load) for load in loads], indent=1), file=results_stream())
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from harness.board.table import WIDTH
    from harness.terminal import plain

    table = Table(box=box.SIMPLE)
    for name in ("model", "as", "opened in", "task"):
        table.add_column(name)
    for name in ("samples", "calls", "images", "MB", "missing images"):
        table.add_column(name, justify="right")
    for load in loads:
        if load.left_out:
            tell(plain(f"note: {load.left_out}"))
            continue
        numbers = (load.samples, load.calls, load.images, f"{load.bytes / 1e6:.1f}", load.missing)
        table.add_row(load.who, load.role, load.where, load.task, *(str(number) for number in numbers))
    out = results_stream()
    Console(file=out, width=None if out.isatty() else WIDTH).print(table)
    notes = [*(load.note for load in loads if load.note), *(note for options in every for note in noted(options))]
    for note in dict.fromkeys(notes):
        tell(plain(f"note: {note}"))
