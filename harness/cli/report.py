"""`harness report RUNS… --format NAME`: the leaderboard of one or more runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.errors import HarnessError

from .options import loaded, plugin_options
from .stdout import results_stream, show, tell

if TYPE_CHECKING:
    from harness.contracts import Rendered, Report


@click.command(help="Render the results of one or more runs.")
@click.argument("runs", nargs=-1, required=True, metavar="RUNS...")
@click.option(
    "--format",
    "name",
    metavar="NAME",
    help="Report to render. Without it, the one that --output ends with, else a table for the terminal.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where to write it; a folder for a report of several files. Without it, stdout.",
)
@click.option(
    "--figures",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write the report's figures there too, as SVG and PNG.",
)
@click.option(
    "--reveal/--redact",
    default=False,
    help="In a format that holds samples: show their texts and images, which may be harmful.  [default: redact]",
)
@plugin_options
def command(runs: tuple[str, ...], name: str | None, output: Path | None, figures: Path | None, reveal: bool) -> None:
    """Render results; RUNS are run folders, results.json files or patterns."""
    from harness.board.results import find_results

    host = loaded()
    name = name or _meant([report for report, _ in host.offers("reports")], output)
    paths = find_results(runs)
    if name is None:
        _table(paths, output, figures, reveal=reveal)
        return
    report = host.report(name)
    _check(report, figures, reveal=reveal)
    _deliver(name, _rendered(report, paths, reveal=reveal), output)
    if figures is not None and report.figures is not None:
        _write(report.figures(_read(paths)), figures)


def _meant(offered: Sequence[Report], output: Path | None) -> str | None:
    """The report whose files end as the output does; None where that does not say."""
    ending = [report.name for report in offered if output is not None and report.suffix == output.suffix != ""]
    return ending[0] if len(ending) == 1 else None


def _table(paths: Sequence[Path], output: Path | None, figures: Path | None, *, reveal: bool) -> None:
    from harness.board.tables import print_report_table, render_report_table

    if figures is not None or reveal:
        raise click.UsageError(f"--{'figures' if figures else 'reveal'} needs a --format that has them, such as html")
    if output is None:
        print_report_table(_read(paths), results_stream())
    else:
        _write(render_report_table(_read(paths)), output)


def _read(paths: Sequence[Path]) -> list[Mapping[str, object]]:
    from harness.board.results import read_results

    return [read_results(path) for path in paths]


def _check(report: Report, figures: Path | None, *, reveal: bool) -> None:
    """Flags that a report has no use for are refused."""
    if figures is not None and report.figures is None:
        raise HarnessError(f"report {report.name} has no figures", remedy="--format html has them")
    if reveal and report.samples is None:
        raise HarnessError(f"report {report.name} holds no samples, so there is nothing to reveal")


def _rendered(report: Report, paths: Sequence[Path], *, reveal: bool) -> Rendered:
    if report.samples is not None:
        return report.samples([_folder(path) for path in paths], reveal)
    assert report.render is not None
    return report.render(_read(paths))


def _folder(path: Path) -> Path:
    """The run that results belong to. Raises HarnessError for results without their run."""
    if not (path.parent / "run.json").is_file():
        raise HarnessError(
            "this format holds samples, and there is no run beside these results",
            where=str(path),
            remedy="give the folder of a run",
        )
    return path.parent


def _deliver(name: str, rendered: Rendered, output: Path | None) -> None:
    if output is not None:
        _write(rendered, output)
    elif isinstance(rendered, str):
        show(rendered, nl=False, raw=True)
    else:
        kind, where = ("no text", "FILE") if isinstance(rendered, bytes) else ("several files", "FOLDER")
        raise HarnessError(f"report {name} is {kind}", remedy=f"give --output {where}")


def _write(rendered: Rendered, output: Path) -> None:
    files = {output / name: data for name, data in rendered.items()} if isinstance(rendered, Mapping) else None
    try:
        for path, data in ({output: _bytes(rendered)} if files is None else files).items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    except OSError as error:
        raise HarnessError("cannot write the report", where=str(error), remedy="give another --output") from None
    tell(f"wrote {output}")


def _bytes(rendered: Rendered) -> bytes:
    assert not isinstance(rendered, Mapping)
    return rendered.encode() if isinstance(rendered, str) else rendered
