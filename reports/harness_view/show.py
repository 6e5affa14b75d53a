"""The flags of `harness show`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from harness.cli.options import loaded, plugin_options


@click.command("show")
@click.argument("run", type=click.Path(path_type=Path, file_okay=False))
@click.argument("item")
@click.option("--reveal", is_flag=True, help="Show its texts: question, answer, what judges wrote; may be harmful.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    metavar="DIR",
    help="Look for images in DIR/<task>; else where the run had them.",
)
@plugin_options
@click.pass_context
def command(ctx: click.Context, /, run: Path, item: str, reveal: bool, as_json: bool, data: Path | None) -> int:
    """Print one sample of a run: how it ended, what each judge said of it, and whether its images are there.

    ITEM is `task/split/id#epoch`, as the viewer and a comparison name it, its id, or a part that no other has. Exit
    codes: 0 shown, 2 you can mend it.
    """
    loaded(ctx)
    from .show_finding import find

    found = find(run, item, data)
    if as_json:
        from .details import encoded
        from .show_telling import as_json as made

        click.echo(json.dumps(json.loads(encoded(made(found, reveal=reveal))), indent=1))
        return 0
    from harness.board.table import shown

    from .show_drawing import WIDTH, draw

    shown(lambda console: draw(console, found, reveal=reveal), WIDTH)
    return 0
