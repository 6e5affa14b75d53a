"""Reserves standard output for results: everything else printed during a core command goes to stderr.

The output of a plugin, a library or a child process must not get into `--json`.
"""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import os
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, Final, TextIO

import click

from harness.text import one_line, plain

_MARK: Final = "reserves_stdout"
_LEAST: Final = 20  #: a wrapped column keeps this width
_results: TextIO | None = None


@contextlib.contextmanager
def reserve_stdout() -> Generator[None]:
    """During the body, only `show` and `results_stream` reach standard output; all else goes to stderr."""
    global _results
    if _results is not None:
        yield
        return
    if not sys.stdout.closed:
        sys.stdout.flush()
    with _open_results(sys.stdout) as results, contextlib.redirect_stdout(sys.stderr):
        _results = results
        try:
            yield
        finally:
            _results = None
        results.flush()


@contextlib.contextmanager
def _open_results(stdout: TextIO) -> Generator[TextIO]:
    """A stream to the target of `stdout`; if it is the process's own, its descriptor leads to stderr meanwhile."""
    try:
        own = isinstance(stdout, io.TextIOWrapper) and stdout.fileno() == 1
        os.fstat(2)
    except (OSError, ValueError):
        own = False
    if not own:
        yield stdout
        return
    assert isinstance(stdout, io.TextIOWrapper)
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with open(kept, "w", encoding=stdout.encoding, errors=stdout.errors, closefd=False) as results:
            yield results
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def reserve(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that runs with standard output reserved; returns it unchanged if it already does."""
    if getattr(function, _MARK, False):
        return function

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        with reserve_stdout():
            return function(*arguments, **named)

    setattr(call, _MARK, True)
    return call


def results_stream() -> TextIO:
    """Where results go."""
    return _results or sys.stdout


def show(text: str | bytes, *, nl: bool = True, raw: bool = False) -> None:
    """Print results: lines made safe for a terminal; with `raw`, JSON and report files unchanged."""
    click.echo(text if raw or isinstance(text, bytes) else plain(text), file=results_stream(), nl=nl)


def tell(text: str) -> None:
    """Print a line on stderr; does nothing if stderr is closed."""
    with contextlib.suppress(OSError, ValueError):
        click.echo(plain(text), err=True)


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, width: int = 0) -> str:
    """Columns padded to their widest cell, two spaces apart, without importing a renderer.

    Args:
        header: the columns' heads.
        rows: the cells below them.
        width: the available columns; the widest cells are then wrapped between words. 0 wraps nothing.
    """
    lines = [[one_line(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    while width and sum(widths) + 2 * (len(widths) - 1) > width and max(widths) > _LEAST:
        widths[widths.index(max(widths))] -= 1
    if width:
        lines = [list(part) for line in lines for part in _wrap(line, widths)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def _wrap(cells: Sequence[str], widths: Sequence[int]) -> Iterable[Sequence[str]]:
    """The lines of a row whose cells are wrapped to these widths; a word longer than its column stays whole."""
    import textwrap  # a list in a pipe wraps nothing

    wrapped = [
        textwrap.wrap(cell, most, break_long_words=False, break_on_hyphens=False)
        for cell, most in zip(cells, widths, strict=True)
    ]
    return itertools.zip_longest(*wrapped, fillvalue="")


def indented(text: str) -> str:
    """The text indented by two spaces."""
    return "\n".join(f"  {line}" for line in text.splitlines())
