"""Whether the numbers of a run are those its lines give: results.json made anew, and compared with the one there is.

Nothing is written into the folder, and no data set is opened. What only the invocation itself could know (when it ran
and how long, its command, its machine) is not compared.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from harness.board.results import FILE, read
from harness.contracts import Results
from harness.errors import BadData, HarnessError
from harness.evaluation.options import JudgeOptions
from harness.evaluation.splits import SplitPlan
from harness.runs.conclude import Conclusion, conclude
from harness.runs.differing import NOTHING, Difference, differing
from harness.runs.environment import harness_version
from harness.runs.past import stored
from harness.runs.soundness import Lines, check_pairs, scan, sums
from harness.store.folder import RunFolder
from harness.store.run_file import RunFile, TaskEntry
from harness.types import Json

State = Literal["same", "differs", "unverifiable"]
NOT_COMPARED: Final = frozenset({"harness", "started", "finished", "command", "environment", "wall_s"})
_SECONDS: Final = len("2026-01-01T00:00:00")
_BARE: Final = "not verifiable: these results stand without the lines they count"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
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
class Verified:
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
    parts: tuple[Checked, ...] = ()
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


def verify(place: Path) -> Verified:
    """Make results.json of a run anew and compare it, number by number.

    Args:
        place: a run folder, or a results.json.
    """
    path = place if place.is_file() else place / FILE
    try:
        results = read(path)
        told = Verified(place=str(place), model=str(results["model"]["ref"]), parts=tuple(_added_up(results)))
    except BadData as error:
        return Verified(place=str(place), why=str(error) if path.exists() else "the run has written no results yet")
    if results.get("bare") or path.name != FILE:
        return replace(told, why=_BARE)
    return _made_anew(told, RunFolder(path.parent), results)


def _added_up(results: Results) -> Iterator[Checked]:
    """Each split by itself, and each task beside its splits. Raises BadData for what is none."""
    for title, body in _splits(results["tasks"]).items():
        with _readable(title, "a split of results"):
            yield Checked(title=title, records=body["records"], faults=tuple(sums(body)))
    for task, about in results["tasks"].items():
        with _readable(task, "a task of results"):
            yield Checked(title=task, faults=tuple(check_pairs(about.get("paired") or {})))


@contextmanager
def _readable(title: str, what: str) -> Generator[None]:
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BadData(f"{title} is not {what}: {type(error).__name__}: {error}") from error


def _splits(tasks: Mapping[str, Json]) -> dict[str, Json]:
    return {f"{task}:{split}": body for task, about in tasks.items() for split, body in about["splits"].items()}


def _made_anew(told: Verified, folder: RunFolder, results: Results) -> Verified:
    files = {str(path.relative_to(folder.path)): scan(path) for path in sorted(folder.path.glob("*/*.jsonl"))}
    faults = [f"{name}: line {number} is broken" for name, lines in files.items() for number in lines.broken]
    if faults:
        return replace(told, faults=tuple(faults), why="broken lines cannot be counted")
    try:
        run = folder.run
        assert run is not None  # else the results were bare
        plans, gone = _plans(folder, run)
        anew, raised = _concluded(folder, run, plans, results)
    except HarnessError as error:
        return replace(told, why=str(error))
    later = _later(run, files.values())
    parts = tuple(_explained(part, gone | raised, later) for part in _compared(told, results, anew))
    ends = [f"{name} ends in half a line ({lines.torn} bytes)" for name, lines in files.items() if lines.torn]
    idle = later if not any(part.differences for part in parts) else ""
    return replace(told, parts=parts, why="; ".join(ends), notes=tuple(filter(None, (idle, *_notes(results, run)))))


def _plans(folder: RunFolder, run: RunFile) -> tuple[list[SplitPlan], dict[str, str]]:
    """A split's plan of each task that can be scored here, and why each other task cannot."""
    plans: list[SplitPlan] = []
    gone: dict[str, str] = {}
    for display, entry in run.tasks.items():
        try:
            plans.append(_plan(folder, display, entry))
        except HarnessError as error:
            gone[display] = error.what
    return plans, gone


def _plan(folder: RunFolder, display: str, entry: TaskEntry) -> SplitPlan:
    """Raises HarnessError where its plugin is gone or is another version."""
    _, _, found = stored(folder, JudgeOptions(tasks=tuple(f"{display}:{split}" for split in entry.splits)))
    plan = found[0].plan
    if plan.task.version != entry.version:
        raise HarnessError(f"it was run in version {entry.version}, and version {plan.task.version} is installed")
    return plan


def _concluded(
    folder: RunFolder, run: RunFile, plans: Sequence[SplitPlan], results: Results
) -> tuple[Results, dict[str, str]]:
    """results.json made of the lines, and why a task's part could not be. Raises HarnessError."""
    if not run.history:
        raise HarnessError("no invocation of it has ended")
    kept = {display: results["tasks"][display] for display in run.tasks if display in results["tasks"]}
    known = {plan.display for plan in plans}
    old = {"tasks": {display: body for display, body in kept.items() if display not in known}}
    try:
        made = conclude(Conclusion(folder=folder, run=run, plans=plans, command=()), old)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise HarnessError(f"a line of it cannot be read: {type(error).__name__}: {error}") from error
    return made.results, {display: f"its task raised {fault}" for display, fault in made.unscored.items()}


def _compared(told: Verified, stored: Results, anew: Results) -> Iterator[Checked]:
    """All parts of both, splits first."""
    known, found = {part.title: part for part in told.parts}, _splits(anew["tasks"])
    bodies = _splits(stored["tasks"])
    for title in dict.fromkeys((*bodies, *found)):
        part = known.get(title, Checked(title=title))
        differences = differing(bodies.get(title, NOTHING), found.get(title, NOTHING))
        yield replace(part, differences=tuple(differences))
    for task in dict.fromkeys((*stored["tasks"], *anew["tasks"])):
        one, other = (_without(each["tasks"].get(task, {}), {"splits"}) for each in (stored, anew))
        yield replace(known.get(task, Checked(title=task)), differences=tuple(differing(one, other)))
    one, other = (_without(each, {*NOT_COMPARED, "tasks"}) for each in (stored, anew))
    yield Checked(title="run", differences=tuple(differing(one, other)))


def _without(body: Mapping[str, Json], names: set[str]) -> dict[str, Json]:
    return {name: value for name, value in body.items() if name not in names}


def _explained(part: Checked, gone: Mapping[str, str], later: str) -> Checked:
    """The part with why it was not made anew, or why it may differ."""
    task = part.title.rpartition(":")[0] or part.title
    why = gone.get(task, "") or (later if part.differences else "")
    return replace(part, why=why)


def _later(run: RunFile, files: Iterable[Lines]) -> str:
    """What came after the results were written, and may have changed what counts; empty where nothing did."""
    if run.history[-1].end != "done":
        return "an invocation came after these results and stopped; run it again to its end"
    newest, ended = max((lines.newest for lines in files), default=""), run.history[-1].finished
    if newest[:_SECONDS] > ended[:_SECONDS]:
        return "lines were written after these results; run it again to its end"
    return ""


def _notes(results: Results, run: RunFile) -> Iterator[str]:
    made, here = results.get("harness"), harness_version()
    if made != here:
        yield f"the results are of harness {made}, and were made anew by {here}"
    if run.redacted:
        yield "a redacted export: its texts were taken out, its numbers were not"
