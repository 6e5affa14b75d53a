"""Whether the numbers of a run are those its lines give: results.json is computed again and compared.

Nothing is written into the folder, and no data set is opened. What only the invocation itself could know (when it ran
and how long, its command, its machine) is not compared. Without the plugins it still shows whether counts add up and
lines are whole.
"""

from __future__ import annotations

import json
import math
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, cast

from harness.board.results import FILE
from harness.board.results import read_results as read
from harness.contracts import Results
from harness.errors import BadData, HarnessError
from harness.evaluation.options import JudgeOptions
from harness.evaluation.splits import SplitPlan
from harness.runs.environment import harness_version
from harness.runs.results import ResultsInput, compute_results
from harness.runs.stored import load_jobs
from harness.store.folder import RunFolder
from harness.store.run_file import RunFile, TaskEntry
from harness.types import BLOCKED, Json

_CLOSE: Final = 1e-9  #: figures are rounded at the tenth decimal


class Nothing:
    """What stands where one side has no value."""

    def __repr__(self) -> str:
        return "nothing"


NOTHING: Final = Nothing()


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One value that is not the same.

    Attributes:
        path: of keys, from the top.
        stored: what the file says.
        found: what was found instead; NOTHING on a side that has no such value.
    """

    path: tuple[str, ...]
    stored: object
    found: object


def find_differences(stored: object, found: object, path: tuple[str, ...] = ()) -> Iterator[Difference]:
    """Each difference of two values of JSON; numbers that are equal to nine digits are the same."""
    one, other = _split_value(stored), _split_value(found)
    if one is not None and other is not None and isinstance(stored, list) == isinstance(found, list):
        for name in dict.fromkeys((*one, *other)):
            yield from find_differences(one.get(name, NOTHING), other.get(name, NOTHING), (*path, name))
    elif not _is_same(stored, found):
        yield Difference(path=path, stored=stored, found=found)


def _split_value(value: object) -> dict[str, object] | None:
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, object]", value))
    if isinstance(value, list):
        return {str(place): each for place, each in enumerate(cast("list[object]", value))}
    return None


def _is_same(one: object, other: object) -> bool:
    if isinstance(one, bool) or isinstance(other, bool) or not isinstance(one, int | float):
        return type(one) is type(other) and one == other
    return isinstance(other, int | float) and math.isclose(one, other, rel_tol=_CLOSE, abs_tol=_CLOSE)


def check_sums(split: Mapping[str, Any]) -> Iterator[str]:
    """What does not add up in one split of results.json, under each of its judges.

    Raises:
        KeyError, TypeError, AttributeError, ValueError: it is not a split of results.json.
    """
    outcomes: Mapping[str, int] = split["outcomes"]
    records: int = split["records"]
    if sum(outcomes.values()) != records:
        yield f"outcomes sum to {sum(outcomes.values())}, not to the {records} records"
    if not 0 <= split["n"] <= records:
        yield f"{split['n']} samples in {records} records"
    views: dict[str, Mapping[str, Any]] = {split.get("judge") or "": split, **(split.get("other_judges") or {})}
    for judge, view in views.items():
        for fault in (
            *_check_judge(view, outcomes, records),
            *_check_metrics(view["metrics"]),
            *_check_groups(view.get("by") or {}),
        ):
            yield f"{judge}: {fault}" if len(views) > 1 else fault


def check_pairs(paired: Mapping[str, Any]) -> Iterator[str]:
    """What does not add up in a task's comparisons of its own splits: one as it is, or several by name.

    Raises as `sums`.
    """
    for body in [paired] if "pairs" in paired else paired.values():
        for name, side in body.items():
            if isinstance(side, Mapping):
                found = cast("Mapping[str, Any]", side)
                yield from _check_within(f"{name}, difference", found["difference"], found["bounds"])


def _check_judge(view: Mapping[str, Any], outcomes: Mapping[str, int], records: int) -> Iterator[str]:
    """A record is labelled where it was scored or blocked, or empty without having been cut off."""
    verdicts, answered = sum(view["verdicts"].values()), outcomes.get("answered", 0)
    if verdicts != answered:
        yield f"verdicts sum to {verdicts}, not to the {answered} answers"
    labels = sum(view["labels"].values())
    least = view["verdicts"].get("scored", 0) + sum(outcomes.get(name, 0) for name in BLOCKED)
    most = least + outcomes.get("empty", 0)
    if not least <= labels <= most:
        told = str(least) if least == most else f"{least} to {most}"
        yield f"{labels} labels, where {told} records are scored, blocked or empty"
    coverage = labels / records if records else None
    if not _is_close(view["coverage"], coverage):
        yield f"coverage is {view['coverage']}, where {labels} of {records} records are labelled"


def _check_metrics(metrics: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, body in metrics.items():
        value, bounds = body["value"], body.get("bounds")
        numerator, denominator = body.get("numerator"), body.get("denominator")
        full = 100 if body["unit"] == "%" else 1
        if value is None:
            continue
        plain = "estimator" not in body  # else its lines alone can tell
        if plain and numerator is not None and denominator and not _is_close(value, full * numerator / denominator):
            yield f"{name} is {value}, where {numerator:g}/{denominator:g} stands beside it"
        yield from _check_within(name, value, bounds)


def _check_groups(breakdowns: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for by, groups in breakdowns.items():
        for group, part in groups.items():
            yield from (f"{by} {group}: {fault}" for fault in _check_metrics(part["metrics"]))


def _check_within(name: str, value: float | None, bounds: Sequence[float] | None) -> Iterator[str]:
    if value is not None and bounds is not None and not bounds[0] - _CLOSE <= value <= bounds[1] + _CLOSE:
        yield f"{name} is {value}, outside its bounds {bounds[0]} to {bounds[1]}"


def _is_close(one: float | None, other: float | None) -> bool:
    return one is other if one is None or other is None else math.isclose(one, other, rel_tol=_CLOSE, abs_tol=_CLOSE)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinesScan:
    """What a file of JSON lines looks like.

    Attributes:
        torn: bytes behind its last whole line: an invocation was killed while it wrote, or writes now.
        broken: numbers of whole lines that are no lines of a run, from 1.
        newest: when the last one was written, ISO 8601; empty where none says so.
    """

    torn: int = 0
    broken: tuple[int, ...] = ()
    newest: str = ""


def scan_lines(path: Path) -> LinesScan:
    """Look at each line of a file."""
    torn, broken, newest = 0, list[int](), ""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                torn = len(line)
            elif (read := _parse_line(line)) is None:
                broken.append(number)
            else:
                newest = max(newest, str(read.get("at") or ""))
    return LinesScan(torn=torn, broken=tuple(broken), newest=newest)


def _parse_line(line: bytes) -> dict[str, Any] | None:
    try:
        loaded: object = json.loads(line)
    except ValueError:
        return None
    if not isinstance(loaded, dict):
        return None
    read = cast("dict[str, Any]", loaded)
    return read if read.keys() >= {"id", "split", "epoch", "key"} else None


State = Literal["same", "differs", "unverifiable"]
NOT_COMPARED: Final = frozenset({"harness", "started", "finished", "command", "environment", "wall_s"})
_SECONDS: Final = len("2026-01-01T00:00:00")
_BARE: Final = "not verifiable: these results stand without the lines they count"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedPart:
    """One part of results.json: a split, a task beside its splits, or all that is beside the tasks.

    Attributes:
        title: `task:split`, the task's name, or `run`.
        records: that were counted; None where it is no split.
        differences: paths count from the part.
        faults: what does not add up in the file.
        why: why it says nothing that it differs, or was not made anew; empty where all is well.
    """

    title: str
    records: int | None = None
    differences: tuple[Difference, ...] = ()
    faults: tuple[str, ...] = ()
    why: str = ""

    @property
    def state(self) -> State:
        """What is worst of it."""
        if self.faults or (self.differences and not self.why):
            return "differs"
        return "unverifiable" if self.why else "same"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedRun:
    """One run.

    Attributes:
        place: as it was named.
        model: who was asked; empty where that cannot be read.
        parts: of its results.
        faults: what is wrong with its lines.
        why: why the run as a whole could not be made anew; empty where it was.
        notes: what a reader should know beside.
    """

    place: str
    model: str = ""
    parts: tuple[VerifiedPart, ...] = ()
    faults: tuple[str, ...] = ()
    why: str = ""
    notes: tuple[str, ...] = ()

    @property
    def state(self) -> State:
        """What is worst of it."""
        states = {part.state for part in self.parts}
        if self.faults or "differs" in states:
            return "differs"
        return "unverifiable" if self.why or "unverifiable" in states else "same"


def verify_run(place: Path) -> VerifiedRun:
    """Compute results.json of a run again and compare it, number by number.

    Args:
        place: a run folder, or a results.json.
    """
    path = place if place.is_file() else place / FILE
    try:
        results = read(path)
        told = VerifiedRun(place=str(place), model=str(results["model"]["ref"]), parts=tuple(_check_parts(results)))
    except BadData as error:
        return VerifiedRun(place=str(place), why=str(error) if path.exists() else "the run has written no results yet")
    if results.get("bare") or path.name != FILE:
        return replace(told, why=_BARE)
    return _compute_again(told, RunFolder(path.parent), results)


def _check_parts(results: Results) -> Iterator[VerifiedPart]:
    """Each split by itself, and each task beside its splits. Raises BadData for what is none."""
    for title, body in _list_splits(results["tasks"]).items():
        with _expect_results(title, "a split of results"):
            yield VerifiedPart(title=title, records=body["records"], faults=tuple(check_sums(body)))
    for task, about in results["tasks"].items():
        with _expect_results(task, "a task of results"):
            yield VerifiedPart(title=task, faults=tuple(check_pairs(about.get("paired") or {})))


@contextmanager
def _expect_results(title: str, what: str) -> Generator[None]:
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BadData(f"{title} is not {what}: {type(error).__name__}: {error}") from error


def _list_splits(tasks: Mapping[str, Json]) -> dict[str, Json]:
    return {f"{task}:{split}": body for task, about in tasks.items() for split, body in about["splits"].items()}


def _compute_again(told: VerifiedRun, folder: RunFolder, results: Results) -> VerifiedRun:
    files = {str(path.relative_to(folder.path)): scan_lines(path) for path in sorted(folder.path.glob("*/*.jsonl"))}
    faults = [f"{name}: line {number} is broken" for name, lines in files.items() for number in lines.broken]
    if faults:
        return replace(told, faults=tuple(faults), why="broken lines cannot be counted")
    try:
        run = folder.run
        assert run is not None  # else the results were bare
        plans, gone = _load_plans(folder, run)
        anew, raised = _compute(folder, run, plans, results)
    except HarnessError as error:
        return replace(told, why=str(error))
    later = _find_later(run, files.values())
    parts = tuple(_explain(part, gone | raised, later) for part in _compare_parts(told, results, anew))
    ends = [f"{name} ends in half a line ({lines.torn} bytes)" for name, lines in files.items() if lines.torn]
    idle = later if not any(part.differences for part in parts) else ""
    return replace(
        told, parts=parts, why="; ".join(ends), notes=tuple(filter(None, (idle, *_list_notes(results, run))))
    )


def _load_plans(folder: RunFolder, run: RunFile) -> tuple[list[SplitPlan], dict[str, str]]:
    """A split's plan of each task that can be scored here, and why each other task cannot."""
    plans: list[SplitPlan] = []
    gone: dict[str, str] = {}
    for display, entry in run.tasks.items():
        try:
            plans.append(_load_plan(folder, display, entry))
        except HarnessError as error:
            gone[display] = error.what
    return plans, gone


