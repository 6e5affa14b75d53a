"""Labels of people as CSV: writes a sheet of a run's answers to fill in, and reads and checks the filled sheet.

A label is one that the split's metrics know, or a rubric's name for it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.errors import BadData, HarnessError
from harness.evaluation.splits import SplitPlan
from harness.keys import item, text_hash
from harness.runs.additions import PersonLabel
from harness.runs.labelling import map_labels
from harness.runs.stored import StoredRun
from harness.store.reader import Answer
from harness.text import escape_cell, format_row_errors
from harness.text import read_sheet as sheet
from harness.types import Verdict

#: in this order; a person fills in `label` and `reason`
COLUMNS: Final[tuple[str, ...]] = ("item", "category", "question", "answer", "labels", "label", "reason", "answer_hash")


def export_sheet(run: StoredRun, file: Path, *, sample: int | None, seed: int) -> dict[str, int]:
    """Write the sheet; return how many answers of each split it holds.

    Args:
        run: the run.
        file: where to write; must not exist, since it may be a sheet that somebody has filled in.
        sample: answers per split; None for all.
        seed: draws the sample.

    Raises:
        HarnessError: the file exists or cannot be written, or the run has no answers.
    """
    drawn: dict[str, list[str]] = {}
    for plan in run.plans:
        categories = {each.item: str(each.asked["category"]) for each in _iterate_answered(run, plan)}
        drawn[plan.title] = list(categories) if sample is None else draw_items(categories, sample, seed)
    if not any(drawn.values()):
        raise HarnessError("there is no answer to label", where=str(run.folder.path))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8-sig", newline="") as stream:  # with the byte-order mark for spreadsheets
            writer: csv.DictWriter[str] = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
            writer.writeheader()
            for plan in run.plans:
                wanted, labels = set(drawn[plan.title]), " | ".join(map_labels(plan.split).labels)
                found = {each.item: each for each in _iterate_answered(run, plan) if each.item in wanted}
                for name in drawn[plan.title]:
                    row = {
                        "item": name,
                        "category": str(found[name].asked["category"]),
                        "question": found[name].question,
                        "answer": found[name].text,
                        "labels": labels,
                        "answer_hash": mark_answer(found[name].text),
                    }
                    writer.writerow({column: escape_cell(text) for column, text in row.items()})
    except FileExistsError:
        raise HarnessError("the file already exists", where=str(file), remedy="give another name") from None
    except OSError as error:
        raise HarnessError("cannot write the sheet", where=str(error), remedy="give another --export") from None
    return {title: len(items) for title, items in drawn.items()}


def mark_answer(text: str) -> str:
    """A hash that ties a row to its answer text; no spreadsheet reads it as a number."""
    return f"sha256:{text_hash(text)[:16]}"


def _iterate_answered(run: StoredRun, plan: SplitPlan) -> Iterator[Answer]:
    return (each for each in run.answers(plan.title) if each.outcome == "answered")


def draw_items(categories: Mapping[str, str], size: int, seed: int) -> list[str]:
    """A sample of items that keeps the categories' shares, in an order that mixes categories.

    The same size and seed draw the same items, in any input order; a larger size may draw others.
    """
    order = sorted(categories, key=lambda name: text_hash(f"{seed}/{name}"))
    groups: dict[str, list[str]] = {}
    for name in order:
        groups.setdefault(categories[name], []).append(name)
    # proportional whole numbers that sum to the size: the largest remainders are rounded up
    size, total = min(size, len(order)), max(len(order), 1)
    quotas = {category: len(items) * size // total for category, items in groups.items()}
    remainders = sorted(groups, key=lambda category: (-(len(groups[category]) * size % total), category))
    for category in remainders[: size - sum(quotas.values())]:
        quotas[category] += 1
    taken = {name for category, items in groups.items() for name in items[: quotas[category]]}
    return [name for name in order if name in taken]


@dataclass(frozen=True, slots=True, kw_only=True)
class FilledSheet:
    """The content of a filled sheet.

    Attributes:
        labels: labels of the run's answers.
        blank: count of rows without a label.
        plans: the labelled splits.
    """

    labels: tuple[PersonLabel, ...]
    blank: int
    plans: tuple[SplitPlan, ...]


def read_sheet(run: StoredRun, file: Path) -> FilledSheet:
    """Read labels of a run's answers. Raises BadData with the number of each wrong row."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise HarnessError("cannot read the sheet", where=str(error)) from None
    names, rows = sheet(data, str(file))
    if "label" not in names or not ("item" in names or {"split", "id"} <= set(names)):
        there = ", ".join(name for name in names if name) or "none"
        raise BadData(
            f"columns `label` and `item` (or `task`, `split`, `id`) are needed; the sheet has: {there}",
            where=str(file),
            remedy="write such a sheet with harness agree RUN --export FILE.csv",
        )
    problems: list[str] = []
    filled = [row for row in rows if row.cells.get("label")]
    first: dict[str, int] = {}  # item -> its row number, as spreadsheets show it
    cells_of: dict[str, Mapping[str, str]] = {}
    for row in filled:
        try:
            name = row.cells.get("item") or _find_item(run, row.cells)
        except ValueError as error:
            problems.append(f"row {row.number}: {error}")
            continue
        if name in first:
            problems.append(f"row {row.number}: {name} is already in row {first[name]}")
            continue
        first[name], cells_of[name] = row.number, row.cells
    plans = {plan.title: plan for plan in run.plans}
    known = {title: map_labels(plan.split) for title, plan in plans.items()}
    found = {each.item: each for plan in run.plans for each in run.answers(plan.title) if each.item in cells_of}
    labels: list[PersonLabel] = []
    for name, cells in cells_of.items():
        try:
            answer = _check_answer(name, cells, found.get(name))
            label = known[_title(answer)].find(cells["label"])
        except ValueError as error:
            problems.append(f"row {first[name]}: {error}")
            continue
        labels.append(PersonLabel(answer=answer, decision=Verdict(label=label, reason=cells.get("reason", ""))))
    if problems:
        raise BadData(
            format_row_errors(problems),
            where=str(file),
            remedy="nothing was imported: correct these rows and import again",
        )
    if not labels:
        raise BadData("no row has a label", where=str(file), remedy="fill in the column `label`")
    used = {_title(label.answer) for label in labels}
    return FilledSheet(
        labels=tuple(labels),
        blank=len(rows) - len(filled),
        plans=tuple(plan for title, plan in plans.items() if title in used),
    )


