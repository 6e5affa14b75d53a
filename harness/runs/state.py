"""Whether a run is complete, incomplete, running, or failed, as its folder says now; nothing is written.

A process that writes to a run holds locks in its folder, and the system frees them however the process ends. So a run
that was killed is never taken for one that is running. All else follows from run.json and results.json.
"""

from __future__ import annotations

import fcntl
import glob
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

from harness.board.results import FILE, read_results
from harness.contracts import Results
from harness.errors import BadData, BudgetSpent, HarnessError
from harness.store.folder import RunFolder
from harness.store.run_file import RunFile

StateName = Literal["complete", "incomplete", "running", "pending", "failed"]
STATES: Final[tuple[StateName, ...]] = ("complete", "incomplete", "running", "pending", "failed")
_INTERRUPTED: Final = "interrupted"
_PENDING: Final = "pending"
_OVER: Final = f"{BudgetSpent.__name__}: "
_CONTINUE: Final = "the same command continues it"
_SECONDS: Final = len("2026-01-01T00:00:00")
_TAIL: Final = 1 << 16  #: bytes read at the end of a journal, to find when its last line was written


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """The state of a run folder.

    Attributes:
        name: complete, incomplete, running, pending (a batch of calls is out), or failed.
        why: what is missing or went wrong, and what to do; empty for a complete run.
        file: run.json.
        results: results.json as last written; None if there are none that can be read.
        settled: whether the listings name everything that was asked: the last invocation ended normally.
    """

    name: StateName
    why: str
    file: RunFile
    results: Results | None
    settled: bool


def find_state(folder: Path) -> RunState:
    """The state of a run folder.

    Raises:
        HarnessError: there is no run here, or its run.json is broken.
    """
    place = RunFolder(folder)
    file = place.load_run()
    results, fault = _read_results(folder)
    last = file.history[-1] if file.history else None
    name: StateName = "incomplete"
    settled = last is not None and last.end == "done"
    if is_running(folder):
        name, why, settled = "running", "another process is writing to it", False
    elif last is None:
        why = f"it ended before anything was finished; {_CONTINUE}{_format_begun(file, folder)}"
    elif file.running and last.end == "done":
        why, settled = f"its last invocation was killed; {_CONTINUE}{_format_begun(file, folder)}", False
    elif last.end == _PENDING:
        name, why = "pending", last.reason or f"a batch of calls has not come back; {_CONTINUE}"
    elif last.end != "done":
        if last.reason == _INTERRUPTED or last.reason.startswith("CancelledError"):
            why = f"it was interrupted; {_CONTINUE}"
        elif last.reason.startswith(_OVER):  # a stop that the user asked for: all answers are kept, and the exit is 3
            lines = last.reason.removeprefix(_OVER).splitlines()
            why = "; ".join(line.strip() for line in lines)
        else:
            name, why = "failed", last.reason or "its last invocation failed, and does not say why"
    elif results is None:
        why = fault
    else:
        missing = list(_list_missing(file, results))
        if not missing and _has_later_lines(folder, last.finished):
            missing, settled = [f"lines were written after its results; {_CONTINUE}"], False
        name, why = ("incomplete", "; ".join(missing)) if missing else ("complete", "")
    return RunState(name=name, why=why, file=file, results=results, settled=settled)


def _format_begun(file: RunFile, folder: Path) -> str:
    """The command of the invocation that was killed; empty if run.json does not say."""
    raw = cast("Mapping[str, Any]", file.running.get("options") or {})
    if not raw:
        return ""
    from harness.evaluation.options import Options
    from harness.runs.option_record import format_command, read_options

    try:
        return f": {format_command(read_options(Options, raw, str(folder)), 'run', folder)}"
    except HarnessError:  # an option of another version, or a key
        return ""


