"""`harness report RUNS… --format NAME`: the leaderboard of one or more runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from harness.errors import HarnessError

from .options import loaded, plugin_options


@click.command(help="Render the results of one or more runs.")
@click.argument("runs", nargs=-1, required=True, metavar="RUNS...")
@click.option("--format", "name", default="markdown", show_default=True, metavar="NAME", help="Report to render.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where to write it; a folder for a report of several files. Without it, stdout.",
)
@plugin_options
def command(runs: tuple[str, ...], name: str, output: Path | None) -> None:
    """Render results; RUNS are run folders, results.json files or patterns."""
    from harness.board.results import find, read

    report = loaded().report(name)
    rendered = report.render([read(path) for path in find(runs)])
    if output is not None:
        _write(rendered, output)
    elif isinstance(rendered, str):
        click.echo(rendered, nl=False)
    else:
        raise HarnessError(f"report {name} is several files", remedy="give --output FOLDER")


def _write(rendered: str | Mapping[str, bytes], output: Path) -> None:
    files = {output: rendered.encode()} if isinstance(rendered, str) else _under(output, rendered)
    try:
        for path, data in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    except OSError as error:
        raise HarnessError("cannot write the report", where=str(error), remedy="give another --output") from None
    click.echo(f"wrote {output}", err=True)


def _under(folder: Path, files: Mapping[str, bytes]) -> dict[Path, bytes]:
    return {folder / name: data for name, data in files.items()}
