"""Checks that the numbers of a run follow from its lines: computes results.json again and compares.

Nothing is written into the folder, and no data set is opened. Facts that only the invocation knew (its time, duration,
command and machine) are not compared. Without the plugins it still checks that counts add up and lines are whole.
"""

from __future__ import annotations

import json
import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, cast

from harness.board.results import FILE, read_results
from harness.board.sections import name_model
from harness.contracts import Results
from harness.errors import BadData, HarnessError
from harness.evaluation.options import JudgeOptions
from harness.evaluation.splits import SplitPlan
from harness.prices.costs import remove_dollars
from harness.remote import find_local
from harness.runs.environment import harness_version
from harness.runs.results import compute_results
from harness.runs.run import Run
from harness.runs.selection import load_jobs
from harness.runs.state import check_run_folder
from harness.runs.stored import StoredRun
from harness.stats.draw import FILE as DRAW
from harness.store.folder import RunFolder
from harness.store.run_file import RunFile
from harness.types import BLOCKED, Json

_CLOSE: Final = 1e-9  #: numbers are rounded at the tenth decimal


class Nothing:
    """Marks a side without a value."""

    def __repr__(self) -> str:
        return "nothing"


NOTHING: Final = Nothing()


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One value that differs.

    Attributes:
        path: its keys, from the top.
        stored: the value in the file; NOTHING if missing.
        found: the computed value; NOTHING if missing.
    """

    path: tuple[str, ...]
    stored: object
    found: object


def find_differences(stored: object, found: object, path: tuple[str, ...] = ()) -> Iterator[Difference]:
    """Each difference between two JSON values; numbers equal to nine digits count as the same."""
    one, other = _list_parts(stored), _list_parts(found)
    if one is not None and other is not None and isinstance(stored, list) == isinstance(found, list):
        for name in dict.fromkeys((*one, *other)):
            yield from find_differences(one.get(name, NOTHING), other.get(name, NOTHING), (*path, name))
        return
    is_number = [isinstance(each, int | float) and not isinstance(each, bool) for each in (stored, found)]
    if all(is_number):
        same = _is_close(cast("float", stored), cast("float", found))
    else:
        same = type(stored) is type(found) and stored == found
    if not same:
        yield Difference(path=path, stored=stored, found=found)


def _list_parts(value: object) -> dict[str, object] | None:
    """Key or index -> value, for an object or a list; None for any other value."""
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, object]", value))
    if isinstance(value, list):
        return {str(place): each for place, each in enumerate(cast("list[object]", value))}
    return None


def check_sums(split: Mapping[str, Any]) -> Iterator[str]:
    """Find sums that are wrong in one split of results.json, under each of its judges.

    Raises:
        KeyError, TypeError, AttributeError, ValueError, OverflowError: `split` is not a split of results.json.
    """
    outcomes: Mapping[str, int] = split["outcomes"]
    records: int = split["records"]
    if sum(outcomes.values()) != records:
        yield f"outcomes sum to {sum(outcomes.values())}, not to the {records} records"
    if not 0 <= split["n"] <= records:
        yield f"{split['n']} samples in {records} records"
    views: dict[str, Mapping[str, Any]] = {split.get("judge") or "": split, **(split.get("other_judges") or {})}
    for judge, view in views.items():
        faults = [*_check_judge(view, outcomes, records), *_check_metrics(view["metrics"])]
        parts: Mapping[str, Mapping[str, Mapping[str, Any]]] = view.get("by") or {}
        for by, groups in parts.items():
            for group, part in groups.items():
                faults += (f"{by} {group}: {fault}" for fault in _check_metrics(part["metrics"]))
        yield from (f"{judge}: {fault}" if len(views) > 1 else fault for fault in faults)


def check_pairs(paired: Mapping[str, Any]) -> Iterator[str]:
    """Find sums that are wrong in a task's comparisons of its splits: a single one, or several by name.

    Raises as `check_sums`.
    """
    for body in [paired] if "pairs" in paired else paired.values():
        for name, side in body.items():
            if isinstance(side, Mapping):
                found = cast("Mapping[str, Any]", side)
                yield from _check_within(f"{name}, difference", found["difference"], found["bounds"])


def _check_judge(view: Mapping[str, Any], outcomes: Mapping[str, int], records: int) -> Iterator[str]:
    """Check one judge's counts. A record has a label if it was scored, blocked, or empty but not cut off."""
    verdicts, answered = sum(view["verdicts"].values()), outcomes.get("answered", 0)
    if verdicts != answered:
        yield f"verdicts sum to {verdicts}, not to the {answered} answers"
    labels = sum(view["labels"].values())
    least = view["verdicts"].get("scored", 0) + sum(outcomes.get(name, 0) for name in BLOCKED)
    most = least + outcomes.get("empty", 0)
    if not least <= labels <= most:
        expected = str(least) if least == most else f"{least} to {most}"
        yield f"{labels} labels, but {expected} records are scored, blocked or empty"
    coverage = labels / records if records else None
    if not _is_close(view["coverage"], coverage):
        yield f"coverage is {view['coverage']}, but {labels} of {records} records are labelled"


