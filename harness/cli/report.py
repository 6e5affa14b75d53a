"""`harness report RUNS… --format NAME`: the leaderboard of one or more runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.errors import HarnessError

from .matrix import MatrixOptions, RunsArgument, matrix_options
from .options import load_host, plugin_options, show_examples
from .stdout import results_stream, show, tell

if TYPE_CHECKING:
    from harness.contracts import Rendered


@click.command(
    help="Render the results of one or more runs.",
    epilog=show_examples(
        "harness report 'runs/*'",
        "harness report runs/base runs/tuned --output leaderboard.html",
        "harness report 'runs/*' --format markdown --group-by none",
    ),
)
@click.argument("runs", cls=RunsArgument, nargs=-1, required=True, metavar="RUNS...")
@click.option(
    "--format",
    "name",
    metavar="NAME",
    help="Report to render; default: by the ending of --output, else a table for the terminal.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="File to write; a folder for a report of several files. Default: stdout.",
)
@click.option(
    "--figures",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write the report's figures there too, as SVG and PNG; Markdown and LaTeX link them.",
)
@click.option(
    "--reveal/--redact",
    default=False,
    help="In a format with samples: show their texts and images, which may be harmful.  [default: redact]",
)
@click.option(
    "--group-by",
    default="seed",
    show_default=True,
    metavar="KEY",
    help="Average runs that differ in this alone: seed, the name of a model's setting, or none.",
)
@click.option(
    "--suites",
    metavar="NAMES",
    default="",
    help="Set the tables of these suites together, also for runs that were not asked as such.",
)
@click.option(
    "--bibtex",
    is_flag=True,
    help="Instead of a report, write BibTeX of each benchmark, judge and published number in it.",
)
@matrix_options
@plugin_options
def command(
    runs: tuple[str, ...],
    name: str | None,
    output: Path | None,
    figures: Path | None,
    reveal: bool,
    group_by: str,
    suites: str,
    bibtex: bool,
    matrix: MatrixOptions,
) -> None:
    """Render results; RUNS are run folders, results.json files or patterns."""
    from harness.runs import reporting

    named = tuple(name.strip() for name in suites.split(",") if name.strip())
    if named:
        from .config import with_default_suites

        host = with_default_suites(click.get_current_context())
    else:
        host = load_host()
    if not runs:
        show(matrix.print_template(()), nl=False, raw=True)
        return
    if matrix:
        if figures is not None or reveal or bibtex or named:
            flag = "bibtex" if bibtex else "figures" if figures is not None else "reveal" if reveal else "suites"
            raise click.UsageError(f"--matrix writes one table and no report: leave out --{flag}")
        found = reporting.load_results(reporting.find_runs(runs), group_by, tell)
        _deliver(matrix.render(host, name, output, found), name or "", output)
        return
    if bibtex or (name is None and output is not None and output.suffix == reporting.BIBTEX):
        if name is not None or figures is not None or reveal or named:
            flag = (
                "format" if name is not None else "figures" if figures is not None else "reveal" if reveal else "suites"
            )
            raise click.UsageError(f"--bibtex writes a bibliography and no report: leave out --{flag}")
        _deliver(reporting.render_bibliography(host, reporting.find_runs(runs)), "", output)
        return
    name = name or reporting.find_format(host, output)
    paths = reporting.find_runs(runs)
    if name is None:
        try:
            reporting.check_table(figures, reveal=reveal)
        except HarnessError as error:
            raise click.UsageError(error.what) from None
        from harness.board.tables import print_report_table, render_report_table

        results = reporting.load_results(paths, group_by, tell, named)
        if output is None:
            print_report_table(results, results_stream())
        else:
            _deliver(render_report_table(results), "", output)
        return
    rendered = reporting.render_report(
        host, name, paths, group_by, output, figures, suites=named, reveal=reveal, tell=tell
    )
    _deliver(rendered, name, output)
    if figures is not None:
        tell(f"wrote {figures}")


def _deliver(rendered: Rendered, name: str, output: Path | None) -> None:
    """Write a report to its file or folder, or print it."""
    if output is not None:
        from harness.runs.reporting import write_report

        write_report(rendered, output)
        tell(f"wrote {output}")
    elif isinstance(rendered, str):
        show(rendered, nl=False, raw=True)
    else:
        kind, where = ("no text", "FILE") if isinstance(rendered, bytes) else ("several files", "FOLDER")
        raise HarnessError(f"report {name} is {kind}", remedy=f"give --output {where}")
