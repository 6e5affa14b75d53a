"""What a model needs its images for: each model's run beside its runs under attacks and controls, as one table.

The runs of one model are those whose identities differ in the attack alone. The run without an attack is the baseline,
and each number is a paired difference over the items that both resolved (`harness.runs.comparing.compare`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, cast

from harness import plugins
from harness.contracts import MAY_CHANGE
from harness.errors import HarnessError
from harness.keys import canonical
from harness.runs.comparing.compare import compare
from harness.runs.comparing.comparison import Finding, SplitComparison
from harness.runs.stored import open_run
from harness.store.run_file import RunFile
from harness.types import Json

SCHEMA: Final = "harness.controls/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlRow:
    """One split of a model under one attack, beside the same without it.

    Attributes:
        model: its name without the attack.
        task: the task's displayed name.
        split: the split's name.
        metric: the split's main metric.
        unit: "%" or "0-1".
        better: which direction is good.
        attack: the attack's name.
        settings: its settings, as the run recorded them.
        control: it asks what an answer rests on; None if the attack is not installed here.
        run: the run folder under the attack.
        common: items asked in both.
        resolved: common items resolved in both.
        plain: the number without the attack, over these.
        value: the number with it.
        plain_of: what `plain` is divided by: the units of the metric that both resolved and that it counts.
        value_of: the same of `value`.
        difference: value - plain; None with a reason in `why`.
        ci95: of the difference.
        ci95_worst: the interval stretched over the unresolved items.
        p_holm: adjusted over all main metrics of the model; None where it is not tested.
        finding: in a word; `unclear` says that no difference is shown.
        may_change: those of `resolved` whose right answer may be another one under the attack.
        toy: its data only demonstrates the tool.
        why: there is no difference, as a sentence without its full stop.
    """

    model: str
    task: str
    split: str
    metric: str
    unit: str
    better: str
    attack: str
    settings: Mapping[str, Json]
    control: bool | None
    run: str
    common: int
    resolved: int
    plain: float | None
    value: float | None
    plain_of: float
    value_of: float
    difference: float | None
    ci95: tuple[float, float] | None
    ci95_worst: tuple[float, float] | None
    p_holm: float | None
    finding: str
    may_change: int
    toy: bool
    why: str

    @property
    def title(self) -> str:
        """Task and split, as written for `--tasks`."""
        return f"{self.task}:{self.split}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlsTable:
    """What each model needs its images for.

    Attributes:
        rows: model by model, split by split, in the order of the runs.
        notes: what was left out, and what differs besides the attack.
    """

    rows: tuple[ControlRow, ...]
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Json]:
        """`harness.controls/1`: `rows` and `notes`, by the names of `ControlRow`."""
        return {"schema": SCHEMA, "rows": [asdict(row) for row in self.rows], "notes": list(self.notes)}


def compare_controls(runs: Sequence[Path], *, tasks: Sequence[str] = (), judge: str = "") -> ControlsTable:
    """Put each model's runs under attacks beside its run without one.

    Args:
        runs: run folders, in any order, of one or several models.
        tasks: only these; none for all that a model's runs share.
        judge: as of `compare`.

    Raises:
        HarnessError: a model has no run without an attack, several, or none with one; or two runs of it are not
            measured alike.
        UnknownName: a run has no such task or judge.
    """
    rows, notes = list[ControlRow](), list[str]()
    controls: dict[str, bool] = {attack.name: attack.control for attack, _ in plugins.current().offers("attacks")}
    for plain, attacked in _group_runs(runs):
        found = compare(plain, *attacked, tasks=tasks, judge=judge)
        letters = {side.letter: path for side, path in zip(found.runs[1:], attacked, strict=True)}
        files = {letter: open_run(path).file for letter, path in letters.items()}
        order = list(letters)
        titles = list(dict.fromkeys(each.title for each in found.splits))
        for each in sorted(found.splits, key=lambda split: (titles.index(split.title), order.index(split.run))):
            attack = cast("Mapping[str, Any]", files[each.run].model.attack)
            name, change, paired = str(attack["name"]), each.main, each.main.paired
            rows.append(
                ControlRow(
                    model=found.baseline.name,
                    task=each.task,
                    split=each.split,
                    metric=paired.metric,
                    unit=paired.unit,
                    better=paired.better,
                    attack=name,
                    settings=dict(attack.get("settings") or {}),
                    control=controls.get(name),
                    run=str(letters[each.run]),
                    common=each.counts.common,
                    resolved=each.counts.resolved,
                    plain=change.baseline,
                    value=change.value,
                    plain_of=paired.denominators[1],
                    value_of=paired.denominators[0],
                    difference=paired.difference,
                    ci95=paired.ci95,
                    ci95_worst=paired.ci95_worst if paired.unresolved else None,
                    p_holm=change.p_holm,
                    finding="" if change.finding is Finding.NOTHING else change.finding.value,
                    may_change=_count_changed(letters[each.run], each),
                    toy=each.toy,
                    why=paired.why,
                )
            )
        notes += (f"left out: {each}" for each in found.left_out)
        notes += (f"{each.text}" for each in found.differing if each.what != "the attack")
    return ControlsTable(rows=tuple(rows), notes=tuple(dict.fromkeys(notes)))


def _group_runs(runs: Sequence[Path]) -> Iterator[tuple[Path, list[Path]]]:
    """The run without an attack of each model, and those with one."""
    groups: dict[str, list[tuple[Path, RunFile]]] = {}
    for path in runs:
        file = open_run(path).file
        own = {name: value for name, value in file.identity.items() if name != "attack"}
        groups.setdefault(canonical([file.model.ref, own]), []).append((path, file))
    for group in groups.values():
        ref = next((file.model_name for _, file in group if not file.model.attack), group[0][1].model.ref)
        plain = [path for path, file in group if not file.model.attack]
        attacked = [path for path, file in group if file.model.attack]
        if not plain:
            raise HarnessError(
                f"there is no run of {ref} without an attack, with which these could be compared",
                where=", ".join(map(str, attacked)),
                remedy="run it without --attack, with the same settings else, and give that run too",
            )
        if len(plain) > 1:
            raise HarnessError(
                f"there are {len(plain)} runs of {ref} without an attack, and one is the baseline",
                where=", ".join(map(str, plain)),
                remedy="give one of them",
            )
        if not attacked:
            raise HarnessError(
                f"there is no run of {ref} under an attack",
                where=str(plain[0]),
                remedy="run it again with --attack drop (or blank, unrelated, order), and give that run too",
            )
        yield plain[0], attacked


def _count_changed(path: Path, each: SplitComparison) -> int:
    """Items resolved in both runs whose right answer may be another one under the attack, as it noted."""
    run = open_run(path)
    changed = 0
    for name in each.parts or (each.split,):
        for answer in run.answers(f"{each.task}:{name}"):
            if (name, str(answer.asked["id"]), int(answer.asked["epoch"])) not in each.resolved:
                continue
            attack: Mapping[str, Any] = (answer.response or {}).get("attack") or {}
            changed += any(str(note).startswith(MAY_CHANGE) for note in attack.get("notes", ()))
    return changed
