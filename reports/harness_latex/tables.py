r"""Boards as LaTeX: one booktabs `table` each, with the facts behind every number in its columns, caption and notes.

The paper table is one `table` with heads over several columns and footnotes below it.

Only escaped text and numbers reach the file. Marks are macros, so that a paper can restyle them. The board decides who
is best or second: only a significant lead counts.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from harness.board.display import NOTHING, format_interval, format_share, format_value
from harness.board.leaderboard import Board, find_standing, list_flags
from harness.board.rows import Ends, Measure, Row
from harness.board.suites import Mean
from harness.matrix import Matrix, MatrixCell, MatrixColumn
from harness.text import escape_tex

_T = TypeVar("_T")

_ARROWS: Final = {"lower": r"$\downarrow$", "higher": r"$\uparrow$"}
_MOST_METRICS: Final = 4  #: a wider table leaves the page; a note names the rest
_WIDTH_OF_PEOPLE: Final = 2  #: the number by people takes the width of so many metrics
_MOST_FLOATS: Final = 12  #: tables before a forced output: LaTeX holds few unplaced ones
_MEANS: Final = "Unweighted means over suites, with their 95% interval. There is none while a part is missing."
_HEAD: Final = r"""% Needs \usepackage{booktabs}. Define these before \input to set them another way.
\providecommand{\best}[1]{\textbf{#1}}
\providecommand{\second}[1]{\underline{#1}}
\providecommand{\unranked}{\textsuperscript{\dag}}
\providecommand{\flagged}[1]{\textsuperscript{#1}}"""
_PACKAGES: Final = {"resize": "booktabs,graphicx", "sideways": "booktabs,graphicx,rotating", "none": "booktabs"}
_MACROS: Final = r"""\providecommand{\best}[1]{\textbf{#1}}
\providecommand{\second}[1]{\underline{#1}}
\providecommand{\flagged}[1]{\textsuperscript{#1}}"""
#: shrinks a table only where it is wider than the text
_FIT: Final = r"\providecommand{\fitmatrix}[1]{\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{#1}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column(Generic[_T]):
    """One column: its head and its cell for a row; both already LaTeX."""

    head: str
    cell: Callable[[_T], str]
    left: bool = False


def render_tables(boards: Sequence[Board], means: Sequence[Mean] = ()) -> str:
    r"""All boards, pooled ones before their parts, then the suites' means.

    Labels for `\ref` are `tab:mis-test`; equal labels are numbered.
    """
    blocks, labels = [_HEAD], Counter[str]()
    for number, board in enumerate(sorted(boards, key=lambda board: bool(board.part_of))):
        label = re.sub(r"[^a-z0-9]+", "-", board.name.lower()).strip("-") or "board"
        labels[label] += 1
        again = "" if labels[label] == 1 else f"-{labels[label]}"
        blocks += [r"\clearpage"] if number and number % _MOST_FLOATS == 0 else []
        blocks.append(_tabulate_board(board, f"tab:{label}{again}"))
    if means:
        blocks += [r"\clearpage"] if boards and len(boards) % _MOST_FLOATS == 0 else []
        blocks.append(_tabulate_means(means))
    return "\n\n".join(blocks) + "\n"


def _tabulate_board(board: Board, label: str) -> str:
    kinds = dict.fromkeys(caution.kind for row in board.rows for caution in row.cautions)
    letters = dict(zip(kinds, string.ascii_lowercase, strict=False))

    def model(row: Row) -> str:
        flags = ",".join(letters[caution.kind] for caution in row.cautions)
        marks = (r"\unranked{}" if row.unranked else "", rf"\flagged{{{flags}}}" if flags else "")
        return escape_tex(row.model) + r"\,".join(mark for mark in marks if mark)

    columns: list[Column[Row]] = []
    if sum(row.rank is not None for row in board.rows) > 1:
        columns.append(Column(head=r"\#", cell=lambda row: "" if row.rank is None else str(row.rank)))
    columns.append(Column(head="Model", cell=model, left=True))
    most = _MOST_METRICS - (_WIDTH_OF_PEOPLE if board.shows_corrected else 0)
    for measure in board.measures[:most]:
        parts = (escape_tex(measure.name), r"\%" if measure.unit == "%" else "", _ARROWS.get(measure.better, ""))
        columns.append(Column(head=" ".join(part for part in parts if part), cell=_pick_measure(board, measure)))
        if measure.main and board.shows_corrected:
            columns.append(Column(head="By people", cell=_pick_corrected(measure.name)))
    columns.append(
        Column(head="$n$", cell=lambda row: str(row.n) if row.epochs == 1 else rf"{row.n} $\times$ {row.epochs}")
    )
    columns.append(Column(head="Coverage", cell=lambda row: escape_tex(format_share(row.coverage))))
    columns.append(Column(head="Blocked", cell=lambda row: str(row.blocked)))
    wording = _join_distinct(row.fidelity for row in board.rows)
    caption = [
        f"{board.name}, a part of {board.part_of}" if board.part_of else board.name,
        f"Judge: {_join_distinct(row.judge.label for row in board.rows)}",
        f"Wording of the input: {wording}" if wording else "",
        "In brackets: 95% interval of the main number",
        "By people: what people's labels give; the notes say how many" if board.shows_corrected else "",
        "Coverage: share of the records that have a result",
    ]
    # a dagger stands before what explains an unranked row; the flags of answers follow
    why = tuple(f"{row.model}: not ranked" for row in board.rows if row.unranked)
    notes = [(r"\unranked{} " if note.startswith(why) else "") + escape_tex(note) for note in board.notes]
    notes += map(escape_tex, list_flags(board))
    if letters:
        flags = [rf"\flagged{{{letter}}} {escape_tex(kind.replace('_', ' '))}" for kind, letter in letters.items()]
        notes.append(f"Flags: {', '.join(flags)}.")
    if left_out := [measure.name for measure in board.measures[most:]]:
        notes.append(escape_tex(f"Not shown here: {', '.join(left_out)}."))
    told = " ".join(f"{escape_tex(text)}." for text in caption if text)
    return _tabulate(columns, board.rows, caption=told, label=label, notes=notes)


def _join_distinct(texts: Iterator[str]) -> str:
    return "; ".join(dict.fromkeys(text for text in texts if text))


def _pick_measure(board: Board, column: Measure) -> Callable[[Row], str]:
    """The cell of a metric; the main metric's has its mark and interval."""

    def cell(row: Row) -> str:
        mine = row.find_measure(column.name)
        if mine is None:
            return _format_number(None, column.unit)
        value = _format_number(mine.value, mine.unit)
        if not mine.main:
            return value
        mark = find_standing(board, row)
        return (rf"\{mark}{{{value}}}" if mark else value) + _format_interval(mine.ci95, mine.unit)

    return cell


def _pick_corrected(name: str) -> Callable[[Row], str]:
    """The cell of what people's labels say of a metric, with its interval."""

    def cell(row: Row) -> str:
        mine = row.find_measure(name)
        if mine is None or mine.corrected is None or mine.corrected.value is None:
            return _format_number(None, "")
        found = mine.corrected
        return f"{_format_number(found.value, mine.unit)}{_format_interval(found.ci95, mine.unit)}"

    return cell


def _tabulate_means(means: Sequence[Mean]) -> str:
    """One row per run and suite; notes below list the parts of each mean."""

    def value(mean: Mean) -> str:
        if mean.value is None:
            return _format_number(None, mean.unit)
        arrow = f" {_ARROWS[mean.better]}" if mean.better else ""
        return f"{_format_number(mean.value, mean.unit)}{arrow}{_format_interval(mean.ci95, mean.unit)}"

    def note(mean: Mean) -> str:
        missing = f"; missing: {', '.join(mean.missing)}" if mean.missing else ""
        partial = "" if mean.complete or mean.missing else "; a part is a subset or incomplete"
        return escape_tex(f"{mean.model}, {mean.suite}: {mean.sources or 'nothing'}{missing}{partial}.")

    columns: list[Column[Mean]] = [
        Column(head="Model", cell=lambda mean: escape_tex(mean.model), left=True),
        Column(head="Suite", cell=lambda mean: escape_tex(mean.suite), left=True),
        Column(head="Mean", cell=value),
        Column(head="Parts", cell=lambda mean: str(mean.parts)),
    ]
    notes = [note(mean) for mean in means]
    return _tabulate(columns, means, caption=escape_tex(_MEANS), label="tab:harness-suites", notes=notes)


def _tabulate(
    columns: Sequence[Column[_T]], rows: Sequence[_T], *, caption: str, label: str, notes: Sequence[str]
) -> str:
    """The whole float; caption and notes are already LaTeX."""
    spec = "".join("l" if column.left else "r" for column in columns)
    lines = [[column.cell(row) for column in columns] for row in rows]
    under = [r"\par\smallskip\footnotesize\raggedright", *(rf"{note}\par" for note in notes)] if notes else []
    return "\n".join(
        [
            r"\begin{table}[htbp]",
            r"\centering",
            r"\small\setlength{\tabcolsep}{4pt}",
            rf"\caption{{{caption}}}",
            rf"\label{{{label}}}",
            rf"\begin{{tabular}}{{{spec}}}",
            r"\toprule",
            rf"{' & '.join(column.head for column in columns)} \\",
            r"\midrule",
            *(rf"{' & '.join(cells)} \\" for cells in lines),
            r"\bottomrule",
            r"\end{tabular}",
            *under,
            r"\end{table}",
        ]
    )


def _format_number(value: float | None, unit: str) -> str:
    return escape_tex(NOTHING) if value is None else format_value(value, unit)


def _format_interval(ends: Ends, unit: str) -> str:
    r"""A small interval after its value: ` {\scriptsize [78.3, 82.1]}`; empty for none."""
    shown = format_interval(ends, unit)
    return rf" {{\scriptsize {shown}}}" if shown else ""


def render_matrix(table: Matrix) -> str:
    r"""The table as one file for `\input`."""
    shrinks = table.fit != "none"
    float_name = "sidewaystable" if table.fit == "sideways" else "table"
    columns = len(table.columns)
    body = [
        rf"\begin{{tabular}}{{l{'r' * columns}}}",
        r"\toprule",
        *_list_heads(table),
        r"\midrule",
        *_list_rows(table),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    if shrinks:
        body = [r"\fitmatrix{%", *body[:-1], r"\end{tabular}}"]
    facts = " ".join(escape_tex(fact) for fact in table.facts)
    notes = " ".join(rf"\flagged{{{note.mark}}}\,{escape_tex(note.text)}" for note in table.notes)
    under = [r"\par\smallskip\scriptsize\raggedright", *(rf"{text}\par" for text in (facts, notes) if text)]
    place = "" if table.fit == "sideways" else "[htbp]"
    return "\n".join(
        [
            rf"% Needs \usepackage{{{_PACKAGES[table.fit]}}}. Define these before \input to set them another way.",
            _MACROS,
            *([_FIT] if shrinks else []),
            "",
            rf"\begin{{{float_name}}}{place}",
            r"\centering",
            r"\small\setlength{\tabcolsep}{4pt}",
            rf"\caption{{{escape_tex(table.title)}}}",
            rf"\label{{tab:{table.label}}}",
            *body,
            *under,
            rf"\end{{{float_name}}}",
            "",
        ]
    )


def _list_heads(table: Matrix) -> Iterator[str]:
    """The lines of heads, the outer one first, with rules below what spans several columns."""
    for spans in table.heads:
        cells, rules, first = [""], list[str](), 2
        for head, width in spans:
            cells.append(rf"\multicolumn{{{width}}}{{c}}{{{escape_tex(head)}}}")
            rules += [rf"\cmidrule(lr){{{first}-{first + width - 1}}}"] if head else []
            first += width
        yield rf"{' & '.join(cells)} \\"
        yield "".join(rules)
    yield rf"{' & '.join(['Model', *map(_set_head, table.columns)])} \\"


def _set_head(column: MatrixColumn) -> str:
    parts = (escape_tex(column.head), _ARROWS.get(column.better, ""))
    return rf"\multicolumn{{1}}{{c}}{{{' '.join(part for part in parts if part)}{_set_marks(column.notes)}}}"


def _list_rows(table: Matrix) -> Iterator[str]:
    width = len(table.columns) + 1
    for number, row in enumerate(table.rows):
        if row.section:
            yield from [r"\midrule"] if number else []
            yield rf"\multicolumn{{{width}}}{{l}}{{\emph{{{escape_tex(row.section)}}}}} \\"
        name = escape_tex(row.name) + _set_marks(row.notes)
        yield rf"{' & '.join([name, *map(_set_cell, row.cells)])} \\"


def _set_cell(cell: MatrixCell) -> str:
    number = escape_tex(NOTHING) if cell.value is None else cell.number
    if cell.standing:
        number = rf"\{cell.standing}{{{number}}}"
    spread = rf" {{\scriptsize {escape_tex(cell.spread)}}}" if cell.spread else ""
    interval = rf" {{\scriptsize {cell.interval}}}" if cell.interval else ""
    return f"{number}{_set_marks(cell.notes)}{spread}{interval}"


def _set_marks(notes: Sequence[str]) -> str:
    return rf"\flagged{{{','.join(notes)}}}" if notes else ""
