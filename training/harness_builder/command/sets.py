"""`harness build show`, `verify` and `push`: commands on a set that was built."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click

from harness.cli.options import plugin_options
from harness.text import plain, say

_SET: Final = click.Path(path_type=Path, exists=True, file_okay=False)


@click.command("show")
@click.argument("folder", type=_SET, metavar="DIR")
@click.argument("key", metavar="KEY")
@plugin_options
def _show(folder: Path, key: str) -> None:
    """Print the story of one record: its source, every call, every image, and how each step ended.

    KEY is a place in the set, such as train/7; or the key of an element or of a seed, as its files name it. The story
    holds texts, which may be harmful.
    """
    from harness_builder.output import render_story

    click.echo(plain(render_story(folder, key)))


@click.command("verify")
@click.argument("folder", type=_SET, metavar="DIR")
@plugin_options
def _verify(folder: Path) -> int:
    """Compare every file of a set with the manifest that the build wrote.

    Exit codes: 0 all is as it was built, 2 a file is missing, changed or added.
    """
    from harness_builder.output import verify

    found = verify(folder)
    for each in found:
        click.echo(plain(str(each)))
    say(f"{folder}: {len(found) or 'no'} difference{'' if len(found) == 1 else 's'}", err=True)
    return 2 if found else 0


@click.command("push")
@click.argument("folder", type=_SET, metavar="DIR")
@click.argument("repo", metavar="OWNER/NAME")
@click.option("--public", is_flag=True, help="Let everybody see its page; the files stay gated.")
@plugin_options
def _push(folder: Path, repo: str, public: bool) -> None:
    """Put a set on the Hugging Face hub, private and gated, and print its address.

    Only files of its manifest go there: neither calls nor reviews. Needs the extra `hub` and HF_TOKEN.
    """
    from harness_builder.output import push

    say(push(folder, repo, public=public, tell=lambda line: click.echo(plain(line), err=True)))


COMMANDS: Final[Mapping[str, click.Command]] = {"show": _show, "verify": _verify, "push": _push}
