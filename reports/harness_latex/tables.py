r"""A booktabs table: columns that say what they show of a row, around it caption, label and notes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from harness.board.display import NOTHING, figure, span
from harness.board.values import Ends
from harness.tex import escape

_T = TypeVar("_T")

ARROWS = {"lower": r"$\downarrow$", "higher": r"$\uparrow$"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column(Generic[_T]):
    """One column: its head and what it shows of a row; both LaTeX already."""

    head: str
    cell: Callable[[_T], str]
    left: bool = False


def table(columns: Sequence[Column[_T]], rows: Sequence[_T], *, caption: str, label: str, notes: Sequence[str]) -> str:
    """The whole float; caption and notes are LaTeX already."""
    spec = "".join("l" if column.left else "r" for column in columns)
    lines = [_line([column.cell(row) for column in columns]) for row in rows]
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
            _line([column.head for column in columns]),
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            *under,
            r"\end{table}",
        ]
    )


def head(name: str, unit: str, better: str) -> str:
    r"""A metric's name, its unit and the direction that is better: `ASR \% $\downarrow$`."""
    return " ".join(part for part in (escape(name), r"\%" if unit == "%" else "", ARROWS.get(better, "")) if part)


def number(value: float | None, unit: str) -> str:
    """A value as it is shown."""
    return escape(NOTHING) if value is None else figure(value, unit)


def interval(ends: Ends, unit: str) -> str:
    r"""An interval behind its value, small: ` {\scriptsize [78.3, 82.1]}`; empty where there is none."""
    shown = span(ends, unit)
    return rf" {{\scriptsize {shown}}}" if shown else ""


def _line(cells: Sequence[str]) -> str:
    return rf"{' & '.join(cells)} \\"
