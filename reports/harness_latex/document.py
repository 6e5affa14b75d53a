r"""Boards as LaTeX: one `table` each, with what stands beside every number in its columns, caption and notes.

Only escaped text and numbers reach the file. Marks are macros, so that a paper can set them its own way.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from harness.board.means import Mean
from harness.board.values import Board

from .boards import board_table
from .suites import suite_table

_HEAD = r"""% Needs \usepackage{booktabs}. Define these before \input to set them another way.
\providecommand{\best}[1]{\textbf{#1}}
\providecommand{\second}[1]{\underline{#1}}
\providecommand{\unranked}{\textsuperscript{\dag}}
\providecommand{\flagged}[1]{\textsuperscript{#1}}"""
_MOST_FLOATS = 12  #: tables in a row before they are put out: LaTeX holds few that found no page yet


def document(boards: Sequence[Board], means: Sequence[Mean] = ()) -> str:
    """All boards, pooled ones before their parts, then the suites' means."""
    ordered = sorted(boards, key=lambda board: bool(board.part_of))
    tables = [board_table(board, label) for board, label in zip(ordered, _labels(ordered), strict=True)]
    suites = [suite_table(means, "tab:harness-suites")] if means else []
    return "\n\n".join([_HEAD, *_flushed([*tables, *suites])]) + "\n"


def _flushed(tables: Sequence[str]) -> Iterator[str]:
    for number, table in enumerate(tables):
        if number and number % _MOST_FLOATS == 0:
            yield r"\clearpage"
        yield table


def _labels(boards: Iterable[Board]) -> Iterator[str]:
    r"""What `\ref` takes: `tab:mis-test`; equal ones are numbered."""
    taken: Counter[str] = Counter()
    for board in boards:
        slug = re.sub(r"[^a-z0-9]+", "-", board.name.lower()).strip("-") or "board"
        taken[slug] += 1
        yield f"tab:{slug}" if taken[slug] == 1 else f"tab:{slug}-{taken[slug]}"
