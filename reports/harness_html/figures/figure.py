"""A drawn figure, and the marks of the models that all figures of a page share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.board.leaderboard import Board
from harness.board.rows import Row

from .canvas import Canvas, Look, for_page
from .readings import Key, identify

Table = tuple[tuple[str, ...], ...]  #: the head, then the rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakdown:
    """Whose numbers stand in a figure's table of rows against groups.

    Attributes:
        by: what the groups are of, as in `Row.by`.
        metric: the metric of all cells.
        groups: of the columns after the first.
        rows: of the lines after the head.
    """

    by: str
    metric: str
    groups: Sequence[str]
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure.

    Attributes:
        name: its slug: letters, digits and hyphens; unique on the page.
        title: a short title.
        caption: its content, its sample sizes, and how to read its marks.
        brief: a caption of a few words, for a figure of few models; the page then has the caption with the table.
        board: `Board.name` of the board that it stands beside; empty if it is about several.
        task: of that board, or of all boards that it is about; empty if these are of several tasks.
        headline: the one figure that stands first.
        svg: on a light ground; no style, script, link, class or id inside.
        narrow: the same for a phone; empty if `svg` is narrow enough itself.
        table: the drawn numbers as text, for screen readers.
        breakdown: whose numbers these are, where they are rows against groups.
    """

    name: str
    title: str
    caption: str
    brief: str = ""
    board: str = ""
    task: str = ""
    headline: bool = False
    svg: str
    narrow: str = ""
    table: Table
    breakdown: Breakdown | None = None

    @property
    def page_svg(self) -> str:
        """`svg` with the variables of `harness.board.palette.declare_variables` as colours."""
        return for_page(self.svg)

    @property
    def page_narrow(self) -> str:
        """`narrow` in the same colours; empty for none."""
        return for_page(self.narrow) if self.narrow else ""


class Looks:
    """The mark of each model: shape and colour, the same in all figures, and on all pages of the same models."""

    def __init__(self, boards: Iterable[Board]) -> None:
        """Numbers the models of all boards in the order of their refs."""
        rows = {identify(row): row for board in boards for row in board.rows}
        self._looks: Mapping[Key, Look] = {
            key: Look(number=number, name=rows[key].model) for number, key in enumerate(sorted(rows))
        }

    def of(self, row: Row) -> Look:
        """The mark of a row's model."""
        return self._looks[identify(row)]

    def draw(self, row: Row) -> str:
        """The mark of a row's model as a small drawing for a page's table, hidden from screen readers."""
        canvas = Canvas(12, 12)
        canvas.mark(6, 6, self.of(row), hollow=bool(row.unranked))
        return canvas.bare()


def name_uniquely(figures: Iterable[Figure]) -> tuple[Figure, ...]:
    """The figures, numbered where two have one name."""
    named: dict[str, Figure] = {}
    for figure in figures:
        number, name = 1, figure.name
        while name in named:
            number += 1
            name = f"{figure.name}-{number}"
        named[name] = replace(figure, name=name)
    return tuple(named.values())


def shorten_refs(names: Sequence[str]) -> list[str]:
    """Each name from the slash on that still tells it from all others: `Qwen2-VL-7B` of `hf/Qwen/Qwen2-VL-7B`."""

    def cut(name: str, left: int) -> str:
        ref, space, rest = name.partition(" ")
        return f"{'/'.join(ref.split('/')[-left:])}{space}{rest}"

    found: list[str] = []
    for name in names:
        lefts = range(1, name.count("/") + 2)
        alone = (cut(name, left) for left in lefts if sum(cut(each, left) == cut(name, left) for each in names) == 1)
        found.append(next((each for each in alone if each.strip()), name))
    return found
