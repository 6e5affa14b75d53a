"""Boards as Markdown: a heading, a line of shared facts, a table, notes; and the paper table.

The paper table is one table, whose heads hold their groups, with footnotes below it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from harness.board.corrected import format_corrected
from harness.board.costs import RunCost, format_usd
from harness.board.display import ARROWS, NOTHING, format_estimate, format_head, format_share
from harness.board.leaderboard import Board, licences, list_flags
from harness.board.rows import Row
from harness.board.suites import Mean, SuiteGroup
from harness.keys import canonical
from harness.matrix import Matrix, MatrixCell, MatrixColumn
from harness.text import escape_markdown

_MOST_METRICS: Final = 6  #: a wider table does not fit a page; a note names the rest
_LEGEND: Final = (
    "↓ lower is better, ↑ higher is better. Brackets: 95% interval. Coverage: share of the records with a result."
)
_RANKS: Final = "Rank: one more than the number of models whose whole interval is better; unresolved records widen it."
_STANDINGS: Final = {"best": "**{}**", "second": "<ins>{}</ins>", "": "{}"}

Text = Callable[[Row], str]
_FACTS: Final[Sequence[tuple[str, Text]]] = (
    ("Judge", lambda row: row.judge.label),
    ("Input wording", lambda row: row.fidelity),
)  #: in the line above the table if all rows agree, else a column


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: its head and its cell for a row; both already Markdown."""

    head: str
    cell: Text
    left: bool = False


def render_tables(groups: Sequence[SuiteGroup], means: Sequence[Mean] = (), costs: Sequence[RunCost] = ()) -> str:
    """All boards by suite, then the suites' means and what the runs cost; the parts of a derived split are folded."""
    boards = [board for group in groups for board in group.own]
    blocks: list[str] = []
    named = any(group.suite for group in groups)
    for group in groups:
        blocks += [f"## {escape_markdown(f'Suite {group.suite}') if group.suite else 'In no suite'}"] if named else []
        blocks += [_render_board(board) for board in group.own if not board.part_of]
        blocks += [escape_markdown(group.reference)] if group.reference else []
    blocks += [_render_means(means)] if means else []
    parts = [_render_board(board) for board in boards if board.part_of]
    blocks += ["<details><summary>Parts</summary>", *parts, "</details>"] if parts else []
    blocks += [_render_costs(costs)] if costs else []
    data = [
        f"- {escape_markdown(task)}: {escape_markdown(f'{source}: {terms}')}"
        for task, source, terms in licences(boards)
    ]
    blocks += ["### Data and licences", "\n".join(data)] if data else []
    legend = f"{_LEGEND} {_RANKS}" if any(_is_ranked(board) for board in boards) else _LEGEND
    return "\n\n".join([*blocks, f"<sub>{legend}</sub>"]) + "\n"


def _render_means(means: Sequence[Mean]) -> str:
    lines = [["Model", "Suite", "Mean", "Of"], ["---", "---", "---:", "---"]]
    for mean in means:
        arrow = f" {ARROWS[mean.better]}".rstrip() if mean.better and mean.value is not None else ""
        partial = "" if mean.complete or mean.missing else " (incomplete)"
        missing = f"; missing: {', '.join(mean.missing)}" if mean.missing else ""
        number = f"{format_estimate(mean.value, mean.ci95, mean.unit)}{arrow}{partial}"
        names = (escape_markdown(mean.model), escape_markdown(mean.suite))
        lines.append([*names, number, escape_markdown(f"{mean.sources}{missing}")])
    return "\n\n".join(["### Means over suites", "\n".join(map(_join_cells, lines))])


def _render_costs(costs: Sequence[RunCost]) -> str:
    lines = [
        ["Model", "USD", "of it the model", "USD for 1,000 answers", "Prices"],
        ["---", "---:", "---:", "---:", "---"],
    ]
    for cost in costs:
        whole = f"at least {format_usd(cost.known_usd)}" if cost.usd is None and cost.known_usd is not None else NOTHING
        numbers = (cost.usd, cost.model_usd, cost.per_1000)
        usd, model, each = (NOTHING if number is None else format_usd(number) for number in numbers)
        basis = cost.prices if cost.usd is not None else cost.why
        names = (escape_markdown(cost.model), escape_markdown(basis))
        lines.append([names[0], usd if cost.usd is not None else whole, model, each, names[1]])
    return "\n\n".join(["### What the runs cost", "\n".join(map(_join_cells, lines))])


def _render_board(board: Board) -> str:
    names = {name for row in board.rows for name in row.settings}
    common = {name for name in names if len({canonical(row.settings.get(name)) for row in board.rows}) == 1}
    shared = [(head, text(board.rows[0])) for head, text in _FACTS if _is_same(board, text)]
    shared.append(("Settings", _format_settings(board.rows[0], common)))
    left_out = [measure.name for measure in board.measures[_MOST_METRICS:]]
    notes = [*board.notes, *list_flags(board), *([f"Not shown here: {', '.join(left_out)}."] if left_out else [])]
    blocks = [
        f"### {escape_markdown(board.name)}",
        " · ".join(f"{head}: {escape_markdown(text)}" for head, text in shared if text),
        _tabulate(_list_columns(board, common), board.rows),
        "\n".join(f"- {escape_markdown(note)}" for note in notes),
    ]
    return "\n\n".join(block for block in blocks if block)


