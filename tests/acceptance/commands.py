"""The command `harness` as a person uses it: in a process of its own, or in this one where speed matters."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

SECONDS = 240  #: what no command here ever needs
FOREIGN = ("HARNESS_", "OPENAI_", "AZURE_OPENAI_", "XDG_")  #: variables of this machine that a test must not know


@dataclass(frozen=True)
class Ended:
    """A command that ended."""

    code: int
    out: str
    err: str


def harness(*words: object) -> Ended:
    """Run the command in a process of its own."""
    done = subprocess.run(command(words), capture_output=True, text=True, timeout=SECONDS, check=False)
    return Ended(done.returncode, done.stdout, done.stderr)


def harness_here(*words: object) -> Ended:
    """Run the command in this process: the same code, without the time a Python takes to start."""
    from harness.cli import main

    arguments, code = [str(word) for word in words], None
    out, err = io.StringIO(), io.StringIO()
    with (
        patch.object(sys, "argv", ["harness", *arguments]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main(arguments)
        except SystemExit as ended:
            code = ended.code
    assert isinstance(code, int)
    return Ended(code, out.getvalue(), err.getvalue())


@contextmanager
def started(*words: object, before: str = "") -> Iterator[subprocess.Popen[str]]:
    """Start the command in a process of its own; it is gone afterwards, whatever happened.

    Args:
        before: Python that the process runs first, such as to change a constant.
    """
    line = command(words)
    if before:
        line = [sys.executable, "-c", f"{before}\nfrom harness.cli import main\nmain()", *line[3:]]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=SECONDS)


def command(words: tuple[object, ...]) -> list[str]:
    """The words behind `harness`, as a process is started with."""
    return [sys.executable, "-m", "harness", *map(str, words)]


def home(folder: Path) -> dict[str, str]:
    """Variables that make a folder the place of config, data, cache and state."""
    return {f"XDG_{kind}_HOME": str(folder / f".{kind.lower()}") for kind in ("CONFIG", "DATA", "CACHE", "STATE")}


def foreign() -> list[str]:
    """Names of the variables to take away."""
    return [name for name in os.environ if name.startswith(FOREIGN)]
