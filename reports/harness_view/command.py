"""The flags of `harness view`, and what it prints."""

from __future__ import annotations

import threading
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness import HarnessError
from harness.cli.options import loaded, plugin_options
from harness.terminal import say

if TYPE_CHECKING:
    from .index import Index, Mode


@click.command("view")
@click.argument("runs", type=click.Path(path_type=Path, file_okay=False), nargs=-1, required=True, metavar="RUN…")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, show_default="any free one", help="Port to listen on."
)
@click.option("--no-browser", is_flag=True, help="Only print the address; open no browser.")
@click.option(
    "--export",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write files that open without a server, and end.",
)
@click.option(
    "--reveal/--redact",
    "reveal",
    default=None,
    help="Show texts and images unfolded and with --export write them; or keep all of them back. "
    "Default: folded until asked for; with --export kept back.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    metavar="DIR",
    help="Look for images in DIR/<task>; else where the run had them.",
)
@plugin_options
@click.pass_context
def command(ctx: click.Context, /, runs: tuple[Path, ...], **given: Any) -> int:
    """Read runs sample by sample in a browser, also while they go on.

    Serves a page on 127.0.0.1 until Ctrl-C; its address, with the token of this start, is the first line of stdout.
    Two runs or more can be read side by side. Exit codes: 0 ended by Ctrl-C or SIGTERM or exported, 2 you can mend it.
    """
    if given["folder"] and (given["port"] or given["no_browser"]):
        raise click.UsageError("--export serves nothing: --port and --no-browser say nothing beside it")
    loaded(ctx)
    from .index import open_indexes

    indexes = open_indexes(runs, _mode(given["reveal"], exported=bool(given["folder"])), given["data"])
    try:
        _export(indexes, given["folder"]) if given["folder"] else _serve(indexes, given)
    finally:
        for index in indexes:
            index.close()
    return 0


def _mode(reveal: bool | None, *, exported: bool) -> Mode:
    """What leaves the machine is redacted unless it was asked for."""
    if reveal is None:
        return "redact" if exported else "fold"
    return "reveal" if reveal else "redact"


def _export(indexes: list[Index], folder: Path) -> None:
    from .export import export

    count = export(indexes, folder)
    say(f"{folder / 'index.html'}")
    kept = (
        "no text and no image of a sample" if indexes[0].mode == "redact" else "texts and images, which may be harmful"
    )
    say(f"wrote {count} items: {kept}", err=True)


def _serve(indexes: list[Index], given: dict[str, Any]) -> None:
    from harness.web import INSTALL

    try:
        from .server import serve
    except ImportError as error:
        raise HarnessError(f"the viewer needs the extra `serve`: {error}", remedy=INSTALL) from error

    def ready(url: str) -> None:
        click.echo(url)
        click.echo("Ctrl-C ends it", err=True)
        if not given["no_browser"]:
            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()  # some do not return at once

    serve(indexes, port=given["port"], ready=ready)
