"""`harness build show`: where one record comes from and how it came to be as it is."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.options import plugin_options
from harness.terminal import plain


@click.command("show")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="DIR")
@click.argument("key", metavar="KEY")
@plugin_options
def command(folder: Path, key: str) -> None:
    """Print the story of one record: its source, every call, every image, and how each step ended.

    KEY is a place in the set, such as train/7; or the key of an element or of a seed, as its files name it. The story
    holds texts, which may be harmful.
    """
    from harness_builder.output import render_story

    click.echo(plain(render_story(folder, key)))
