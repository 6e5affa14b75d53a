"""What a finished run prints: the table or the JSON on stdout, what the user should read on stderr."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .stdout import results_stream, show, tell

if TYPE_CHECKING:
    from harness.runs.run import Run


def printed(runs: Sequence[Run], *, as_json: bool, several: bool) -> None:
    """Print runs that ended; with several models `--json` prints a list."""
    if as_json:
        every = [run.results for run in runs]
        show(json.dumps(every if several else every[0], ensure_ascii=False, indent=1), raw=True)
    for run in runs:
        if not as_json:
            from harness.board.tables import print_run_table

            print_run_table(run.results, results_stream())
        for note in run.notes:
            tell(f"note: {note}")
        tell(f"results: {run.folder / 'results.json'}")


def resume_hint(command: Sequence[str]) -> str:
    """How to go on: running the same command again resumes."""
    again = shlex.join(word for word in command if word != "--fresh")
    return f"what was answered is kept; go on with: {again}"
