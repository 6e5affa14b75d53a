"""The command `harness compare`: its flags and output."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.flags import RunPlace, tasks_option
from harness.cli.options import load_host, plugin_options, show_examples
from harness.errors import HarnessError
from harness.text import say

if TYPE_CHECKING:
    from harness import Comparison

    from .formats import Texts

_FORMATS = {
    "terminal": ".txt",
    "markdown": ".md",
    "html": ".html",
    "latex": ".tex",
    "csv": ".csv",
    "json": ".json",
}
_WITHOUT_ITEMS = {"latex": "LaTeX", "csv": "CSV"}
_LISTED = 5  #: flips of each way, without --show


@click.command(
    "compare",
    epilog=show_examples(
        "harness compare runs/base runs/tuned",
        "harness compare 'runs/base-s*' 'runs/tuned-s*' --output difference.html",
        "harness compare runs/* --group-by seed",
        "harness compare --controls runs/plain runs/drop runs/blank",
    ),
)
@click.argument("runs", type=RunPlace(), nargs=-1, required=True, metavar="A B [C...]")
@tasks_option("Only these; default: all that the runs share.")
@click.option(
    "--group-by",
    default="none",
    show_default=True,
    metavar="KEY",
    help="Make one side of runs that differ in this alone: seed, the name of a model's setting, or none.",
)
@click.option("--by", default="", metavar="NAME", help="Break the main metrics down by category or a tag; exploratory.")
@click.option(
    "--judge",
    default="",
    metavar="ID",
    help="The judge: an id, its rubric, or whole first parts of the id; default: the primary judge.",
)
@click.option(
    "--allow-mismatch",
    is_flag=True,
    help="Compare although task version, settings, data, wording or judge differ; the output says so.",
)
@click.option(
    "--common-errors",
    is_flag=True,
    help="Where people labelled both runs: also the difference if the judge errs alike on both, with tests of that.",
)
@click.option(
    "--controls",
    is_flag=True,
    help="One table: each model's run beside its runs under attacks and controls, in any order.",
)
@click.option(
    "--show",
    type=click.IntRange(0),
    show_default="5; as JSON all",
    metavar="N",
    help="List at most N flips of each way.",
)
@click.option("--reveal", is_flag=True, help="Show the questions and answers of listed flips; may be harmful.")
@click.option(
    "--format",
    "name",
    type=click.Choice(list(_FORMATS)),
    help="Output format.  [default: by --output's suffix, else terminal]",
)
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write to FILE, not stdout."
)
@plugin_options
@click.pass_context
def command(ctx: click.Context, /, runs: tuple[Path, ...], **given: Any) -> int:
    """Compare runs with the first one, item by item.

    Over the items resolved in both: the difference of each metric with its interval, a test of the main ones adjusted
    for their number, the smallest detectable difference, and which items flipped. It asks no model and judges nothing.

    Each of A, B, C is a run folder; or several that differ in a seed alone, as one argument: with commas between them,
    or a pattern in quotes. Their mean is compared.
    """
    output: Path | None = given["output"]
    name = given["name"] or _find_format(output)
    if len(runs) < 2 and not given["controls"]:
        raise click.UsageError("give two runs or more: the baseline, then the others")
    if name in _WITHOUT_ITEMS and (given["reveal"] or given["show"] is not None):
        flag = "reveal" if given["reveal"] else "show"
        raise click.UsageError(f"--{flag} has no effect: {_WITHOUT_ITEMS[name]} lists no items")
    load_host(ctx)
    if given["controls"]:
        return _compare_controls([path for run in runs for path in _list_runs(run)], name, given)
    from harness.runs.comparing.compare import compare

    options = {key: given[key] for key in ("tasks", "by", "judge", "allow_mismatch", "common_errors")}
    group_by = "" if given["group_by"] == "none" else given["group_by"]
    found = compare(*(_list_runs(run) for run in runs), **options, group_by=group_by)
    if name == "terminal" and output is None:
        from .formats import print_terminal

        print_terminal(found, *_load_flips(found, given))
    elif output is None:
        click.echo(_render(found, name, given), nl=False)
    else:
        _write(output, _render(found, name, given))
    changes = [change for each in found.splits for change in each.changes.values()]
    if given["common_errors"] and not any(change.people and change.people.common for change in changes):
        say("note: --common-errors shows nothing: people's labels give no metric a number in both runs", err=True)
    for title, fault in found.unscored.items():
        say(f"note: {title} could not be compared: the task raised {fault}", err=True)
    return 3 if found.unscored else 0


def _compare_controls(runs: list[Path], name: str, given: dict[str, Any]) -> int:
    """Print or write the table of controls."""
    from harness.remote import find_local
    from harness.runs.comparing.controls import compare_controls

    from .controls import print_controls, render_controls

    useless = [flag for flag in ("by", "allow_mismatch", "common_errors", "reveal") if given[flag]]
    useless += ["show"] * (given["show"] is not None) + ["group_by"] * (given["group_by"] != "none")
    if useless:
        raise click.UsageError(f"--{useless[0].replace('_', '-')} has no effect with --controls")
    if name in ("html", "latex"):
        raise click.UsageError(f"--controls has no {name} form: give terminal, markdown, csv or json")
    table = compare_controls([find_local(run) for run in runs], tasks=given["tasks"], judge=given["judge"])
    output: Path | None = given["output"]
    if output is not None:
        _write(output, render_controls(table, name))
    elif name == "terminal":
        print_controls(table)
    else:
        click.echo(render_controls(table, name), nl=False)
    return 0


def _write(output: Path, text: str) -> None:
    from harness.files import atomic_write, report_write_errors

    with report_write_errors(output, what="cannot write the comparison", remedy="give another --output"):
        atomic_write(output, text, sync=False)
    say(f"wrote {output}", err=True)


def _find_format(output: Path | None) -> str:
    """The format that the file's suffix names; `terminal` without one."""
    if output is None or not output.suffix:
        return "terminal"
    by_suffix = {suffix: name for name, suffix in _FORMATS.items()}
    if output.suffix not in by_suffix:
        raise HarnessError(
            f"no format ends with {output.suffix}",
            remedy=f"end --output with {', '.join(sorted(by_suffix))}, or give --format",
        )
    return by_suffix[output.suffix]


