"""`harness label`: its flags, and its four uses: a page, a plan, and labels in files, out and in."""

from __future__ import annotations

import json
import sys
import threading
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from harness import HarnessError
from harness.cli.flags import tasks_option
from harness.cli.options import FiniteRange, load_host, plugin_options, show_examples
from harness.text import say

if TYPE_CHECKING:
    from harness.runs.label_plan import LabelPlan
    from harness.runs.stored import StoredRun


_FILE: Final = click.Path(path_type=Path, dir_okay=False)
_GUIDELINE_LIMIT: Final = 1 << 20  # bytes
#: flag -> the uses that it has an effect in
_USES: Final = {
    "n": ("page", "export"),
    "seed": ("page", "export"),
    "judge": ("page", "export", "plan"),
    "person": ("page", "import"),
    "guideline": ("page", "export"),
    "half_width": ("plan",),
    "port": ("page",),
    "no_browser": ("page",),
}


@click.command(
    "label",
    epilog=show_examples(
        "harness label runs/base --as anna",
        "harness label runs/base --plan --half-width 5",
        "harness label 'runs/*' --as anna --no-browser",
    ),
)
@click.argument("runs", type=click.Path(path_type=Path, file_okay=False), nargs=-1, required=True, metavar="RUN…")
@click.option("--as", "person", default="", metavar="NAME", help="Who labels; the judge is human-NAME.")
@tasks_option("Only these of the runs' tasks.")
@click.option(
    "--n",
    type=click.IntRange(1),
    show_default="100, or as drawn before",
    metavar="N",
    help="Draw N answers of each split, equally from each label of the judge.",
)
@click.option("--seed", type=int, show_default="0, or as drawn before", metavar="N", help="Seed of the draw.")
@click.option(
    "--judge",
    default="",
    show_default="that of the draw, or the primary one",
    metavar="NAME",
    help="Draw by the labels of this judge: an id or a rubric.",
)
@click.option("--guideline", type=_FILE, metavar="FILE", help="Show this text instead of the rubrics' guidelines.")
@click.option("--plan", is_flag=True, help="Only say how many labels --half-width needs.")
@click.option(
    "--half-width",
    type=FiniteRange(0, 50, min_open=True),
    default=3.0,
    show_default=True,
    metavar="POINTS",
    help="With --plan: half the width of the interval, in percent points.",
)
@click.option(
    "--export", type=_FILE, metavar="FILE", help="Write the answers to FILE.csv, or FILE.json for Label Studio."
)
@click.option("--import", "labels", type=_FILE, metavar="FILE", help="Import labels from FILE.csv or FILE.json.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default="any free one", help="Port of the page.")
@click.option("--no-browser", is_flag=True, help="Only print the address; open no browser.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON at the end.")
@plugin_options
@click.pass_context
def command(ctx: click.Context, /, runs: tuple[Path, ...], **given: Any) -> int:
    """Let people label answers that are drawn at random, so that their labels correct the judge's numbers.

    Serves a page on 127.0.0.1 until Finish or Ctrl-C; its address, with the token of this start, is the first line of
    stdout. The judge's verdict is hidden until the next answer is labelled. At the end each run's results are computed
    again. Exit codes: 0 done, 2 an error you can fix, 3 a label does not count or a task could not be scored.
    """
    use = _find_use(ctx, given)
    from harness.runs.state import list_run_folders
    from harness.runs.stored import open_run

    folders = list_run_folders(runs)
    if (len(runs) > 1 or len(folders) > 1) and use in ("export", "import"):
        raise click.UsageError(f"--{use} takes one run: the same items stand in several")
    load_host(ctx)
    opened = [open_run(folder, given["tasks"]) for folder in folders]
    if use == "plan":
        _plan(opened, given)
        return 0
    if use == "export":
        _export(opened[0], given)
        return 0
    from harness.extras import check_modules

    from .session import SCHEMA, import_labels, label_runs, print_labelled

    again = ("harness", *sys.argv[1:])
    if use == "import":
        found = [import_labels(opened[0], given["labels"], given["person"], command=again)]
    else:
        check_modules("starlette", "uvicorn", extras=("serve",), by="harness label")  # before anything is drawn
        text = _read_guideline(given["guideline"])

        def announce(url: str) -> None:
            click.echo(url, err=given["as_json"])
            click.echo("Finish on the page, or Ctrl-C here, ends it; each label is saved at once", err=True)
            if not given["no_browser"]:
                threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()  # some browsers block

        found = label_runs(
            opened,
            given["person"],
            n=given["n"],
            seed=given["seed"],
            judge=given["judge"],
            guideline=text,
            port=given["port"],
            ready=announce,
            command=again,
        )
    if given["as_json"]:
        document = {"schema": SCHEMA, "runs": [each.as_json() for each in found]}
        click.echo(json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False))
    print_labelled(found, quiet=given["as_json"])
    return 3 if any(each.problems for each in found) else 0