def _find_item(run: StoredRun, cells: Mapping[str, str]) -> str:
    """The item of a task, split, id and epoch. Raises ValueError if they name none."""
    displays = {plan.task.name: plan.display for plan in run.plans} | {plan.display: plan.display for plan in run.plans}
    task = cells.get("task") or (next(iter(displays)) if len(set(displays.values())) == 1 else "")
    if task not in displays:
        raise ValueError(f"task {task!r} is not one of {', '.join(sorted(displays))}")
    split, name, epoch = (cells.get(column, "") for column in ("split", "id", "epoch"))
    if not (split and name):
        raise ValueError("give an item, or a split and an id")
    if not (epoch or "0").isdecimal():
        raise ValueError(f"epoch {epoch!r} is not a number")
    return item(displays[task], split, name, int(epoch or "0"))


def _check_answer(name: str, cells: Mapping[str, str], answer: Answer | None) -> Answer:
    """The answer that a row labels. Raises ValueError if it is missing, or differs from the sheet's."""
    if answer is None:
        raise ValueError(f"{name} is not an item of this run")
    if answer.outcome != "answered":
        raise ValueError(f"{name} has no answer to label: it ended as {answer.outcome}")
    if cells.get("answer_hash", "") not in ("", mark_answer(answer.text)):
        raise ValueError(f"{name} now has another answer than the sheet")
    return answer


def _title(answer: Answer) -> str:
    return f"{answer.display}:{answer.asked['split']}"