def _list_runs(side: Path) -> list[Path]:
    """The runs of one argument: a folder, or several with commas between them or as a pattern."""
    with suppress(OSError):  # many names with commas between are too long for one
        if side.exists():
            return [side]
    from harness.board.results import find_results

    runs: list[Path] = []
    for part in str(side).split(","):
        if any(letter in part for letter in "*?["):
            runs += (path.parent for path in find_results([part]))
        elif part:
            runs.append(Path(part))
    return runs or [side]


def _render(found: Comparison, name: str, given: dict[str, Any]) -> str:
    from .formats import add_texts, load_texts, render_csv, render_latex, render_markdown, render_terminal

    if name == "json":
        show: int | None = given["show"]
        body = add_texts(found.as_json(show), load_texts(found, show) if given["reveal"] else {})
        return json.dumps(body, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    if name == "html":
        from .page import render_html

        return render_html(found, *_load_flips(found, given))
    if name in _WITHOUT_ITEMS:
        return render_latex(found) if name == "latex" else render_csv(found)
    render = render_markdown if name == "markdown" else render_terminal
    return render(found, *_load_flips(found, given))


def _load_flips(found: Comparison, given: dict[str, Any]) -> tuple[Texts, int]:
    """The texts of the listed flips, empty without --reveal; and the number listed."""
    from .formats import load_texts

    show: int = _LISTED if given["show"] is None else given["show"]
    return load_texts(found, show) if given["reveal"] else {}, show
