"""Plain tables: a list of plugins is no reason to import a renderer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.text import one_line


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns padded to their widest cell, two spaces apart; the last one runs free."""
    lines = [[one_line(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def indented(text: str) -> str:
    """The text two spaces to the right."""
    return "\n".join(f"  {line}" for line in text.splitlines())
