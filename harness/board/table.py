"""The table a run ends with: every metric of every split, its interval and what it was divided by.

It goes to stdout, since it is the result; on a terminal in colour and as wide as that, elsewhere plain and 120 wide.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TextIO

from harness.board.display import ARROWS, figure, share, span
from harness.board.leaderboard import boards
from harness.board.means import means
from harness.board.values import Board, Measure, Row
from harness.contracts import Results
from harness.terminal import one_line

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

Drawing = Callable[["Console"], None]  #: prints on a console
_MISSING = ("empty", "bad_sample", "error")
WIDTH = 120  #: columns where there is no terminal


def render(results: Results | Sequence[Results]) -> str:
    """The table as plain text.

    Args:
        results: the dict of one results.json, or of several models.
    """
    return drawn(lambda console: draw(console, results), WIDTH)


def show(results: Results | Sequence[Results], stream: TextIO | None = None) -> None:
    """Print the table; `stream` is stdout unless given."""
    shown(lambda console: draw(console, results), WIDTH, stream)


def drawn(drawing: Drawing, width: int) -> str:
    """What is drawn on a console of this width, as plain text."""
    from rich.console import Console

    out = io.StringIO()
    drawing(Console(file=out, width=width, highlight=False, color_system=None))
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


def shown(drawing: Drawing, width: int, stream: TextIO | None = None) -> None:
    """Print what is drawn: on a terminal in colour and as wide as that, elsewhere plain and `width` wide."""
    from rich.console import Console

    out = sys.stdout if stream is None else stream
    if out.isatty():
        drawing(Console(file=out, highlight=False))
    else:
        out.write(drawn(drawing, width))


def draw(console: Console, results: Results | Sequence[Results]) -> None:
    """Print the table on a console of the caller's."""
    every = results if isinstance(results, Sequence) else [results]
    made = boards(every)
    width = max((len(label(measure)) for board in made for measure in board.measures), default=0)
    for place, board in enumerate(made):
        for number, row in enumerate(board.rows):
            console.print(*([""] if place or number else []), *_row(board, row, width), sep="\n")
        for note in board.notes:
            console.print(f"  {one_line(note)}", style="yellow", markup=False)
    draw_means(console, every)


def draw_means(console: Console, results: Sequence[Results]) -> None:
    """Print the means of suites, a line each."""
    for mean in means(results):
        console.print("", f"{one_line(mean.model)}  {one_line(mean.told)}", sep="\n", markup=False)


def _row(board: Board, row: Row, width: int) -> Iterator[RenderableType]:
    from rich.padding import Padding
    from rich.text import Text

    yield Text.assemble((one_line(board.name), "bold"), "  ", one_line(row.model))
    yield Padding(Text(" · ".join(_facts(row)), style="dim"), (0, 0, 0, 2))
    yield _metrics(row.measures, width)


def _facts(row: Row) -> Iterator[str]:
    """What stands beside every number of the row."""
    repeated = f" in {row.epochs} epochs" if row.epochs > 1 else ""
    yield f"n {row.n}{repeated}{' (subset)' if row.subset is not None else ''}"
    yield f"coverage {share(row.coverage)}{'' if row.complete else ' (incomplete)'}"
    yield f"blocked {row.blocked}"
    yield from (f"{name} {row.outcomes[name]}" for name in _MISSING if row.outcomes.get(name))
    yield from (f"{one_line(name)} {count}" for name, count in row.flags.items() if count)
    yield from (f"{one_line(name)} {count}" for name, count in row.verdicts.items() if count and name != "scored")
    yield f"judge {one_line(row.judge.label)}"
    if row.fidelity:
        yield f"wording {one_line(row.fidelity)}"


def _metrics(measures: Sequence[Measure], width: int) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(min_width=width + 2, no_wrap=True)
    table.add_column(no_wrap=True, justify="right", min_width=5)
    table.add_column(no_wrap=True, min_width=len("[100.0, 100.0]"))
    table.add_column(style="dim")
    for measure in measures:
        style = "bold" if measure.main else ""
        told = (f"  {label(measure)}", figure(measure.value, measure.unit), span(measure.ci95, measure.unit))
        table.add_row(*(Text(text, style=style) for text in told), Text(_describe_basis(measure)))
    return table


def label(measure: Measure) -> str:
    """A metric as the head of a column: `ASR % ↓`."""
    return f"{one_line(measure.name)} {'% ' if measure.unit == '%' else ''}{ARROWS[measure.better]}".rstrip()


def _describe_basis(measure: Measure) -> str:
    """What the value was divided by, how it was made where that is not all, or why there is none."""
    estimated = measure.estimated
    told = "" if estimated is None else f"estimated for {estimated[1]} answers from {estimated[0]} judged"
    return "; ".join(part for part in (_divided(measure), one_line(told or measure.why, 200)) if part)


def _divided(measure: Measure) -> str:
    """What the value was divided by; for a mean over strata, each of them."""
    if measure.strata:
        return "mean of " + ", ".join(
            f"{one_line(name)} {figure(body['value'], measure.unit)} ({body['numerator']:g}/{body['denominator']:g})"
            for name, body in measure.strata.items()
        )
    if measure.numerator is None or measure.denominator is None:
        return ""
    unresolved = f", {measure.unresolved:g} unresolved" if measure.unresolved else ""
    return f"{measure.numerator:g}/{measure.denominator:g}{unresolved}"
