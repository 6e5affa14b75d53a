"""Tables of a card."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.markdown import escape


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """A table's lines. Cells are escaped; a head that begins with # is of numbers, and one with ` of our own code."""
    yield f"| {' | '.join(head.lstrip('#`') for head in heads)} |"
    yield f"| {' | '.join('---:' if head.startswith('#') else '---' for head in heads)} |"
    for row in rows:
        cells = (str(cell) if head.startswith("`") else escape(cell) for head, cell in zip(heads, row, strict=True))
        yield f"| {' | '.join(cells)} |"