def _load_plan(folder: RunFolder, display: str, entry: TaskEntry) -> SplitPlan:
    """Raises HarnessError where its plugin is gone or is another version."""
    _, _, found = load_jobs(folder, JudgeOptions(tasks=tuple(f"{display}:{split}" for split in entry.splits)))
    plan = found[0].plan
    if plan.task.version != entry.version:
        raise HarnessError(f"it was run in version {entry.version}, and version {plan.task.version} is installed")
    return plan


def _compute(
    folder: RunFolder, run: RunFile, plans: Sequence[SplitPlan], results: Results
) -> tuple[Results, dict[str, str]]:
    """results.json made of the lines, and why a task's part could not be. Raises HarnessError."""
    if not run.history:
        raise HarnessError("no invocation of it has ended")
    kept = {display: results["tasks"][display] for display in run.tasks if display in results["tasks"]}
    known = {plan.display for plan in plans}
    old = {"tasks": {display: body for display, body in kept.items() if display not in known}}
    try:
        made = compute_results(ResultsInput(folder=folder, run=run, plans=plans, command=()), old)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise HarnessError(f"a line of it cannot be read: {type(error).__name__}: {error}") from error
    return made.results, {display: f"its task raised {fault}" for display, fault in made.unscored.items()}


def _compare_parts(told: VerifiedRun, stored: Results, anew: Results) -> Iterator[VerifiedPart]:
    """All parts of both, splits first."""
    known, found = {part.title: part for part in told.parts}, _list_splits(anew["tasks"])
    bodies = _list_splits(stored["tasks"])
    for title in dict.fromkeys((*bodies, *found)):
        part = known.get(title, VerifiedPart(title=title))
        differences = find_differences(bodies.get(title, NOTHING), found.get(title, NOTHING))
        yield replace(part, differences=tuple(differences))
    for task in dict.fromkeys((*stored["tasks"], *anew["tasks"])):
        one, other = (_without(each["tasks"].get(task, {}), {"splits"}) for each in (stored, anew))
        yield replace(known.get(task, VerifiedPart(title=task)), differences=tuple(find_differences(one, other)))
    one, other = (_without(each, {*NOT_COMPARED, "tasks"}) for each in (stored, anew))
    yield VerifiedPart(title="run", differences=tuple(find_differences(one, other)))


def _without(body: Mapping[str, Json], names: set[str]) -> dict[str, Json]:
    return {name: value for name, value in body.items() if name not in names}


def _explain(part: VerifiedPart, gone: Mapping[str, str], later: str) -> VerifiedPart:
    """The part with why it was not made anew, or why it may differ."""
    task = part.title.rpartition(":")[0] or part.title
    why = gone.get(task, "") or (later if part.differences else "")
    return replace(part, why=why)


def _find_later(run: RunFile, files: Iterable[LinesScan]) -> str:
    """What came after the results were written, and may have changed what counts; empty where nothing did."""
    if run.history[-1].end != "done":
        return "an invocation came after these results and stopped; run it again to its end"
    newest, ended = max((lines.newest for lines in files), default=""), run.history[-1].finished
    if newest[:_SECONDS] > ended[:_SECONDS]:
        return "lines were written after these results; run it again to its end"
    return ""


def _list_notes(results: Results, run: RunFile) -> Iterator[str]:
    made, here = results.get("harness"), harness_version()
    if made != here:
        yield f"the results are of harness {made}, and were made anew by {here}"
    if run.redacted:
        yield "a redacted export: its texts were taken out, its numbers were not"
