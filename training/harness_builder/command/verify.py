"""`harness build verify`: is a set what its manifest says?"""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.options import plugin_options
from harness.terminal import plain, say


@click.command("verify")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="DIR")
@plugin_options
def command(folder: Path) -> int:
    """Compare every file of a set with the manifest that the build wrote.

    Exit codes: 0 all is as it was built, 2 a file is missing, changed or added.
    """
    from harness_builder.output import verify

    found = verify(folder)
    for each in found:
        click.echo(plain(str(each)))
    say(f"{folder}: {len(found) or 'no'} difference{'' if len(found) == 1 else 's'}", err=True)
    return 2 if found else 0
