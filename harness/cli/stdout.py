"""Reserves standard output for results: everything else printed during a core command goes to stderr.

The output of a plugin, a library or a child process must not get into `--json`.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, Final, TextIO

import click

from harness.text import one_line, plain

_MARK: Final = "reserves_stdout"
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


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns padded to their widest cell, two spaces apart, without importing a renderer."""
    lines = [[one_line(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def indented(text: str) -> str:
    """The text indented by two spaces."""
    return "\n".join(f"  {line}" for line in text.splitlines())
