"""`harness build push`: a set that stands, to the hub."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.options import plugin_options
from harness.terminal import plain, say


@click.command("push")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="DIR")
@click.argument("repo", metavar="OWNER/NAME")
@click.option("--public", is_flag=True, help="Let everybody see its page; the files stay gated.")
@plugin_options
def command(folder: Path, repo: str, public: bool) -> None:
    """Put a set on the Hugging Face hub, private and gated, and print its address.

    Only files of its manifest go there: neither calls nor reviews. Needs the extra `hub` and HF_TOKEN.
    """
    from harness_builder.output import push

    say(push(folder, repo, public=public, tell=lambda line: click.echo(plain(line), err=True)))