def is_running(folder: Path) -> bool:
    """Whether another process writes to the folder now."""
    # a lock is taken for a moment, and shared where that shows a writer: one that starts right then waits for it
    writers = folder / ".writers.lock"
    for path in (writers, *folder.glob("*/.responses.jsonl.lock"), *folder.glob("*/.verdicts-*.jsonl.lock")):
        with suppress(FileNotFoundError, PermissionError), path.open("rb") as file:
            try:
                # writers share the first lock, so only an exclusive one shows them
                fcntl.flock(file, (fcntl.LOCK_EX if path == writers else fcntl.LOCK_SH) | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            except OSError:  # a file system without locks: nothing is known
                continue
    return False


def _read_results(folder: Path) -> tuple[Results | None, str]:
    """results.json, or why it cannot be read."""
    path = folder / FILE
    if not path.exists():
        return None, f"there is no {FILE}; {_CONTINUE}"
    try:
        return read_results(path), ""
    except BadData as error:
        return None, str(error)


def _list_missing(file: RunFile, results: Mapping[str, Any]) -> Iterator[str]:
    """What is missing in results that were written, in words."""
    tasks: Mapping[str, Any] = results["tasks"]
    for display, entry in file.tasks.items():
        splits: Mapping[str, Any] = tasks.get(display, {}).get("splits", {})
        for name in entry.splits:
            title = f"{display}:{name}"
            split: Mapping[str, Any] | None = splits.get(name)
            if split is None:
                yield f"{title} has no results"
                continue
            if split["complete"]:
                continue
            counts = {name: split["outcomes"].get(name, 0) for name in ("bad_sample", "error", "unanswered")}
            counts |= {state: count for state, count in split["verdicts"].items() if state != "scored"}
            coverage = split["coverage"]
            first = "nothing was asked" if coverage is None else f"coverage {coverage:.1%}"
            yield f"{title}: " + ", ".join([first, *(f"{name} {count}" for name, count in counts.items() if count)])
    for name, suite in cast("Mapping[str, Any]", results.get("suites") or {}).items():
        mean: Mapping[str, Any] | None = suite["mean"]
        if mean is not None and mean["missing"]:
            yield f"suite {name}: {', '.join(mean['missing'])} missing"


def _has_later_lines(folder: Path, finished: str) -> bool:
    """Whether an answer or a machine's verdict is newer than the results: an invocation was killed since."""
    written = (folder / FILE).stat().st_mtime_ns
    for path in (*folder.glob("*/responses.jsonl"), *folder.glob("*/verdicts-*.jsonl")):
        # a copy of a folder has other times, so the line itself decides
        if path.stat().st_mtime_ns >= written and _find_last_time(path)[:_SECONDS] > finished[:_SECONDS]:
            return True
    return False


def _find_last_time(path: Path) -> str:
    """When the last whole line of a journal was written, ISO 8601; empty if unknown."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _TAIL))
        tail = file.read()
    line = tail.rpartition(b"\n")[0].rpartition(b"\n")[2]
    try:
        return str(json.loads(line)["at"])
    except (ValueError, KeyError, TypeError):  # longer than the tail, or edited
        return ""


def list_run_folders(places: Iterable[Path]) -> list[Path]:
    """The run folders that a command names, each once: folders, and patterns such as `runs/*`.

    A pattern leaves out what is no run. A folder without a run and without runs below it is left to what opens it.

    Raises:
        HarnessError: runs lie in sub-folders, as those of a sweep do, or a pattern matches none.
    """
    found: list[Path] = []
    for place in places:
        if place.exists() or not glob.has_magic(str(place)):
            if not (place / "run.json").is_file() and any(place.glob("*/run.json")):
                remedy = f"its sub-folders hold runs: name one, or give all of them as '{place / '*'}'"
                raise HarnessError("there is no run here", where=str(place), remedy=remedy)
            found.append(place)
            continue
        matches = [Path(match) for match in sorted(glob.glob(str(place), recursive=True))]  # noqa: PTH207 - a user's
        runs = [match for match in matches if (match / "run.json").is_file()]
        if not runs:
            raise HarnessError("no run matches", where=str(place), remedy="see the runs there are: harness runs")
        found += runs
    return list({folder.resolve(): folder for folder in found}.values())


def check_run_folder(folder: Path) -> None:
    """Raise HarnessError, with what to give instead, for a path that is no run folder."""
    if (folder / "run.json").is_file():
        return
    if folder.is_file():
        remedy = f"give its folder: {folder.parent}" if (folder.parent / "run.json").is_file() else ""
        raise HarnessError("this is a file and not a run folder", where=str(folder), remedy=remedy)
    if not folder.exists():
        raise HarnessError("there is no such folder", where=str(folder), remedy="see the runs there are: harness runs")
    if (folder / FILE).is_file():
        raise HarnessError(
            "this folder holds results but no run: its run.json is missing",
            where=str(folder),
            remedy="harness.report and `harness report` read results alone",
        )
    inner = sorted(path.parent.name for path in folder.glob("*/run.json"))
    remedy = f"give one of the runs in it, such as {folder / inner[0]}" if inner else "make a run: harness run …"
    raise HarnessError("there is no run here", where=str(folder), remedy=remedy)
