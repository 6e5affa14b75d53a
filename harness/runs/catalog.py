"""The runs under a folder: `harness.list_runs(...)`. The command `harness runs` prints them.

A folder that holds a broken run is listed with the reason, and never ends the list. Hidden folders are skipped: they
hold what `--fresh` moved away, and the shards of runs. Links to folders are not followed.

Of an address, such as `s3://lab/runs`, the copies below it are listed. Each is fetched, as all readers of a copy do.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, cast

from harness.board.results import FILE, read_results
from harness.contracts import Results
from harness.errors import HarnessError
from harness.remote import fetch_folder, is_remote, list_addresses
from harness.runs.state import StateName, find_state
from harness.store.run_file import RunFile
from harness.store.shards import SHARDS, list_shards
from harness.types import Json

SCHEMA: Final = "harness.runs/1"
DEPTH: Final = 4  #: folders below the named one that are searched

ListedState = StateName | Literal["unreadable"]
LISTED_STATES: Final[tuple[ListedState, ...]] = (
    "complete",
    "incomplete",
    "running",
    "pending",
    "failed",
    "unreadable",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MainNumber:
    """The main metric of one split under its primary judge.

    Attributes:
        task: the task's displayed name.
        split: the split.
        judge: the primary judge; None for none.
        metric: the metric's name.
        value: the number in its unit; None if there is none.
        unit: `%` or `0-1`.
        better: which direction is good.
        ci95: its interval.
        ci95_worst: its interval, stretched over what is unresolved.
        n: samples.
        complete: whether enough of the split is resolved.
        part: whether the split is part of a pooled one that is listed too.
    """

    task: str
    split: str
    judge: str | None
    metric: str
    value: float | None
    unit: str
    better: str
    ci95: tuple[float | None, float | None] | None
    ci95_worst: tuple[float | None, float | None] | None
    n: int
    complete: bool
    part: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRun:
    """One run of a list.

    Attributes:
        folder: the run folder.
        state: its state, or `unreadable`.
        why: what is missing or wrong; empty for a complete run.
        model: the model as the user wrote it; empty if unknown.
        name: the model with its strategy, system message and attack, as leaderboards name it.
        tasks: `task:split` of each asked split, or the tasks begun so far.
        numbers: the main number of each split; none without results.
        cost_usd: dollars as results.json has them; None if unknown, or if the calls have no price.
        cost_why: why `cost_usd` is None, if results.json says so; else empty.
        started: start of the first invocation, ISO 8601; empty if unknown.
        finished: end of the last one; empty if none has ended.
        redacted: whether it is a redacted export.
        address: where the run is, if `folder` is the local copy of a run elsewhere; else empty.
    """

    folder: Path
    state: ListedState
    why: str = ""
    model: str = ""
    name: str = ""
    tasks: tuple[str, ...] = ()
    numbers: tuple[MainNumber, ...] = ()
    cost_usd: float | None = None
    cost_why: str = ""
    started: str = ""
    finished: str = ""
    redacted: bool = False
    address: str = ""

    @property
    def place(self) -> str:
        """Where the run is: its address, or its folder."""
        return self.address or str(self.folder)

    @property
    def when(self) -> str:
        """Its latest known time, ISO 8601: the end of its last invocation, or its start."""
        return self.finished or self.started

    def as_json(self) -> dict[str, Json]:
        """The run in the JSON of `harness runs`; what is unknown is null."""
        return {
            "folder": self.place,
            "state": self.state,
            "why": self.why or None,
            "model": self.model or None,
            "name": self.name or self.model or None,
            "tasks": list(self.tasks),
            "numbers": [
                {
                    "task": each.task,
                    "split": each.split,
                    "judge": each.judge,
                    "metric": each.metric,
                    "value": each.value,
                    "unit": each.unit,
                    "better": each.better,
                    "ci95": None if each.ci95 is None else list(each.ci95),
                    "ci95_worst": None if each.ci95_worst is None else list(each.ci95_worst),
                    "n": each.n,
                    "complete": each.complete,
                }
                for each in self.numbers
            ],
            "cost_usd": self.cost_usd,
            **({"cost_why": self.cost_why} if self.cost_why else {}),
            "started": self.started or None,
            "finished": self.finished or None,
            "redacted": self.redacted,
        }


def list_runs(folder: Path | str = "runs", *, depth: int = DEPTH) -> tuple[ListedRun, ...]:
    """The runs in a folder and its sub-folders, the newest first.

    Args:
        folder: a folder of runs, or one run; also an address.
        depth: how many levels of sub-folders to search.

    Raises:
        HarnessError: there is no such folder, or the store at the address refuses.
    """
    if is_remote(folder):
        copies = [_read_copy(url) for url in list_addresses(str(folder), depth)]
        return tuple(sorted(copies, key=lambda run: (run.when, run.address), reverse=True))
    place = Path(folder)
    if not place.is_dir():
        what = "this is a file and not a folder of runs" if place.exists() else "there is no such folder"
        raise HarnessError(what, where=str(place), remedy="name the folder that holds your runs: harness runs FOLDER")
    found = [read_listed_run(each) for each in find_run_folders(place, depth)]
    return tuple(sorted(found, key=lambda run: (run.when, str(run.folder)), reverse=True))


def _read_copy(url: str) -> ListedRun:
    """A row for the copy at an address; one that is not whole has its reason in `why`."""
    try:
        return replace(read_listed_run(fetch_folder(url)), address=url)
    except HarnessError as error:
        return ListedRun(folder=Path(), state="unreadable", why=error.what, address=url)


def find_run_folders(folder: Path, depth: int) -> Iterator[Path]:
    """The folders with a run, or with what is left of one, by name; none inside another run.

    Args:
        folder: where to search, itself included.
        depth: how many levels of sub-folders to search.
    """
    names: list[str] = []
    inner: list[Path] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                names.append(entry.name)
                if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                    inner.append(Path(entry.path))
    except OSError:
        yield folder  # a row says that it cannot be read
        return
    if "run.json" in names or FILE in names or SHARDS in names:
        yield folder
        return
    inner.sort()
    if any(os.path.isfile(path / "responses.jsonl") for path in inner):  # noqa: PTH113 - raises nothing
        yield folder
        return
    for path in inner if depth > 0 else ():
        yield from find_run_folders(path, depth - 1)


def read_listed_run(folder: Path) -> ListedRun:
    """A row for a folder; a folder that cannot be read has its reason in `why`."""
    try:
        if (folder / "run.json").is_file():
            state = find_state(folder)
            file, results = state.file, state.results
            return ListedRun(
                folder=folder,
                state=state.name,
                why=state.why,
                model=file.model.ref,
                name=file.model_name,
                tasks=_list_tasks(folder, file),
                numbers=() if results is None else tuple(list_main_numbers(results)),
                cost_usd=_find_cost(results),
                cost_why=_find_cost_reason(results),
                started=file.started,
                finished=file.history[-1].finished if file.history and state.name != "running" else "",
                redacted=file.redacted,
            )
        return _describe_rest(folder)
    except HarnessError as error:
        inside = error.where.removeprefix(str(folder)).lstrip("/")
        why = f"{inside}: {error.what}" if inside else error.what
    except OSError as error:
        why = f"cannot be read: {error.strerror}"
    except (KeyError, TypeError, ValueError, AttributeError) as error:  # an edited file
        why = f"not a run's files: {type(error).__name__}: {error}"
    changed = ""
    with suppress(OSError):
        changed = datetime.fromtimestamp(folder.stat().st_mtime, UTC).isoformat(timespec="seconds")
    return ListedRun(folder=folder, state="unreadable", why=why, finished=changed)


def _describe_rest(folder: Path) -> ListedRun:
    """A folder without run.json: shards that are not merged, results alone, or what is left of a run."""
    with os.scandir(folder):  # raises OSError if the folder cannot be read
        pass
    if shards := list_shards(folder):
        first = find_state(next(iter(shards.values())))
        of = next(reversed(shards))[1]
        return ListedRun(
            folder=folder,
            state="incomplete",
            why=f"{len(shards)} of {of} shards have begun; harness merge {folder} makes one run of them",
            model=first.file.model.ref,
            name=first.file.model_name,
            tasks=_list_tasks(next(iter(shards.values())), first.file),
            started=first.file.started,
        )
    if (folder / FILE).is_file():
        results = read_results(folder / FILE)
        return ListedRun(
            folder=folder,
            state="unreadable",
            why="results alone: run.json is missing, so the run can be reported and not read",
            model=str(results["model"]["ref"]),
            tasks=tuple(f"{task}:{split}" for task, about in results["tasks"].items() for split in about["splits"]),
            numbers=tuple(list_main_numbers(results)),
            cost_usd=_find_cost(results),
            cost_why=_find_cost_reason(results),
            started=str(results["started"]),
            finished=str(results["finished"]),
        )
    raise HarnessError(
        "there are answers without a run.json: another program wrote them, or the file was deleted",
        remedy="restore run.json",
    )


def _list_tasks(folder: Path, file: RunFile) -> tuple[str, ...]:
    """The splits that were asked or are asked now; where run.json does not say, the folders of the tasks."""
    titles = [f"{display}:{split}" for display, task in file.tasks.items() for split in task.splits]
    known = {display.partition("+")[0] for display in file.tasks}
    begun_splits = cast("Mapping[str, Any]", file.running.get("splits") or {})
    titles += [title for title in begun_splits if title not in titles]
    begun = sorted(path.parent.name for path in folder.glob("*/responses.jsonl")) if not titles else []
    return (*titles, *(name for name in begun if name not in known))


def _find_cost(results: Results | None) -> float | None:
    usage: Mapping[str, Any] = (results or {}).get("usage") or {}
    cost = usage.get("cost_usd")
    return float(cost) if isinstance(cost, int | float) and not isinstance(cost, bool) else None


def _find_cost_reason(results: Results | None) -> str:
    usage: Mapping[str, Any] = (results or {}).get("usage") or {}
    return str(usage.get("cost_why") or "") if usage.get("cost_usd") is None else ""


def list_main_numbers(results: Results) -> Iterator[MainNumber]:
    """The main number of each split of some results."""
    for task, about in results["tasks"].items():
        splits: Mapping[str, Any] = about["splits"]
        pooled = {part for split in splits.values() for part in split.get("parts") or ()}
        for name, split in splits.items():
            metrics: Mapping[str, Any] = split["metrics"]
            main = next(
                (metric for metric, figures in metrics.items() if figures.get("main")), next(iter(metrics), None)
            )
            if main is None:
                continue
            figures: Mapping[str, Any] = metrics[main]
            yield MainNumber(
                task=task,
                split=name,
                judge=split.get("judge"),
                metric=main,
                value=figures["value"],
                unit=figures["unit"],
                better=figures["better"],
                ci95=_read_ends(figures.get("ci95")),
                ci95_worst=_read_ends(figures.get("ci95_worst")),
                n=split["n"],
                complete=split["complete"],
                part=name in pooled,
            )


def _read_ends(given: Any) -> tuple[float | None, float | None] | None:
    return None if given is None else (given[0], given[1])