def _check_metrics(metrics: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, body in metrics.items():
        value, bounds = body["value"], body.get("bounds")
        numerator, denominator = body.get("numerator"), body.get("denominator")
        full = 100 if body["unit"] == "%" else 1
        if value is None:
            continue
        plain = "estimator" not in body  # otherwise only the lines can show it
        if plain and numerator is not None and denominator and not _is_close(value, full * numerator / denominator):
            yield f"{name} is {value}, but {numerator:g}/{denominator:g} is given"
        yield from _check_within(name, value, bounds)


def _check_within(name: str, value: float | None, bounds: Sequence[float] | None) -> Iterator[str]:
    if value is not None and bounds is not None and not bounds[0] - _CLOSE <= value <= bounds[1] + _CLOSE:
        yield f"{name} is {value}, outside its bounds {bounds[0]} to {bounds[1]}"


def _is_close(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    try:
        return math.isclose(one, other, rel_tol=_CLOSE, abs_tol=_CLOSE)
    except OverflowError:  # a whole number that is too large for arithmetic
        return one == other


@dataclass(frozen=True, slots=True, kw_only=True)
class LinesScan:
    """The state of a file of JSON lines.

    Attributes:
        torn: bytes after its last whole line: an invocation was killed while it wrote, or writes now.
        broken: numbers (from 1) of whole lines that do not belong to a run.
        newest: time of the newest line, ISO 8601; empty if unknown.
    """

    torn: int = 0
    broken: tuple[int, ...] = ()
    newest: str = ""


def scan_lines(path: Path) -> LinesScan:
    """Check each line of a file."""
    torn, broken, newest = 0, list[int](), ""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                torn = len(line)
                continue
            try:
                loaded: object = json.loads(line)
            except ValueError:
                loaded = None
            if isinstance(loaded, dict) and loaded.keys() >= {"id", "split", "epoch", "key"}:
                newest = max(newest, str(cast("dict[str, Any]", loaded).get("at") or ""))
            else:
                broken.append(number)
    return LinesScan(torn=torn, broken=tuple(broken), newest=newest)


VerifiedState = Literal["same", "differs", "unverifiable"]
NOT_COMPARED: Final = frozenset({"harness", "started", "finished", "command", "environment", "wall_s"})
_PERSONS: Final = "labels-"  #: what the file of a person's session begins with: no number is made of it
_REDRAWN: Final = "answers were drawn for people after these results; `harness label RUN` writes them again"
_SECONDS: Final = len("2026-01-01T00:00:00")
_BARE: Final = "not verifiable: these results come without the lines they count"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedPart:
    """One part of results.json: a split, a task without its splits, or everything outside the tasks.

    Attributes:
        title: `task:split`, the task's name, or `run`.
        records: number of records counted; None if it is not a split.
        differences: values that differ; paths start at the part.
        faults: sums that are wrong in the file.
        why: why a difference proves nothing, or why the part was not computed again; else empty.
    """

    title: str
    records: int | None = None
    differences: tuple[Difference, ...] = ()
    faults: tuple[str, ...] = ()
    why: str = ""

    @property
    def state(self) -> VerifiedState:
        """Its worst finding."""
        if self.faults or (self.differences and not self.why):
            return "differs"
        return "unverifiable" if self.why else "same"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedRun:
    """What `verify_run` finds in one run.

    Attributes:
        place: the path as given.
        model: the evaluated model; empty if it cannot be read.
        name: the model with its strategy and attack, as leaderboards name it.
        parts: the parts of its results.
        faults: faults of its lines.
        why: why the run could not be computed again; empty if it was.
        notes: further notes for the reader.
    """

    place: str
    model: str = ""
    name: str = ""
    parts: tuple[VerifiedPart, ...] = ()
    faults: tuple[str, ...] = ()
    why: str = ""
    notes: tuple[str, ...] = ()

    @property
    def state(self) -> VerifiedState:
        """Its worst finding."""
        states = {part.state for part in self.parts}
        if self.faults or "differs" in states:
            return "differs"
        return "unverifiable" if self.why or "unverifiable" in states else "same"


def verify_run(run: Run | Path | str) -> VerifiedRun:
    """Compute a run's results.json again and compare each number. Writes nothing, and raises nothing for a bad run.

    Args:
        run: a run, its folder, or a results.json; a folder at an address is fetched.

    Raises:
        HarnessError: there is no run and no file.
    """
    place = run.folder if isinstance(run, Run) else find_local(run)
    if not (place / FILE).exists() and not place.is_file():
        check_run_folder(place)
    path = place if place.is_file() else place / FILE
    try:
        results = read_results(path)
        checked = VerifiedRun(
            place=str(place),
            model=str(results["model"]["ref"]),
            name=name_model(results),
            parts=tuple(_check_parts(results)),
        )
    except BadData as error:
        return VerifiedRun(place=str(place), why=str(error) if path.exists() else "the run has written no results yet")
    if results.get("bare") or path.name != FILE:
        return replace(checked, why=_BARE)
    return _compare_with_lines(checked, RunFolder(path.parent), results)


def _check_parts(results: Results) -> Iterator[VerifiedPart]:
    """Check each split, and each task without its splits. Raises BadData for a wrong shape."""
    for title, body in _list_splits(results["tasks"]).items():
        with _expect_shape(title, "a split of results"):
            yield VerifiedPart(title=title, records=body["records"], faults=tuple(check_sums(body)))
    for task, about in results["tasks"].items():
        with _expect_shape(task, "a task of results"):
            yield VerifiedPart(title=task, faults=tuple(check_pairs(about.get("paired") or {})))


@contextmanager
def _expect_shape(title: str, what: str) -> Generator[None]:
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise BadData(f"{title} is not {what}: {type(error).__name__}: {error}") from error


def _list_splits(tasks: Mapping[str, Json]) -> dict[str, Json]:
    return {f"{task}:{split}": body for task, about in tasks.items() for split, body in about["splits"].items()}


def _compare_with_lines(checked: VerifiedRun, folder: RunFolder, results: Results) -> VerifiedRun:
    files = {
        str(path.relative_to(folder.path)): scan_lines(path)
        for path in folder.list_line_files()
        if not path.name.startswith(_PERSONS)
    }
    faults = [f"{name}: line {number} is broken" for name, lines in files.items() for number in lines.broken]
    if faults:
        return replace(checked, faults=tuple(faults), why="broken lines cannot be counted")
    try:
        run = folder.load_run()
        anew, gone = _compute_again(StoredRun(folder=folder, file=run), results)
    except HarnessError as error:
        return replace(checked, why=str(error))
    # what was written after the results, and may have changed them
    newest = max((lines.newest for lines in files.values()), default="")
    later = ""
    if run.history[-1].end != "done":
        later = "a later invocation stopped early; run it again to its end"
    elif newest[:_SECONDS] > str(run.history[-1].finished)[:_SECONDS]:  # a run.json that was edited may hold anything
        later = "lines were written after these results; run it again to its end"
    written = (folder.path / FILE).stat().st_mtime_ns
    draws = {display: folder.task(display).path / DRAW for display in run.tasks}
    redrawn = {task for task, path in draws.items() if path.exists() and path.stat().st_mtime_ns > written}
    parts: list[VerifiedPart] = []
    results, anew, unpriced = _compare_dollars(run, results, anew)
    for part in _compare_parts(checked, results, anew):
        task = part.title.rpartition(":")[0] or part.title
        why = gone.get(task, "") or (later if part.differences else "")
        if not why and task in redrawn and all("corrected" in each.path for each in part.differences):
            why = _REDRAWN if part.differences else ""
        parts.append(replace(part, why=why))
    notes = [later] if later and not any(part.differences for part in parts) else []
    notes += [unpriced] if unpriced else []
    if results.get("harness") != harness_version():
        notes.append(f"the results are from harness {results.get('harness')} and were checked by {harness_version()}")
    if run.redacted:
        notes.append("a redacted export: its texts were removed, its numbers were not")
    ends = [f"{name} ends in half a line ({lines.torn} bytes)" for name, lines in files.items() if lines.torn]
    return replace(checked, parts=tuple(parts), why="; ".join(ends), notes=tuple(notes))


def _compute_again(run: StoredRun, results: Results) -> tuple[Results, dict[str, str]]:
    """results.json computed from the lines, and why some tasks could not be scored again. Raises HarnessError.

    If a task's plugin is missing or has another version, its part comes from the stored results.
    """
    plans: list[SplitPlan] = []
    gone: dict[str, str] = {}
    for display, entry in run.file.tasks.items():
        titles = tuple(f"{display}:{split}" for split in entry.splits)
        try:
            plan = load_jobs(run.folder, JudgeOptions(tasks=titles))[2][0].plan
        except HarnessError as error:
            gone[display] = error.what
            continue
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            gone[display] = f"it cannot be planned again: {type(error).__name__}: {error}"
            continue
        if plan.task.version == entry.version:
            plans.append(plan)
        else:
            gone[display] = f"it was run in version {entry.version}, and version {plan.task.version} is installed"
    if not run.file.history:
        raise HarnessError("no command of it has ended")
    old = {"tasks": {display: results["tasks"][display] for display in gone if display in results["tasks"]}}
    try:
        made = compute_results(run, old, plans=plans, command=())
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise HarnessError(f"one of its lines cannot be read: {type(error).__name__}: {error}") from error
    raised = {display: f"its task raised {fault}" for display, fault in made.unscored.items()}
    return made.results, gone | raised


def _compare_parts(checked: VerifiedRun, stored: Results, anew: Results) -> Iterator[VerifiedPart]:
    """All parts of both, splits first."""

    def without(body: Mapping[str, Json], names: AbstractSet[str]) -> dict[str, Json]:
        return {name: value for name, value in body.items() if name not in names}

    known, found = {part.title: part for part in checked.parts}, _list_splits(anew["tasks"])
    bodies = _list_splits(stored["tasks"])
    for title in dict.fromkeys((*bodies, *found)):
        part = known.get(title, VerifiedPart(title=title))
        differences = find_differences(bodies.get(title, NOTHING), found.get(title, NOTHING))
        yield replace(part, differences=tuple(differences))
    for task in dict.fromkeys((*stored["tasks"], *anew["tasks"])):
        one, other = (without(each["tasks"].get(task, {}), {"splits"}) for each in (stored, anew))
        yield replace(known.get(task, VerifiedPart(title=task)), differences=tuple(find_differences(one, other)))
    one, other = (without(each, {*NOT_COMPARED, "tasks"}) for each in (stored, anew))
    yield VerifiedPart(title="run", differences=tuple(find_differences(one, other)))


def _compare_dollars(run: RunFile, stored: Results, anew: Results) -> tuple[Results, Results, str]:
    """Both results, without dollars if they cannot be compared, and why."""
    one: Mapping[str, Any] = stored.get("usage") or {}
    other: Mapping[str, Any] = anew.get("usage") or {}
    before: Mapping[str, Any] = one.get("prices") or {}
    here: Mapping[str, Any] = other.get("prices") or {}
    if run.redacted or not run.prices:
        why = "" if one.get("cost_usd") is None else "dollars were not compared: the run does not say who answered"
    elif before != here:
        tables = [str(each.get("table") or "your own prices") for each in (before, here)]
        why = f"dollars were not compared: the results' rest on {tables[0]}, and here they rest on {tables[1]}"
    else:
        return stored, anew, ""
    return {**stored, "usage": remove_dollars(one)}, {**anew, "usage": remove_dollars(other)}, why
