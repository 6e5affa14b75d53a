r"""The paper table as LaTeX: one booktabs `table` with heads over several columns and footnotes below it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from harness.matrix import NOTHING, Matrix, MatrixCell, MatrixColumn, MatrixRow
from harness.text import escape_tex

_ARROWS: Final = {"lower": r"$\downarrow$", "higher": r"$\uparrow$"}
_PACKAGES: Final = {"resize": "booktabs,graphicx", "sideways": "booktabs,graphicx,rotating", "none": "booktabs"}
_MACROS: Final = r"""\providecommand{\best}[1]{\textbf{#1}}
\providecommand{\second}[1]{\underline{#1}}
\providecommand{\flagged}[1]{\textsuperscript{#1}}"""
#: shrinks a table only where it is wider than the text
_FIT: Final = r"\providecommand{\fitmatrix}[1]{\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{#1}}"


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
        yield rf"{' & '.join([_set_name(row), *map(_set_cell, row.cells)])} \\"


def _set_name(row: MatrixRow) -> str:
    return escape_tex(row.name) + _set_marks(row.notes)


def _set_cell(cell: MatrixCell) -> str:
    number = escape_tex(NOTHING) if cell.value is None else cell.number
    if cell.standing:
        number = rf"\{cell.standing}{{{number}}}"
    spread = rf" {{\scriptsize {escape_tex(cell.spread)}}}" if cell.spread else ""
    interval = rf" {{\scriptsize {cell.interval}}}" if cell.interval else ""
    return f"{number}{_set_marks(cell.notes)}{spread}{interval}"


def _set_marks(notes: Sequence[str]) -> str:
    return rf"\flagged{{{','.join(notes)}}}" if notes else ""
