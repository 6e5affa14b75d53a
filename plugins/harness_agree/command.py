"""`harness agree`: its flags, and its three uses: compare judges, export a sheet, import a filled one."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.flags import Names, tasks_option
from harness.cli.options import load_host, plugin_options, show_examples
from harness.text import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.store.reader import Answer


_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(
    "agree", epilog=show_examples("harness agree runs/base", "harness agree runs/base --export sheet.csv --sample 100")
)
@click.argument("runs", type=click.Path(path_type=Path, file_okay=False), nargs=-1, required=True, metavar="RUN…")
@tasks_option("Only these of the runs' tasks.")
@click.option(
    "--judges", type=Names(), default="", metavar="NAME[,…]", help="Only these judges: an id, or all of a rubric."
)
@click.option(
    "--show",
    type=click.IntRange(0),
    show_default="5; with --json all",
    metavar="N",
    help="List at most N answers of each split on which judges differ.",
)
@click.option("--reveal", is_flag=True, help="Show their questions, answers and the judges' reasons; may be harmful.")
@click.option("--export", type=_FILE, metavar="FILE.csv", help="Write a sheet for a person to label the answers.")
@click.option("--sample", type=click.IntRange(1), metavar="N", help="With --export: N answers of each split.")
@click.option("--seed", type=int, default=0, show_default=True, help="With --sample: the random seed.")
@click.option("--import", "labels", type=_FILE, metavar="FILE.csv", help="Import a person's labels as one more judge.")
@click.option("--as", "person", default="", metavar="NAME", help="With --import: the person; the judge is human-NAME.")
@click.option("--primary", is_flag=True, help="With --import: make it the judge whose numbers stand first.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@plugin_options
@click.pass_context
def command(ctx: click.Context, /, runs: tuple[Path, ...], **given: Any) -> int:
    """Show how far the judges of a run agree, people included.

    For each split: each pair's labels, agreement beyond chance with intervals, the main metric under each judge, each
    judge against people, and the answers on which they differ. Several runs are pooled split by split. It asks no model
    and judges nothing.
    """
    if given["export"] and given["labels"]:
        raise click.UsageError("--export and --import cannot be given together")
    if bool(given["labels"]) != bool(given["person"]):
        raise click.UsageError("--import FILE.csv and --as NAME need each other")
    # a flag that has no effect with the others is refused, so that nobody believes it had one
    source = click.core.ParameterSource.COMMANDLINE
    chosen = {name for name in given if ctx.get_parameter_source(name) is source}
    for name, needed in (("sample", "export"), ("seed", "sample"), ("primary", "labels")):
        if name in chosen and needed not in chosen:
            raise click.UsageError(f"--{name} needs --{'import' if needed == 'labels' else needed}")
    if (given["export"] or given["labels"]) and (idle := chosen & {"judges", "show", "reveal", "as_json"}):
        raise click.UsageError(f"--{min(idle).removeprefix('as_')} has no effect with --export or --import")
    from harness.runs.state import list_run_folders

    first, *others = runs = tuple(list_run_folders(runs))
    if others and (given["export"] or given["labels"]):
        flag = "--export" if given["export"] else "--import"
        raise click.UsageError(f"{flag} takes one run: a sheet holds the answers of one model")
    load_host(ctx)
    if given["labels"]:
        return _import(first, given)
    act = _export if given["export"] else _agree
    act(runs, given)
    return 0


def _agree(folders: Sequence[Path], given: dict[str, Any]) -> None:
    from harness.runs.agreement import measure_runs, open_runs
    from harness.runs.agreement_json import agreement_as_json
    from harness.runs.stored import check_two_judges

    from .tables import SHOWN, print_tables

    runs = open_runs(folders, given["tasks"])
    found = measure_runs(runs, given["judges"])
    check_two_judges(runs, [each.judges for each in found])
    most: int | None = given["show"]
    listed = SHOWN if most is None and not given["as_json"] else most
    texts: dict[tuple[str, str], Answer] = {}
    if given["reveal"]:  # questions and answers of the listed items
        wanted = {(each.run, each.record.record.item) for split in found for each in split.differing[:listed]}
        for run in runs:
            path = str(run.folder.path)
            every = (each for plan in run.plans for each in run.answers(plan.title))
            texts |= {(path, each.item): each for each in every if (path, each.item) in wanted}
    if given["as_json"]:
        models = {str(run.folder.path): run.file.model.ref for run in runs}
        lines = agreement_as_json(models, found, texts, most)
        click.echo(json.dumps(lines, ensure_ascii=False, indent=1, allow_nan=False))
    else:
        print_tables(found, texts, most, runs=len(runs))


def _export(folders: Sequence[Path], given: dict[str, Any]) -> None:
    from harness.board.corrected import count_things
    from harness.runs.label_sheets import export_sheet
    from harness.runs.stored import open_run

    stored = open_run(folders[0], given["tasks"])
    written = export_sheet(stored, given["export"], sample=given["sample"], seed=given["seed"])
    for title, count in written.items():
        say(f"{title}: {count_things(count, 'answer')}", err=True)
    say(f"wrote {given['export']}: fill in the column `label`, then", err=True)
    say(f"  harness agree {stored.folder.path} --import {given['export']} --as NAME", err=True)


def _import(folder: Path, given: dict[str, Any]) -> int:
    from harness.runs.additions import enter_labels, person_id
    from harness.runs.label_sheets import read_sheet
    from harness.runs.stored import open_run

    stored = open_run(folder, given["tasks"])
    judge = person_id(given["person"], stored.file)
    sheet = read_sheet(stored, given["labels"])
    command = ("harness", *sys.argv[1:])
    done = enter_labels(stored.folder, judge, sheet.labels, sheet.plans, command=command, primary=given["primary"])
    counts = f"{done.new} new, {done.changed} changed, {done.same} as before"
    say(f"{judge}: {len(sheet.labels)} labels ({counts}); rows without one: {sheet.blank}", err=True)
    for display, fault in done.computed.unscored.items():
        say(f"note: {display} could not be scored: the task raised {fault}", err=True)
    for note in done.computed.unread:
        say(f"note: {note}", err=True)
    say(f"results: {stored.folder.path / 'results.json'}", err=True)
    return 3 if done.computed.unscored or done.computed.unread else 0
