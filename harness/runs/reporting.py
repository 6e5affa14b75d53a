"""`harness.report(...)`: renders the results of runs. The command `harness report` has the same options.

A report without a format is the table for a terminal, as text. Files are written only where `output` or `figures` says.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from harness import plugins
from harness.board.figure_links import LINKED, link_figures
from harness.board.results import find_results, read_folders, read_results
from harness.contracts import Rendered, Report, Results
from harness.errors import HarnessError
from harness.plugins.host import Host
from harness.runs.run import Run
from harness.runs.task_entries import offer_stored_tasks

TABLE: Final = ".txt"  #: the table for a terminal
BIBTEX: Final = ".bib"  #: the ending of a bibliography
_MATRIX: Final = "markdown"  #: the format of a paper table that is also readable on a terminal


def report(
    runs: Run | Path | str | Sequence[Run | Path | str],
    format: str = "",  # noqa: A002 - the flag's name
    *,
    output: Path | str | None = None,
    figures: Path | str | None = None,
    reveal: bool = False,
    group_by: str = "seed",
    suites: Sequence[str] = (),
    bibtex: bool = False,
    matrix: bool = False,
    columns: Path | str | None = None,
    allow_mismatch: bool = False,
    tell: Callable[[str], None] | None = None,
) -> Rendered:
    """Render the results of one or more runs.

    Args:
        runs: runs, run folders, results.json files or patterns such as `runs/*`; one or several.
        format: the report's name, such as `html`; by default that of the ending of `output`, else a table as text.
        output: the file to write; a folder for a report of several files.
        figures: a folder for the report's figures; Markdown and LaTeX link them.
        reveal: in a format with samples, show their texts and images, which may be harmful.
        group_by: average runs that differ in this alone: `seed`, the name of a model's setting, or `none`.
        suites: names of suites whose tables stand together, also for runs that were not asked as such.
        bibtex: instead of a report, BibTeX of each benchmark, judge and published number in it.
        matrix: one table for a paper instead: models x benchmarks.
        columns: a file or the name of a template with the columns and rows of that table.
        allow_mismatch: mark numbers of that table that do not compare, instead of refusing it.
        tell: receives what the reader should know, such as runs that could not be averaged; None: nobody.

    Returns:
        The text or the bytes of the report, or file name -> bytes if it has several files.

    Raises:
        HarnessError: a run has no results, or the options do not fit together.
        UnknownName: there is no such format.
    """
    host = plugins.current()
    name = format or None
    target = None if output is None else Path(output)
    drawing = None if figures is None else Path(figures)
    wants_bibtex = bibtex or (name is None and target is not None and target.suffix == BIBTEX)
    paper = matrix or columns is not None
    if allow_mismatch and not paper:
        raise HarnessError("allow_mismatch is for the paper table", remedy="give matrix=True too")
    if paper and (drawing is not None or reveal or bibtex or suites):
        other = "bibtex" if bibtex else "figures" if drawing is not None else "reveal" if reveal else "suites"
        raise HarnessError(
            f"the paper table is one table and no report, so {other} has no effect", remedy="leave it out"
        )
    if wants_bibtex and (name is not None or drawing is not None or reveal or suites):
        other = "format" if name is not None else "figures" if drawing is not None else "reveal" if reveal else "suites"
        raise HarnessError(f"a bibliography is no report, so {other} has no effect", remedy="leave it out")
    places = [runs] if isinstance(runs, Run | Path | str) else list(runs)
    paths = find_runs(str(each.folder if isinstance(each, Run) else each) for each in places)
    if not paths:
        raise HarnessError("there is no run to report", remedy="give one run or several")
    if paper:
        results = load_results(paths, group_by, tell)
        wanted = None if columns is None else str(columns)
        rendered = render_matrix(host, name, target, results, columns=wanted, allow_mismatch=allow_mismatch)
    elif wants_bibtex:
        rendered = render_bibliography(host, paths)
    else:
        name = name or find_format(host, target)
        rendered = (
            render_table(paths, group_by, drawing, suites=suites, reveal=reveal, tell=tell)
            if name is None
            else render_report(host, name, paths, group_by, target, drawing, suites=suites, reveal=reveal, tell=tell)
        )
    if target is not None:
        write_report(rendered, target)
    return rendered


def find_runs(places: Iterable[str]) -> list[Path]:
    """The results.json of each place; the tasks of the task files that these runs were made with are offered.

    So a report cites their papers as those of installed tasks. Raises as `harness.board.results.find_results` does.
    """
    found = find_results(places)
    for path in found:
        offer_stored_tasks(path.parent)
    return found


def load_results(
    paths: Sequence[Path], group_by: str, tell: Callable[[str], None] | None = None, suites: Sequence[str] = ()
) -> Sequence[Results]:
    """The results to render, runs that differ in a seed alone as one; `tell` gets what could not be averaged.

    Their boards stand by `suites`, names of those that are offered, and by what they were asked as.
    """
    host = plugins.current()
    named = [host.suite(name) for name in suites]
    results: Sequence[Results] = read_folders(paths)
    if group_by != "none" and len(results) > 1:
        from harness.runs.seed_groups import group_runs

        grouped = group_runs(paths, results, group_by)
        if tell is not None:
            for note in grouped.notes:
                tell(note)
        results = grouped.results
    if not named:
        return results
    from harness.board.suites import name_suites

    found = name_suites(results, named)
    for suite in named:
        if tell is not None and not any(suite.name in (result.get("suites") or {}) for result in found):
            tell(f"no run has a split of the suite {suite.name}")
    return found


def find_format(host: Host, output: Path | None) -> str | None:
    """The format of the only report that writes this suffix; None for the table of a terminal.

    Raises:
        HarnessError: none or several have this suffix; the remedy lists them.
    """
    if output is None or output.suffix in ("", TABLE):
        return None
    suffix = output.suffix
    offered: dict[str, list[str]] = {TABLE: [], BIBTEX: []}
    for each, _ in host.offers("reports"):
        if each.suffix:
            offered.setdefault(each.suffix, []).append(each.name)
    named = offered.get(suffix, ())
    if len(named) == 1:
        return named[0]
    if named:
        raise HarnessError(f"several formats end with {suffix}", remedy=f"give --format {' or '.join(named)}")
    raise HarnessError(
        f"no format ends with {suffix}", remedy=f"end --output with {', '.join(sorted(offered))}, or give --format"
    )


def check_table(figures: Path | None, *, reveal: bool) -> None:
    """Raise HarnessError for what the table of a terminal does not have."""
    if figures is not None or reveal:
        what = "figures" if figures is not None else "reveal"
        raise HarnessError(f"--{what} needs a --format that has them", remedy="add --format html, or leave it out")


def render_table(
    paths: Sequence[Path],
    group_by: str,
    figures: Path | None,
    *,
    suites: Sequence[str] = (),
    reveal: bool,
    tell: Callable[[str], None] | None,
) -> str:
    """The table of a terminal as text. Raises HarnessError for options that it does not have."""
    from harness.board.tables import render_report_table

    check_table(figures, reveal=reveal)
    return render_report_table(load_results(paths, group_by, tell, suites))


def render_report(
    host: Host,
    name: str,
    paths: Sequence[Path],
    group_by: str,
    output: Path | None,
    figures: Path | None,
    *,
    suites: Sequence[str] = (),
    reveal: bool,
    tell: Callable[[str], None] | None = None,
) -> Rendered:
    """Render a report by its name, and write its figures.

    Args:
        host: the plugins.
        name: the report's name.
        paths: results.json files.
        group_by: as in `report`.
        output: where the report will be written, so that it can link its figures.
        figures: the folder of the figures; None for none.
        suites: as in `report`.
        reveal: as in `report`.
        tell: as in `report`.
    """
    chosen = host.report(name)
    draw = None if figures is None else _find_drawing(host, chosen)
    if reveal and chosen.samples is None:
        raise HarnessError(
            f"report {chosen.name} has no samples, so --reveal does nothing", remedy="leave --reveal out"
        )
    if suites and chosen.samples is not None:
        raise HarnessError(f"report {chosen.name} has no tables, so --suites does nothing", remedy="leave --suites out")
    if chosen.samples is not None:
        for path in paths:
            if not (path.parent / "run.json").is_file():
                raise HarnessError(
                    "this format shows samples, but these results have no run folder",
                    where=str(path),
                    remedy="give the folder of a run",
                )
        rendered = chosen.samples([path.parent for path in paths], reveal)
    else:
        assert chosen.render is not None
        rendered = chosen.render(load_results(paths, group_by, tell, suites))
    if draw is None or figures is None:
        return rendered
    drawn = draw(load_results(paths, group_by, tell))
    if isinstance(rendered, str):
        where = os.path.relpath(figures, Path() if output is None else output.parent)
        rendered += link_figures(drawn, where.replace(os.sep, "/"), chosen.suffix)
    write_report(drawn, figures)
    return rendered


def _find_drawing(host: Host, chosen: Report) -> Callable[[Sequence[Results]], Mapping[str, bytes]]:
    """What draws the figures of a report: itself, or for a text that can link them the report that has them."""
    having: dict[str, Callable[[Sequence[Results]], Mapping[str, bytes]]] = {}
    for each, _ in host.offers("reports"):
        if each.figures is not None:
            having[each.name] = each.figures
    if chosen.name in having:
        return having[chosen.name]
    if chosen.suffix in LINKED and chosen.render is not None and having:
        return next(iter(having.values()))
    linking = [each.name for each, _ in host.offers("reports") if each.suffix in LINKED and each.render is not None]
    names = " or ".join(sorted({*having, *linking}))
    raise HarnessError(f"report {chosen.name} has no figures", remedy=f"give --format {names}, which have them")


def render_bibliography(host: Host, paths: Sequence[Path]) -> str:
    """BibTeX of each benchmark, judge and published number in some results."""
    from harness.board import bibtex

    return bibtex.render_bibliography(
        [read_results(path) for path in paths],
        tasks=[task for task, _ in host.offers("tasks")],
        judges=[judge for judge, _ in host.offers("judges")],
        suites=[suite for suite, _ in host.offers("suites")],
    )


def render_matrix(
    host: Host,
    name: str | None,
    output: Path | None,
    results: Sequence[Results],
    *,
    columns: str | None,
    allow_mismatch: bool,
) -> Rendered:
    """The paper table in the named format, in that of the output's ending, or as Markdown."""
    from harness.board.matrix import build_matrix
    from harness.board.matrix_template import find_template, parse_template

    able = {each.name: each for each, _ in host.offers("reports") if each.matrix is not None}
    if name is None and output is not None and output.suffix:
        named = [each.name for each in able.values() if each.suffix == output.suffix]
        name = named[0] if len(named) == 1 else None
        if name is None:
            remedy = f"give --format: {', '.join(able)}"
            raise HarnessError("no format with a paper table has this ending", where=output.name, remedy=remedy)
    chosen = host.report(name or _MATRIX)
    if chosen.matrix is None:
        raise HarnessError(f"report {chosen.name} has no paper table", remedy=f"give --format {', '.join(able)}")
    template = None if columns is None else parse_template(*find_template(columns))
    made = build_matrix(
        results,
        template,
        tasks=[task for task, _ in host.offers("tasks")],
        suites=[suite.name for suite, _ in host.offers("suites")],
        allow_mismatch=allow_mismatch,
    )
    return chosen.matrix(made)


def write_report(rendered: Rendered, output: Path) -> None:
    """Write a report to its file or folder. Raises HarnessError if it cannot be written."""
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
