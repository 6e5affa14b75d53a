"""`harness report RUNS… --format NAME`: the leaderboard of one or more runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.errors import HarnessError

from .matrix import MatrixOptions, RunsArgument, matrix_options
from .options import load_host, plugin_options, show_examples
from .stdout import results_stream, show, tell

if TYPE_CHECKING:
    from harness.contracts import Rendered, Report, Results
    from harness.plugins.host import Host

_TABLE = ".txt"  #: the table for a terminal
_BIBTEX = ".bib"  #: what --bibtex writes


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
    bibtex: bool,
    matrix: MatrixOptions,
) -> None:
    """Render results; RUNS are run folders, results.json files or patterns."""
    from harness.board.results import find_results

    host = load_host()
    if not runs:
        show(matrix.print_template(()), nl=False, raw=True)
        return
    if matrix:
        if figures is not None or reveal or bibtex:
            flag = "bibtex" if bibtex else "figures" if figures is not None else "reveal"
            raise click.UsageError(f"--matrix writes one table and no report: leave out --{flag}")
        found = _load_results(find_results(runs), group_by)
        _deliver(matrix.render(host, name, output, found), name or "", output)
        return
    if bibtex or (name is None and output is not None and output.suffix == _BIBTEX):
        if name is not None or figures is not None or reveal:
            flag = "format" if name is not None else "figures" if figures is not None else "reveal"
            raise click.UsageError(f"--bibtex writes a bibliography and no report: leave out --{flag}")
        _write_bibliography(host, find_results(runs), output)
        return
    if name is None and output is not None and output.suffix not in ("", _TABLE):
        name = _find_format(host, output.suffix)
    paths = find_results(runs)
    if name is None:
        if figures is not None or reveal:
            raise click.UsageError(
                f"--{'figures' if figures else 'reveal'} needs a --format that has them, such as html"
            )
        from harness.board.tables import print_report_table, render_report_table

        results = _load_results(paths, group_by)
        if output is None:
            print_report_table(results, results_stream())
        else:
            _write(render_report_table(results), output)
        return
    report = host.report(name)
    draw = None if figures is None else _find_drawing(host, report)
    if reveal and report.samples is None:
        raise HarnessError(f"report {report.name} has no samples, so --reveal does nothing")
    if report.samples is not None:
        rendered = report.samples([_find_run(path) for path in paths], reveal)
    else:
        assert report.render is not None
        rendered = report.render(_load_results(paths, group_by))
    drawn: Mapping[str, bytes] = {} if draw is None else draw(_load_results(paths, group_by))
    if figures is not None and isinstance(rendered, str):
        from .figure_links import link_figures

        where = os.path.relpath(figures, Path() if output is None else output.parent)
        rendered += link_figures(drawn, where.replace(os.sep, "/"), report.suffix)
    _deliver(rendered, name, output)
    if figures is not None:
        _write(drawn, figures)


def _deliver(rendered: Rendered, name: str, output: Path | None) -> None:
    """Write a report to its file or folder, or print it."""
    if output is not None:
        _write(rendered, output)
    elif isinstance(rendered, str):
        show(rendered, nl=False, raw=True)
    else:
        kind, where = ("no text", "FILE") if isinstance(rendered, bytes) else ("several files", "FOLDER")
        raise HarnessError(f"report {name} is {kind}", remedy=f"give --output {where}")


def _find_drawing(host: Host, report: Report) -> Callable[[Sequence[Results]], Mapping[str, bytes]]:
    """What draws the figures of a report: itself, or for a text that can link them the report that has them."""
    from .figure_links import LINKED

    having: dict[str, Callable[[Sequence[Results]], Mapping[str, bytes]]] = {}
    for each, _ in host.offers("reports"):
        if each.figures is not None:
            having[each.name] = each.figures
    if report.name in having:
        return having[report.name]
    if report.suffix in LINKED and report.render is not None and having:
        return next(iter(having.values()))
    linking = [each.name for each, _ in host.offers("reports") if each.suffix in LINKED and each.render is not None]
    names = " or ".join(sorted({*having, *linking}))
    raise HarnessError(f"report {report.name} has no figures", remedy=f"give --format {names}, which have them")


def _write_bibliography(host: Host, paths: Sequence[Path], output: Path | None) -> None:
    from harness.board.bibtex import render_bibliography
    from harness.board.results import read_results

    text = render_bibliography(
        [read_results(path) for path in paths],
        tasks=[task for task, _ in host.offers("tasks")],
        judges=[judge for judge, _ in host.offers("judges")],
        suites=[suite for suite, _ in host.offers("suites")],
    )
    if output is None:
        show(text, nl=False, raw=True)
    else:
        _write(text, output)


def _find_format(host: Host, suffix: str) -> str:
    """The format of the only report that writes this suffix. Raises HarnessError with the list where there is none."""
    offered: dict[str, list[str]] = {_TABLE: [], _BIBTEX: []}
    for report, _ in host.offers("reports"):
        if report.suffix:
            offered.setdefault(report.suffix, []).append(report.name)
    named = offered.get(suffix, ())
    if len(named) == 1:
        return named[0]
    if named:
        raise HarnessError(f"several formats end with {suffix}", remedy=f"give --format {' or '.join(named)}")
    raise HarnessError(
        f"no format ends with {suffix}", remedy=f"end --output with {', '.join(sorted(offered))}, or give --format"
    )


def _load_results(paths: Sequence[Path], group_by: str) -> Sequence[Results]:
    """The results to render, runs that differ in a seed alone as one."""
    from harness.board.results import read_results

    results = [read_results(path) for path in paths]
    if group_by == "none" or len(results) < 2:
        return results
    from harness.runs.seed_groups import group_runs

    grouped = group_runs(paths, results, group_by)
    for note in grouped.notes:
        tell(note)
    return grouped.results


def _find_run(path: Path) -> Path:
    """The run folder of some results. Raises HarnessError for results without their run."""
    if not (path.parent / "run.json").is_file():
        raise HarnessError(
            "this format shows samples, but these results have no run folder",
            where=str(path),
            remedy="give the folder of a run",
        )
    return path.parent


def _write(rendered: Rendered, output: Path) -> None:
    if isinstance(rendered, Mapping):
        files = {output / name: data for name, data in rendered.items()}
    else:
        files = {output: rendered.encode() if isinstance(rendered, str) else rendered}
    try:
        for path, data in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    except OSError as error:
        raise HarnessError("cannot write the report", where=str(error), remedy="give another --output") from None
    tell(f"wrote {output}")
