"""A run as logs that inspect_ai reads and shows: `harness report RUN --format inspect --output FOLDER`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from harness import Report, hookimpl


def log_files(folders: Sequence[Path], reveal: bool) -> Mapping[str, bytes]:
    """One `.eval` log per asked split. Raises HarnessError if inspect_ai is not installed."""
    from harness.extras import require

    with require("inspect", by="--format inspect"):
        from .logs import render_logs
    return render_logs(folders, reveal=reveal)


@hookimpl
def harness_reports() -> Iterable[Report]:
    """Offer `inspect`."""
    text = "a folder of .eval logs for inspect_ai and `inspect view`; holds samples"
    return (Report(name="inspect", description=text, samples=log_files, suffix=""),)
