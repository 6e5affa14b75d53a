"""The commands `harness verify` and `harness export`: their flags and output."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from harness.cli.options import load_host, plugin_options, show_examples
from harness.text import one_line, plain, say

if TYPE_CHECKING:
    from harness.runs.verification import VerifiedRun
    from harness.types import Json

    from .export import Exported

_CODES: Final = {"same": 0, "unverifiable": 3, "differs": 4}
_STATES: Final = {"same": "same", "differs": "DIFFERS", "unverifiable": "not verified"}
_MOST_DIFFERENCES: Final = 10  #: most printed differences per part; JSON has all
_WARNING: Final = """\
WARNING: a full export holds what was asked and answered, which may be harmful, and paths of this machine.
Keys were removed as far as they can be recognised. Look through the archive before it leaves the machine."""


@click.command("verify", epilog=show_examples("harness verify runs/base", "harness verify 'runs/*' --json"))
@click.argument("runs", nargs=-1, required=True, metavar="RUN…")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a text.")
@plugin_options
@click.pass_context
def verify_command(ctx: click.Context, /, runs: tuple[str, ...], as_json: bool) -> int:
    """Recompute the numbers of runs from their lines, and compare each with results.json.

    RUN is a run folder, a results.json, or a pattern; nothing is written. Exit codes: 0 all are the same, 4 a number
    differs or does not add up, 3 something could not be verified, 2 an error you can fix.
    """
    load_host(ctx)
    from harness.runs.verification import verify_run

    from .export import MANIFEST, list_changed_files

    verified: list[VerifiedRun] = []
    for place in (place for run in runs for place in _find_places(run)):
        found = verify_run(place)
        if place.is_dir() and (changed := list_changed_files(place)):  # only an unpacked archive has a manifest
            note = f"not what {MANIFEST} lists: {', '.join(changed)}"
            found = replace(found, notes=(*found.notes, note))
        verified.append(found)
    if as_json:
        body = {"schema": "harness.verification/1", "runs": [to_json(each) for each in verified]}
        click.echo(json.dumps(body, ensure_ascii=False, indent=1, default=str))
    else:
        for each in verified:
            click.echo("\n".join(format_verified(each)))
    return max(_CODES[each.state] for each in verified)


def _find_places(run: str) -> list[Path]:
    """Run folders, with or without results, or results files. Raises HarnessError if none exists."""
    from harness.board.results import find_results
    from harness.remote import fetch_folders, is_remote

    if is_remote(run):
        return fetch_folders(run)
    if (Path(run) / "run.json").is_file():
        return [Path(run)]
    return [path.parent if (path.parent / "run.json").is_file() else path for path in find_results((run,))]


def format_verified(run: VerifiedRun) -> Iterator[str]:
    """The report of a verified run, as lines for a person."""
    from harness.runs.verification import NOTHING

    yield f"{one_line(run.place)}  {one_line(run.name)}".rstrip() + f": {_STATES[run.state]}"
    yield from (f"  {one_line(text)}" for text in (run.why, *run.faults) if text)
    parts = [part for part in run.parts if part.records is not None or part.differences]
    width = max((len(one_line(part.title)) for part in parts), default=0)
    for part in parts:
        state = "adds up" if run.why and part.state == "same" else _STATES[part.state]  # `why`: there are no lines
        records = f"  {part.records} records" if part.records is not None else ""
        why = f"  {one_line(part.why)}" if part.why else ""
        yield f"  {one_line(part.title).ljust(width)}  {state}{records}{why}"
        yield from (f"    {one_line(fault)}" for fault in part.faults)
        for each in part.differences[:_MOST_DIFFERENCES]:
            path = ".".join(map(one_line, each.path)) or "all of it"
            stored, found = (
                one_line(repr(value) if value is NOTHING else json.dumps(value, ensure_ascii=False, default=str), 60)
                for value in (each.stored, each.found)
            )
            yield f"    {path}: {stored} stored, {found} computed"
        if len(part.differences) > _MOST_DIFFERENCES:
            yield f"    and {len(part.differences) - _MOST_DIFFERENCES} more: --json has all"
    yield from (f"  note: {one_line(note)}" for note in run.notes)


def to_json(run: VerifiedRun) -> dict[str, Json]:
    """A verified run as JSON; a difference lacks a side without the value."""
    from harness.runs.verification import NOTHING

    parts: list[dict[str, Json]] = []
    for part in run.parts:
        differences: list[dict[str, Json]] = []
        for each in part.differences:
            sides = {"stored": each.stored, "found": each.found}
            there = {side: value for side, value in sides.items() if value is not NOTHING}
            differences.append({"path": list(each.path), **there})
        body = {"part": part.title, "state": part.state, "records": part.records, "why": part.why}
        parts.append({**body, "faults": list(part.faults), "differences": differences})
    return {
        "run": run.place,
        "model": run.model,
        "state": run.state,
        "why": run.why,
        "faults": list(run.faults),
        "notes": list(run.notes),
        "parts": parts,
    }


@click.command(
    "export",
    epilog=show_examples(
        "harness export runs/base --output base.zip", "harness export runs/base --output base.zip --redact"
    ),
)
@click.argument("run", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), required=True, metavar="FILE.zip", help="The archive."
)
@click.option(
    "--redact/--full",
    "redact",
    default=True,
    help="Texts by length and hash; or the full texts, which may be harmful.  [default: redact]",
)
@plugin_options
@click.pass_context
def export_command(ctx: click.Context, /, run: Path, output: Path, redact: bool) -> int:
    """Write a run as an archive for a paper's supplement.

    It holds the results, the model and settings, and a line per item, answer and verdict, but no image. `harness
    verify` recomputes the numbers from it, also from a redacted one. Exit codes: 0 written, 3 written but its numbers
    cannot be recomputed from it, 2 an error you can fix.
    """
    load_host(ctx)
    from .export import export

    made = export(run, output, full=not redact)
    say(str(made.output))
    for line in _format_export(made):
        click.echo(plain(line), err=True)
    if not redact:
        click.secho(_WARNING, err=True, bold=True)
    return 0 if made.checked.state == "same" else 3


def _format_export(made: Exported) -> Iterator[str]:
    checked = made.checked
    if checked.state == "same":
        splits = sum(part.records is not None for part in checked.parts)
        yield f"{made.files} files; splits whose numbers can be computed again from them: all {splits}"
        return
    yield f"{made.files} files; not all numbers can be computed again from them:"
    parts = (f"{part.title}: {part.why or part.state}" for part in checked.parts if part.state != "same")
    yield from (f"  {line}" for line in (*checked.faults, checked.why, *parts) if line)
    yield "  see: harness verify"