def _list_columns(board: Board, common: set[str]) -> list[Column]:
    columns: list[Column] = []
    if _is_ranked(board):
        columns.append(Column(head="#", cell=lambda row: NOTHING if row.rank is None else str(row.rank)))
    columns.append(_text_column("Model", lambda row: row.model))
    for measure in board.measures[:_MOST_METRICS]:
        head = format_head(escape_markdown(measure.name), measure.unit, measure.better)
        columns.append(Column(head=head, cell=_pick_measure(measure.name)))
        if measure.main and board.shows_corrected:
            columns.append(Column(head=f"{head} by people", cell=_pick_corrected(measure.name)))
    columns += [
        Column(head="n", cell=lambda row: f"{row.n} (subset)" if row.subset is not None else str(row.n)),
        Column(
            head="Coverage", cell=lambda row: format_share(row.coverage) + ("" if row.complete else " (incomplete)")
        ),
        Column(head="Blocked", cell=lambda row: str(row.blocked)),
    ]
    if any(row.cautions for row in board.rows):
        columns.append(_text_column("Flags", lambda row: row.caution_kinds))
    columns += [_text_column(head, text) for head, text in _FACTS if not _is_same(board, text)]
    own = {name for row in board.rows for name in row.settings} - common
    if own:
        columns.append(_text_column("Settings", lambda row: _format_settings(row, own)))
    return columns


def _text_column(head: str, text: Text) -> Column:
    return Column(head=head, cell=lambda row: escape_markdown(text(row)), left=True)


def _pick_measure(name: str) -> Text:
    """The cell of a metric; the main metric's with its interval."""

    def format_measure(row: Row) -> str:
        mine = row.find_measure(name)
        if mine is None:
            return NOTHING
        return format_estimate(mine.value, mine.ci95 if mine.main else None, mine.unit)

    return format_measure


def _pick_corrected(name: str) -> Text:
    """The cell of what people's labels say of a metric."""

    def format_people(row: Row) -> str:
        mine = row.find_measure(name)
        if mine is None or mine.corrected is None or mine.corrected.value is None:
            return NOTHING
        return format_corrected(mine.corrected, mine.unit)

    return format_people


def _tabulate(columns: Sequence[Column], rows: Sequence[Row]) -> str:
    cells = [[column.head for column in columns], *([column.cell(row) for column in columns] for row in rows)]
    widths = [max(3, *(len(line[place]) for line in cells)) for place in range(len(columns))]
    spec = list(zip(columns, widths, strict=True))
    padded = [
        [
            text.ljust(width) if column.left else text.rjust(width)
            for text, (column, width) in zip(line, spec, strict=True)
        ]
        for line in cells
    ]
    rule = ["-" * width if column.left else "-" * (width - 1) + ":" for column, width in spec]
    return "\n".join(map(_join_cells, [padded[0], rule, *padded[1:]]))


def _join_cells(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _format_settings(row: Row, names: set[str]) -> str:
    given = {name: value for name, value in row.settings.items() if name in names and value not in (None, [], "")}
    values = {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in given.items()}
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _is_ranked(board: Board) -> bool:
    return sum(row.rank is not None for row in board.rows) > 1


def _is_same(board: Board, text: Text) -> bool:
    return len({text(row) for row in board.rows}) == 1


def render_matrix(table: Matrix) -> str:
    """The table with its title, what holds for all of it, and its footnotes."""
    lines = [["Model", *map(_write_head, table.columns)], ["---", *("---:" for _ in table.columns)]]
    for row in table.rows:
        if row.section:
            lines.append([f"*{escape_markdown(row.section)}*", *("" for _ in table.columns)])
        lines.append([escape_markdown(row.name) + _write_marks(row.notes), *map(_write_cell, row.cells)])
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    padded = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines]
    notes = [f"{_write_marks((note.mark,))} {escape_markdown(note.text)}" for note in table.notes]
    blocks = [
        f"### {escape_markdown(table.title)}",
        "\n".join(map(_join_cells, padded)),
        "\n".join(f"- {text}" for text in notes),
        "\n".join(f"<sub>{escape_markdown(fact)}</sub><br>" for fact in table.facts).removesuffix("<br>"),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _write_head(column: MatrixColumn) -> str:
    """`Safety<br>easy<br>ASR ↓`: Markdown has no heads over several columns."""
    named = [escape_markdown(part) for part in (column.group, column.over, column.head) if part]
    return f"{'<br>'.join(named)} {column.arrow}".rstrip() + _write_marks(column.notes)


def _write_cell(cell: MatrixCell) -> str:
    number = _STANDINGS[cell.standing].format(cell.number)
    return " ".join(part for part in (number + _write_marks(cell.notes), cell.spread, cell.interval) if part)


def _write_marks(notes: Sequence[str]) -> str:
    return f"<sup>{','.join(notes)}</sup>" if notes else ""
