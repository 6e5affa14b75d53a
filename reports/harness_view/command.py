"""The commands `harness view` and `harness show`: their flags and output."""

from __future__ import annotations

import json
import threading
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.config import configured_data
from harness.cli.flags import RunPlace, list_places
from harness.cli.options import load_host, plugin_options, show_examples
from harness.text import say

if TYPE_CHECKING:
    from .index import Mode

_DATA = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    metavar="DIR",
    help="Look for images in DIR/<task>; default: where the run had them.",
)


@click.command("view", epilog=show_examples("harness view runs/base", "harness view runs/base --export site"))
@click.argument("runs", type=RunPlace(), nargs=-1, required=True, metavar="RUN…")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, show_default="any free one", help="Port to listen on."
)
@click.option("--no-browser", is_flag=True, help="Only print the address; open no browser.")
@click.option(
    "--export",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write files that open without a server, then exit.",
)
@click.option(
    "--reveal/--redact",
    "reveal",
    default=None,
    help="Show texts and images unfolded and with --export write them; or withhold them. "
    "Default: folded; with --export withheld.",
)
@_DATA
@plugin_options
@click.pass_context
def view_command(ctx: click.Context, /, runs: tuple[Path, ...], **given: Any) -> int:
    """Read runs sample by sample in a browser, also while they run.

    Serves a page on 127.0.0.1 until Ctrl-C; its address, with this start's token, is the first line of stdout. Several
    runs can be read side by side. Exit codes: 0 ended by Ctrl-C or SIGTERM or exported, 2 an error you can
    fix.
    """
    folder: Path | None = given["folder"]
    if folder and (given["port"] or given["no_browser"]):
        raise click.UsageError("--export serves nothing: --port and --no-browser have no effect with it")
    load_host(ctx)
    from harness.extras import check_modules
    from harness.runs.state import list_run_folders

    from .index import open_indexes

    if folder is None:
        check_modules("starlette", "uvicorn", extras=("serve",), by="harness view")
    if given["reveal"]:
        mode: Mode = "reveal"
    else:  # an export is redacted by default
        mode = "fold" if given["reveal"] is None and not folder else "redact"
    indexes = open_indexes(list_run_folders(list_places(runs)), mode, given["data"] or configured_data(ctx))

    def print_address(url: str) -> None:
        click.echo(url)
        click.echo("Ctrl-C ends it", err=True)
        if not given["no_browser"]:
            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()  # some browsers block

    try:
        if folder is None:
            from .server import serve

            serve(indexes, port=given["port"], ready=print_address)
        else:
            from .page import export

            count = export(indexes, folder)
            say(f"{folder / 'index.html'}")
            texts = "no text and no image of a sample" if mode == "redact" else "texts and images, which may be harmful"
            say(f"wrote {count} items: {texts}", err=True)
    finally:
        for index in indexes:
            index.close()
    return 0


@click.command(
    "show",
    epilog=show_examples("harness show runs/base mis/mini/1", "harness show runs/base mis/mini/1 --reveal --json"),
)
@click.argument("run", type=RunPlace())
@click.argument("item")
@click.option("--reveal", is_flag=True, help="Show its texts: question, answer, what judges wrote; may be harmful.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_DATA
@plugin_options
@click.pass_context
def show_command(ctx: click.Context, /, run: Path, item: str, reveal: bool, as_json: bool, data: Path | None) -> int:
    """Print one sample of a run: its outcome, each judge's verdict, and the state of its images.

    ITEM is `task/split/id#epoch`, as in the viewer and comparisons, its id, or a unique part. Exit
    codes: 0 shown, 2 an error you can fix.
    """
    load_host(ctx)
    from .index import encode_json
    from .show import WIDTH, find_item, print_item, to_json

    found = find_item(run, item, data or configured_data(ctx))
    if as_json:
        body = json.loads(encode_json(to_json(found, reveal=reveal)))
        click.echo(json.dumps(body, indent=1))
        return 0
    from harness.board.tables import print_drawing

    print_drawing(lambda console: print_item(console, found, reveal=reveal), WIDTH)
    return 0
