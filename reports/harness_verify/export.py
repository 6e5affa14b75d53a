"""The flags of `harness export`, and what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.options import loaded, plugin_options
from harness.terminal import plain, say

if TYPE_CHECKING:
    from .exporting import Exported

_LOUD = """\
WARNING: a full export holds what was asked and answered, which may be harmful, and paths of this machine.
Keys were taken out as far as they could be told. Look through it before it leaves the machine."""


@click.command("export")
@click.argument("run", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), required=True, metavar="FILE.zip", help="The archive."
)
@click.option(
    "--redact/--full",
    "redact",
    default=True,
    help="Texts by length and hash; or all of them as they are, which may be harmful.  [default: redact]",
)
@plugin_options
@click.pass_context
def command(ctx: click.Context, /, run: Path, output: Path, redact: bool) -> int:
    """Write a run as an archive for a paper's supplement.

    It holds the results, who was asked and how, and a line for each item, answer and verdict, but no image. `harness
    verify` makes the numbers anew from it, also from a redacted one. Exit codes: 0 written, 3 written, and its numbers
    cannot be made anew from it, 2 you can mend it.
    """
    loaded(ctx)
    from .exporting import export

    made = export(run, output, full=not redact)
    say(str(made.output))
    _tell(made)
    if not redact:
        click.secho(_LOUD, err=True, bold=True)
    return 0 if made.checked.state == "same" else 3


def _tell(made: Exported) -> None:
    splits = sum(part.records is not None for part in made.checked.parts)
    if made.checked.state == "same":
        say(f"{made.files} files; splits whose numbers can be made anew from them: all {splits}", err=True)
        return
    say(f"{made.files} files; not all numbers can be made anew from them:", err=True)
    told = [
        made.checked.why,
        *(f"{part.title}: {part.why or part.state}" for part in made.checked.parts if part.state != "same"),
    ]
    for line in filter(None, (*made.checked.faults, *told)):
        click.echo(plain(f"  {line}"), err=True)
    click.echo("  see: harness verify", err=True)
