"""The flags of `harness verify`, and what it prints."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.options import loaded, plugin_options

if TYPE_CHECKING:
    from harness.runs.verifying import Verified

_CODES = {"same": 0, "unverifiable": 3, "differs": 4}


@click.command("verify")
@click.argument("runs", nargs=-1, required=True, metavar="RUN…")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a text.")
@plugin_options
@click.pass_context
def command(ctx: click.Context, /, runs: tuple[str, ...], as_json: bool) -> int:
    """Make the numbers of runs anew from their lines, and compare each with results.json.

    RUN is a run folder, a results.json, or a pattern; nothing is written. Exit codes: 0 all are the same, 4 a number
    differs or does not add up, 3 something could not be verified, 2 you can mend it.
    """
    loaded(ctx)
    from .telling import as_dict, told

    found = [_verified(place) for place in _places(runs)]
    if as_json:
        made = {"schema": "harness.verification/1", "runs": [as_dict(each) for each in found]}
        click.echo(json.dumps(made, ensure_ascii=False, indent=1, default=str))
    else:
        for each in found:
            click.echo("\n".join(told(each)))
    return max(_CODES[each.state] for each in found)


def _verified(place: Path) -> Verified:
    """A run made anew; of an unpacked archive also whether its files are still those that were packed."""
    from harness.runs.verifying import verify

    from .archive import MANIFEST, changed_since

    found = verify(place)
    others = changed_since(place) if place.is_dir() else []
    if not others:
        return found
    return replace(found, notes=(*found.notes, f"not what {MANIFEST} lists: {', '.join(others)}"))


def _places(runs: Iterable[str]) -> Iterator[Path]:
    """Where each run is, with results or not. Raises HarnessError where there is none."""
    from harness.board.results import find

    for run in runs:
        if (Path(run) / "run.json").is_file():
            yield Path(run)
        else:
            yield from (path.parent if (path.parent / "run.json").is_file() else path for path in find((run,)))
