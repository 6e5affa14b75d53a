"""Standard output is for results alone: whatever else a command of the core lets happen is printed on stderr.

A plugin, a library or a child process that prints while a command works must not end up in the middle of `--json`.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import sys
from collections.abc import Callable, Generator
from typing import Any, Final, TextIO

import click

from harness.text import plain

_MARK: Final = "reserves_stdout"
_results: TextIO | None = None


@contextlib.contextmanager
def reserve_stdout() -> Generator[None]:
    """While the body lasts, only `show` and `results_stream` reach standard output; all else goes to stderr."""
    global _results
    if _results is not None:
        yield
        return
    if not sys.stdout.closed:
        sys.stdout.flush()
    with _apart(sys.stdout) as results, contextlib.redirect_stdout(sys.stderr):
        _results = results
        try:
            yield
        finally:
            _results = None
        results.flush()


def reserve(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that runs with standard output reserved; one that does already is left alone."""
    if getattr(function, _MARK, False):
        return function

    @functools.wraps(function)
    def reserved(*arguments: Any, **named: Any) -> Any:
        with reserve_stdout():
            return function(*arguments, **named)

    setattr(reserved, _MARK, True)
    return reserved


def results_stream() -> TextIO:
    """Where results go."""
    return _results or sys.stdout


def tell(text: str) -> None:
    """Say something on stderr; where that is closed, nobody wants to hear it, and the command goes on."""
    with contextlib.suppress(OSError, ValueError):
        click.echo(plain(text), err=True)


def show(text: str | bytes, *, nl: bool = True, raw: bool = False) -> None:
    """Print results: lines of ours as a terminal may have them, JSON and files of reports as they are (`raw`)."""
    click.echo(text if raw or isinstance(text, bytes) else plain(text), file=results_stream(), nl=nl)


@contextlib.contextmanager
def _apart(stdout: TextIO) -> Generator[TextIO]:
    """A stream to where `stdout` leads; where that is the process's own, its descriptor leads to stderr meanwhile."""
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