def _find_use(ctx: click.Context, given: dict[str, Any]) -> str:
    """What the command is used for. Refuses flags that have no effect with the others."""
    uses = [name for name, key in (("plan", "plan"), ("export", "export"), ("import", "labels")) if given[key]]
    if len(uses) > 1:
        raise click.UsageError(f"--{uses[0]} and --{uses[1]} cannot be given together")
    use = uses[0] if uses else "page"
    source = click.core.ParameterSource.COMMANDLINE
    flags = {"person": "as"}
    for name, meant in _USES.items():
        if use not in meant and ctx.get_parameter_source(name) is source:
            flag = flags.get(name, name).replace("_", "-")
            places = ["the page" if each == "page" else f"--{each}" for each in meant]
            belongs = f"it belongs to {' and '.join(places)}"
            if not uses:
                raise click.UsageError(f"--{flag} has no effect on the page: {belongs}")
            without = f", which opens without --{use}" if "page" in meant else ""
            raise click.UsageError(f"--{flag} has no effect with --{use}: {belongs}{without}")
    if use == "export" and given["as_json"]:
        raise click.UsageError("--json has no effect with --export")
    if use in ("page", "import") and not given["person"]:
        raise click.UsageError("--as NAME is needed: whose labels are they?")
    for key, flag in (("export", "export"), ("labels", "import")):
        if given[key] and given[key].suffix.lower() not in (".csv", ".json"):
            raise click.UsageError(f"--{flag} {given[key].name}: the name must end in .csv or .json")
    return use


def _read_guideline(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        with file.open("rb") as stream:
            data = stream.read(_GUIDELINE_LIMIT + 1)
        text = data.decode("utf-8-sig").strip()
    except OSError as error:
        raise HarnessError(f"cannot read the guideline: {error.strerror}", where=str(file)) from None
    except UnicodeDecodeError:
        raise HarnessError("the guideline is not UTF-8", where=str(file), remedy="save it as UTF-8") from None
    if not text or len(data) > _GUIDELINE_LIMIT:
        what = "is empty" if not text else f"is larger than {_GUIDELINE_LIMIT >> 20} MiB"
        raise HarnessError(f"the guideline {what}", where=str(file), remedy="give a text for people to read")
    return text


def _export(run: StoredRun, given: dict[str, Any]) -> None:
    from harness.board.corrected import count_things
    from harness.runs.label_entry import refresh_results
    from harness.runs.label_plan import explain_uncorrected
    from harness.runs.label_sheets import write_sheet
    from harness.runs.labelling import draw_run, list_label_items

    file: Path = given["export"]
    guideline = _read_guideline(given["guideline"])
    if guideline and file.suffix.lower() == ".csv":
        raise click.UsageError("--guideline has no effect with a .csv file")
    if file.exists():  # before anything is drawn
        raise HarnessError("the file already exists", where=str(file), remedy="give another name")
    drawn = draw_run(run, n=given["n"], seed=given["seed"], judge=given["judge"])
    refresh_results(run, command=("harness", *sys.argv[1:]))
    for each in drawn:
        say(f"{each.plan.title}: {count_things(len(each.items), 'answer')}", err=True)
        if why := explain_uncorrected(each.plan):
            say(f"note: {each.plan.title}: {why}", err=True)
    fill = "fill in the column `label`"
    if file.suffix.lower() == ".csv":
        write_sheet(run, file, {each.plan.title: each.items for each in drawn})
    else:
        from .label_studio import write_tasks

        written = write_tasks(file, list_label_items(run, drawn, guideline=guideline))
        for note in written.notes:
            say(f"note: {note}", err=True)
        say(f"labelling interface: {written.interface}", err=True)
        fill = "label it in Label Studio, export JSON or JSON-MIN"
    say(f"wrote {file}: {fill}, then", err=True)
    again = file if file.suffix.lower() == ".csv" else "EXPORTED.json"  # what Label Studio exports is another file
    say(f"  harness label {run.folder.path} --import {again} --as NAME", err=True)


def _plan(runs: list[StoredRun], given: dict[str, Any]) -> None:
    from harness.runs.label_plan import list_pilots, plan_run

    from .session import list_unentered

    half_width: float = given["half_width"]
    for note in (note for run in runs for note in list_unentered(run)):
        say(f"note: {note}", err=True)
    plans = [(run, plan_run(run, half_width / 100, judge=given["judge"])) for run in runs]
    if given["as_json"]:
        document = {
            "schema": "harness.label_plan/1",
            "runs": [
                {"run": str(run.folder.path), "splits": {each.title: each.as_json() for each in found}}
                for run, found in plans
            ],
        }
        click.echo(json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False))
        return
    for run, found in plans:
        if len(plans) > 1:
            say(str(run.folder.path))
        for each in found:
            for line in describe_plan(each):
                say(line)
        flags = f" --tasks {','.join(given['tasks'])}" if given["tasks"] else ""
        flags += f" --judge {given['judge']}" if given["judge"] else ""
        if pilot := list_pilots(found):
            say(f"  harness label {run.folder.path} --as NAME --n {pilot}{flags}    # the pilot, then plan again")
        elif total := max((each.total for each in found if each.labels < each.total), default=0):
            say(f"  harness label {run.folder.path} --as NAME --n {total}{flags}")


def describe_plan(plan: LabelPlan) -> list[str]:
    """The lines that `--plan` prints of a split."""
    head = f"{plan.title}  {plan.metric} ±{100 * plan.half_width:g} points"
    refused = [f"  labels alone will not help, the number is refused: {plan.refused}"] if plan.refused else []
    if plan.why:
        return [f"{head}: no plan: {plan.why}", *refused]
    expected, best = 100 * (plan.expected or 0), 100 * (plan.best or 0)
    there = f"{plan.labels} are there" + (", which is enough" if plan.labels >= plan.total else "")
    lines = [
        f"{head}: {plan.total} labels in all, {there}",
        f"  expected half width {expected:.1f}, {best:.1f} with every answer labelled",
    ]
    for cell in plan.cells:
        if cell.name in plan.needed:
            needed = plan.needed[cell.name]
            share = f"people say {100 * cell.rate:.0f}%" if cell.judged else "no label"
            lines.append(f"  {cell.name}: {needed} of {cell.of:.0f} answers ({cell.judged:.0f} labelled, {share})")
    return [*lines, *refused]
