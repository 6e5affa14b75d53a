"""The flags of `harness compare`, and where what it finds goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness import HarnessError
from harness.cli.options import loaded, plugin_options
from harness.cli.values import Names
from harness.terminal import say

if TYPE_CHECKING:
    from harness import Comparison

_FOLDER = click.Path(path_type=Path, file_okay=False)
_FORMATS = {"terminal": ".txt", "markdown": ".md", "latex": ".tex", "json": ".json"}


@click.command("compare")
@click.argument("runs", type=_FOLDER, nargs=-1, required=True, metavar="A B [C...]")
@click.option(
    "--task",
    "--tasks",
    "tasks",
    type=Names(),
    default="",
    metavar="NAME[:SPLIT][,…]",
    help="Only these; else all that the runs have in common.",
)
@click.option("--by", default="", metavar="NAME", help="Break the main metrics down by category or a tag; exploratory.")
@click.option(
    "--judge",
    default="",
    metavar="ID",
    help="Whose verdicts: an id, its rubric, or whole parts of its beginning; else the primary judge.",
)
@click.option(
    "--allow-mismatch",
    is_flag=True,
    help="Compare although task version, settings, data, wording or judge differ; it is said beside the numbers.",
)
@click.option(
    "--show",
    type=click.IntRange(0),
    show_default="5; as JSON all",
    metavar="N",
    help="List so many flips of each way.",
)
@click.option("--reveal", is_flag=True, help="Show the questions and answers of flips that are listed; may be harmful.")
@click.option(
    "--format",
    "name",
    type=click.Choice(list(_FORMATS)),
    help="How it is written.  [default: what --output ends with, else terminal]",
)
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write it there, not to stdout."
)
@plugin_options
@click.pass_context
def command(ctx: click.Context, /, runs: tuple[Path, ...], **given: Any) -> int:
    """Compare runs with the first one, item by item.

    Over the items that both have resolved: the difference of each metric with its interval, a test of the main ones
    adjusted for how many there are, how small a difference could have been seen, and which items flipped. Nothing is
    asked and nothing is judged.
    """
    name = given["name"] or _meant(given["output"])
    if len(runs) < 2:
        raise click.UsageError("give two runs or more: the baseline, then what is compared with it")
    if name == "latex" and (given["reveal"] or given["show"] is not None):
        raise click.UsageError(f"--{'reveal' if given['reveal'] else 'show'} says nothing here: LaTeX lists no items")
    loaded(ctx)
    from harness.runs.comparing.api import compare

    options = {key: given[key] for key in ("tasks", "by", "judge", "allow_mismatch")}
    found = compare(*runs, **options)
    _deliver(found, name, given)
    for title, fault in found.unscored.items():
        say(f"note: {title} could not be compared: the task raised {fault}", err=True)
    return 3 if found.unscored else 0


def _meant(output: Path | None) -> str:
    """The format whose files end as the output does."""
    return next((name for name, suffix in _FORMATS.items() if output and output.suffix == suffix), "terminal")


def _deliver(found: Comparison, name: str, given: dict[str, Any]) -> None:
    output: Path | None = given["output"]
    if name == "terminal" and output is None:
        from .terminal import show

        show(found, _texts(found, given, 5), _most(given, 5))
        return
    text = _rendered(found, name, given)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise HarnessError("cannot write the comparison", where=str(error), remedy="give another --output") from None
    say(f"wrote {output}", err=True)


def _rendered(found: Comparison, name: str, given: dict[str, Any]) -> str:
    if name == "json":
        from .texts import with_texts

        made = with_texts(found.as_json(given["show"]), _texts(found, given, None))
        return json.dumps(made, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    if name == "latex":
        from .latex import render as latex

        return latex(found)
    if name == "markdown":
        from .markdown import render as markdown

        return markdown(found, _texts(found, given, 5), _most(given, 5))
    from .terminal import render

    return render(found, _texts(found, given, 5), _most(given, 5))


def _most(given: dict[str, Any], default: int) -> int:
    show: int | None = given["show"]
    return default if show is None else show


def _texts(found: Comparison, given: dict[str, Any], default: int | None) -> Any:
    """What was asked and answered, of the flips that are listed; nothing unless it may be shown."""
    if not given["reveal"]:
        return {}
    from .texts import texts

    return texts(found, default if given["show"] is None else given["show"])
