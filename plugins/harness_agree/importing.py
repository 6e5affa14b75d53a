"""A sheet that people have filled in: each row checked before any is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import BadData, HarnessError, Verdict
from harness.keys import item
from harness.plan.splits import SplitPlan
from harness.runs.answers import Answer, answers
from harness.runs.people import Labelled
from harness.runs.seen import Stored
from harness.sheets import sheet, told

from .exporting import answer_mark
from .words import Words, words


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """What a file says.

    Attributes:
        labels: of answers of the run.
        blank: rows without a label.
        plans: the splits that the labels are of.
    """

    labels: tuple[Labelled, ...]
    blank: int
    plans: tuple[SplitPlan, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One labelled row; `number` is the one a spreadsheet shows beside it."""

    number: int
    item: str
    cells: Mapping[str, str]


def read(run: Stored, file: Path) -> Sheet:
    """Read labels of a run's answers. Raises BadData with the number of each row that is wrong."""
    rows = _rows(file)
    problems: list[str] = []
    filled = [row for row in rows if row.get("label")]
    named = list(_named(run, filled, problems))
    plans = {plan.title: plan for plan in run.plans}
    known = {title: words(plan.split) for title, plan in plans.items()}
    found = _found(run, {row.item for row in named})
    labels = [label for row in named if (label := _label(row, found, known, problems)) is not None]
    if problems:
        raise BadData(told(problems), where=str(file), remedy="nothing was imported: mend these rows and import again")
    if not labels:
        raise BadData("no row has a label", where=str(file), remedy="fill in the column `label`")
    used = {f"{label.answer.display}:{label.answer.asked['split']}" for label in labels}
    return Sheet(
        labels=tuple(labels),
        blank=len(rows) - len(filled),
        plans=tuple(plan for title, plan in plans.items() if title in used),
    )


def _rows(file: Path) -> list[dict[str, str]]:
    """The rows with their cells by column; `row` is the number of each."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise HarnessError("cannot read the sheet", where=str(error)) from None
    names, filled = sheet(data, str(file))
    if "label" not in names or not ("item" in names or {"split", "id"} <= set(names)):
        there = ", ".join(name for name in names if name) or "none"
        raise BadData(
            f"columns `label` and `item` (or `task`, `split`, `id`) are needed; there are: {there}",
            where=str(file),
            remedy="harness agree RUN --export FILE.csv writes a sheet with them",
        )
    return [{**row.cells, "row": str(row.number)} for row in filled]


def _named(run: Stored, rows: Sequence[Mapping[str, str]], problems: list[str]) -> Iterator[_Row]:
    """The rows with the item each is about; an item that stands there twice is a problem."""
    first: dict[str, int] = {}
    for cells in rows:
        number = int(cells["row"])
        try:
            who = cells.get("item") or _item(run, cells)
        except ValueError as error:
            problems.append(f"row {number}: {error}")
            continue
        if who in first:
            problems.append(f"row {number}: {who} is in row {first[who]} already")
            continue
        first[who] = number
        yield _Row(number=number, item=who, cells=cells)


def _item(run: Stored, cells: Mapping[str, str]) -> str:
    """From task, split, id and epoch. Raises ValueError for what names none."""
    displays = {plan.task.name: plan.display for plan in run.plans} | {plan.display: plan.display for plan in run.plans}
    task = cells.get("task") or (next(iter(displays)) if len(set(displays.values())) == 1 else "")
    if task not in displays:
        raise ValueError(f"task {task!r} is none of {', '.join(sorted(displays))}")
    split, name, epoch = (cells.get(column, "") for column in ("split", "id", "epoch"))
    if not (split and name):
        raise ValueError("neither an item nor a split and an id")
    if not (epoch or "0").isdecimal():
        raise ValueError(f"epoch {epoch!r} is no number")
    return item(displays[task], split, name, int(epoch or "0"))


def _found(run: Stored, items: set[str]) -> dict[str, Answer]:
    return {
        each.item: each
        for plan in run.plans
        for each in answers(run.folder, plan.display, plan.name)
        if each.item in items
    }


def _label(row: _Row, found: Mapping[str, Answer], known: Mapping[str, Words], problems: list[str]) -> Labelled | None:
    try:
        answer = _answer(row, found)
        label = known[f"{answer.display}:{answer.asked['split']}"].meant(row.cells["label"])
    except ValueError as error:
        problems.append(f"row {row.number}: {error}")
        return None
    return Labelled(answer=answer, verdict=Verdict(label=label, reason=row.cells.get("reason", "")))


def _answer(row: _Row, found: Mapping[str, Answer]) -> Answer:
    """The answer that a row labels. Raises ValueError where there is none, or another than the sheet shows."""
    answer = found.get(row.item)
    if answer is None:
        raise ValueError(f"{row.item} is no item of this run")
    if answer.outcome != "answered":
        raise ValueError(f"{row.item} has no answer to label: it ended as {answer.outcome}")
    if row.cells.get("answer_hash", "") not in ("", answer_mark(answer.text)):
        raise ValueError(f"{row.item} has another answer now than the sheet shows")
    return answer
