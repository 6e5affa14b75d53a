"""A comparison on the terminal: in colour there, plain and 120 wide elsewhere."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from harness import Comparison
from harness.board.display import figure
from harness.runs.comparing.values import Change, Compared, Finding, Flip, Side
from harness.terminal import one_line, plain

from . import words
from .texts import Texts

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_COLOURS = {
    Finding.BETTER: "green",
    Finding.WORSE: "red",
    Finding.OPEN_BETTER: "yellow",
    Finding.OPEN_WORSE: "yellow",
}
WIDTH = 120  #: columns where there is no terminal


def show(found: Comparison, texts: Texts, most: int) -> None:
    """Print it on stdout."""
    from rich.console import Console

    if sys.stdout.isatty():
        draw(Console(highlight=False), found, texts, most)
    else:
        sys.stdout.write(render(found, texts, most))


def render(found: Comparison, texts: Texts, most: int, width: int = WIDTH) -> str:
    """It as plain text."""
    from rich.console import Console

    out = io.StringIO()
    draw(Console(file=out, width=width, highlight=False, color_system=None), found, texts, most)
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


def draw(console: Console, found: Comparison, texts: Texts, most: int) -> None:
    """Print it on a console of the caller's."""
    console.print(_runs(found.runs))
    for note in words.notes(found):
        _line(console, note, style="yellow")
    for aside in words.asides(found):
        _line(console, aside, style="dim")
    for each in found.splits:
        _split(console, found, each)
        for told, flips in words.ways(found, each):
            _flips(console, found, each, told, flips, texts, most)
    console.print()
    _line(console, words.footnote(found), style="dim", indent=0)


def _runs(runs: Sequence[Side]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for _ in range(3):
        table.add_column(overflow="fold")
    for side in runs:
        table.add_row(Text(side.letter, style="bold"), *(Text(one_line(each)) for each in (side.name, side.folder)))
    return table


def _line(console: Console, text: str, *, style: str = "", indent: int = 2) -> None:
    from rich.padding import Padding
    from rich.text import Text

    console.print(Padding(Text(one_line(text, 2000), style=style), (0, 0, 0, indent)))


def _split(console: Console, found: Comparison, each: Compared) -> None:
    from rich.padding import Padding

    base = found.baseline.letter
    console.print()
    _line(console, f"{each.title}: {each.run} beside {base}", style="bold", indent=0)
    _line(console, " · ".join(words.counted(found, each)), style="dim")
    metrics = {words.label(change): change for change in each.changes.values()}
    console.print(Padding(_table(found, each, "", metrics), (0, 0, 0, 2)))
    _line(console, words.conclusion(found, each), style=_COLOURS.get(each.main.finding, ""))
    if each.by:
        console.print()
        head = f"{words.label(each.main)} by {found.by}"
        console.print(Padding(_table(found, each, head, each.by), (0, 0, 0, 2)))
    for told in words.explain_missing(each):
        _line(console, told, style="dim")


def _table(found: Comparison, each: Compared, head: str, changes: Mapping[str, Change]) -> Table:
    """Changes by name; where the terminal is too narrow the names give way, numbers never do."""
    from rich.table import Table
    from rich.text import Text

    base, run, is_open = found.baseline.letter, each.run, words.has_open(each)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    table.add_column(Text(one_line(head)), overflow="fold", min_width=8)
    for title in ("n", base, run, f"{run} - {base}"):
        table.add_column(title, justify="right", no_wrap=True)
    for title in ("95% interval", *(("worst case",) if is_open else ())):
        table.add_column(title, no_wrap=True)
    for name, change in changes.items():
        unit, paired = change.paired.unit, change.paired
        numbers = [figure(change.baseline, unit), figure(change.value, unit), words.signed(paired.difference, unit)]
        cells = [one_line(name), words.divided(change), *numbers, words.interval(change)]
        cells += [words.worst(change)] if is_open else []
        table.add_row(*map(Text, cells), style="bold" if change.main else "")
    return table


def _flips(
    console: Console, found: Comparison, each: Compared, told: str, flips: Sequence[Flip], texts: Texts, most: int
) -> None:
    """How many flipped that way, and the first of them; texts only where they were asked for."""
    more = "" if most >= len(flips) else f", {min(most, len(flips))} listed (--show N)"
    _line(console, f"{told}{more}")
    for flip in flips[:most]:
        _line(console, f"{flip.item}  {flip.baseline_label} → {flip.other_label}", indent=4)
        for name, text in words.unfolded(found, each, flip, texts):
            _line(console, name, style="dim", indent=6)
            _text(console, text)


def _text(console: Console, text: str) -> None:
    from rich.padding import Padding
    from rich.text import Text

    console.print(Padding(Text(plain(text).strip()), (0, 0, 0, 8)))
