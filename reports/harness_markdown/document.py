"""Boards drawn as Markdown: a heading, what all rows share in one line, a table, notes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from harness.board.display import ARROWS, NOTHING, estimate, figure, share
from harness.board.flagged import cautioned, flagged
from harness.board.licences import licences
from harness.board.means import Mean
from harness.board.values import Board, Measure, Row
from harness.keys import canonical
from harness.markdown import escape

_MOST_METRICS = 6  #: a wider table does not fit a page; the rest is named below it
_LEGEND = "↓ lower is better, ↑ higher is better. Brackets: 95% interval. Coverage: share of the records with a result."
_RANKS = "Rank: one more than the number of models whose whole interval is better; unresolved records widen it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: its head and what it shows of a row; both Markdown already."""

    head: str
    cell: Callable[[Row], str]
    left: bool = False


def document(boards: Sequence[Board], means: Sequence[Mean] = ()) -> str:
    """All boards, one after the other, then the suites' means; the parts of a derived split are folded away."""
    whole = [_section(board) for board in boards if not board.part_of]
    parts = [_section(board) for board in boards if board.part_of]
    folded = ["<details><summary>Parts</summary>", *parts, "</details>"] if parts else []
    legend = f"{_LEGEND} {_RANKS}" if any(_is_ranked(board) for board in boards) else _LEGEND
    suites = [_means(means)] if means else []
    return "\n\n".join([*whole, *suites, *folded, *_licences(boards), f"<sub>{legend}</sub>"]) + "\n"


def _licences(boards: Sequence[Board]) -> Iterator[str]:
    lines = [f"- {escape(task)}: {escape(f'{source}: {terms}')}" for task, source, terms in licences(boards)]
    if lines:
        yield "\n\n".join(["### Data and licences", "\n".join(lines)])


def _means(means: Sequence[Mean]) -> str:
    lines = [_line(["Model", "Suite", "Mean", "Of"]), _line(["---", "---", "---:", "---"])]
    for mean in means:
        arrow = f" {ARROWS[mean.better]}".rstrip() if mean.better else ""
        marks = "" if mean.complete or mean.missing else " (incomplete)"
        number = estimate(mean.value, mean.ci95, mean.unit) + (arrow if mean.value is not None else "") + marks
        of = [f"{title} {figure(value, mean.unit)}" for title, (_, value) in mean.of.items()]
        missing = f"; missing: {', '.join(mean.missing)}" if mean.missing else ""
        lines.append(_line([escape(mean.model), escape(mean.suite), number, escape(f"{', '.join(of)}{missing}")]))
    return "\n\n".join(["### Means over suites", "\n".join(lines)])


def _section(board: Board) -> str:
    blocks = [f"### {escape(board.name)}", _shared(board), _table(board), _notes(board)]
    return "\n\n".join(block for block in blocks if block)


def _shared(board: Board) -> str:
    """Judge, wording and settings, where they are the same in all rows."""
    first = board.rows[0]
    said = [(head, shown(first)) for head, shown in _TOLD if _same(board, shown)]
    said.append(("Settings", _settings(first, _common(board))))
    return " · ".join(f"{head}: {escape(text)}" for head, text in said if text)


def _columns(board: Board) -> Iterator[Column]:
    if _is_ranked(board):
        yield Column(head="#", cell=_rank)
    yield _text_column("Model", lambda row: row.model)
    for measure in board.measures[:_MOST_METRICS]:
        yield Column(head=_metric_head(measure), cell=_metric_cell(measure))
    yield Column(head="n", cell=_samples)
    yield Column(head="Coverage", cell=lambda row: share(row.coverage) + ("" if row.complete else " (incomplete)"))
    yield Column(head="Blocked", cell=lambda row: str(row.blocked))
    if any(row.cautions for row in board.rows):
        yield _text_column("Flags", cautioned)
    yield from (_text_column(head, shown) for head, shown in _TOLD if not _same(board, shown))
    own = {name for row in board.rows for name in row.settings} - _common(board)
    if own:
        yield _text_column("Settings", lambda row: _settings(row, own))


def _text_column(head: str, shown: Callable[[Row], str]) -> Column:
    return Column(head=head, cell=lambda row: escape(shown(row)), left=True)


def _table(board: Board) -> str:
    columns = list(_columns(board))
    cells = [[column.head for column in columns], *([column.cell(row) for column in columns] for row in board.rows)]
    widths = [max(3, *(len(line[place]) for line in cells)) for place in range(len(columns))]
    rule = [_rule(column, width) for column, width in zip(columns, widths, strict=True)]
    lines = [_padded(line, columns, widths) for line in cells]
    return "\n".join([_line(lines[0]), _line(rule), *(_line(line) for line in lines[1:])])


def _padded(cells: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> list[str]:
    return [
        cell.ljust(width) if column.left else cell.rjust(width)
        for cell, column, width in zip(cells, columns, widths, strict=True)
    ]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _rule(column: Column, width: int) -> str:
    return "-" * width if column.left else "-" * (width - 1) + ":"


def _notes(board: Board) -> str:
    left_out = [measure.name for measure in board.measures[_MOST_METRICS:]]
    more = [f"Not shown here: {', '.join(left_out)}."] if left_out else []
    return "\n".join(f"- {escape(note)}" for note in (*board.notes, *flagged(board), *more))


def _metric_head(measure: Measure) -> str:
    unit = " %" if measure.unit == "%" else ""
    return f"{escape(measure.name)}{unit} {ARROWS[measure.better]}".rstrip()


def _metric_cell(measure: Measure) -> Callable[[Row], str]:
    return lambda row: next((_number(mine) for mine in row.measures if mine.name == measure.name), NOTHING)


def _number(measure: Measure) -> str:
    if measure.main:
        return estimate(measure.value, measure.ci95, measure.unit)
    return figure(measure.value, measure.unit)


def _rank(row: Row) -> str:
    return NOTHING if row.rank is None else str(row.rank)


def _samples(row: Row) -> str:
    return f"{row.n} (subset)" if row.subset is not None else str(row.n)


def _judge(row: Row) -> str:
    return row.judge.label


def _wording(row: Row) -> str:
    return row.fidelity


_TOLD = (("Judge", _judge), ("Input wording", _wording))  #: said once where all rows agree, else a column


def _common(board: Board) -> set[str]:
    """Settings that have one value in all rows."""
    values: dict[str, set[str]] = {name: set() for row in board.rows for name in row.settings}
    for name, row in product(values, board.rows):
        values[name].add(canonical(row.settings.get(name)))
    return {name for name, found in values.items() if len(found) == 1}


def _settings(row: Row, names: set[str]) -> str:
    given = {name: value for name, value in row.settings.items() if name in names and value not in (None, [], "")}
    return ", ".join(f"{name} {_plain(value)}" for name, value in given.items())


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _is_ranked(board: Board) -> bool:
    return sum(row.rank is not None for row in board.rows) > 1


def _same(board: Board, shown: Callable[[Row], str]) -> bool:
    return len({shown(row) for row in board.rows}) == 1
