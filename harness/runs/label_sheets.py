"""Labels of people in files: writes a sheet of a run's answers to fill in, and reads and checks the filled one.

A label is one that the split's metrics know, or a rubric's name for it. Unless every row is right nothing is kept.
"""

from __future__ import annotations

import csv
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

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

_STRANGERS: Final = 5  # rows that fit no answer, from which on a sheet may be another run's
#: in this order; a person fills in `label` and `reason`
COLUMNS: Final[tuple[str, ...]] = ("item", "category", "question", "answer", "labels", "label", "reason", "answer_hash")


def export_sheet(run: StoredRun, file: Path, *, sample: int | None, seed: int) -> dict[str, int]:
    """Write a sheet of a run's answers; return how many of each split it holds.

    Args:
        run: the run.
        file: as in `write_sheet`.
        sample: answers per split; None for all.
        seed: draws the sample.

    Raises:
        HarnessError: as `write_sheet`.
    """
    if run.file.redacted:
        raise HarnessError(
            "a redacted export has no text to label", where=str(run.folder.path), remedy="use the run itself"
        )
    drawn: dict[str, Sequence[str]] = {}
    for plan in run.plans:
        categories = {each.item: str(each.asked["category"]) for each in _iterate_answered(run, plan)}
        drawn[plan.title] = list(categories) if sample is None else draw_items(categories, sample, seed)
    write_sheet(run, file, drawn)
    return {title: len(items) for title, items in drawn.items()}


def write_sheet(run: StoredRun, file: Path, items: Mapping[str, Sequence[str]]) -> None:
    """Write the sheet of some answers, in their order.

    Args:
        run: the run.
        file: where to write; must not exist, since it may be a sheet that somebody has filled in.
        items: `task:split` -> its answered items.

    Raises:
        HarnessError: the file exists or cannot be written, or there is no item.
    """
    if not any(items.values()):
        raise HarnessError("there is no answer to label", where=str(run.folder.path))
    with open_new(file, "the sheet") as stream:
        writer: csv.DictWriter[str] = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for plan in run.plans:
            order = items.get(plan.title, ())
            wanted, labels = set(order), " | ".join(map_labels(plan.split, plan.maps).labels)
            found = {each.item: each for each in _iterate_answered(run, plan) if each.item in wanted}
            for name in order:
                row = {
                    "item": name,
                    "category": str(found[name].asked["category"]),
                    "question": found[name].question,
                    "answer": found[name].text,
                    "labels": labels,
                    "answer_hash": mark_answer(found[name].hash),
                }
                writer.writerow({column: escape_cell(text) for column, text in row.items()})


@contextmanager
def open_new(file: Path, what: str) -> Generator[IO[str]]:
    """Open a file of people's work that must not exist yet; what cannot be finished is removed again.

    Raises HarnessError if it exists or cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        encoding = "utf-8-sig" if file.suffix.lower() == ".csv" else "utf-8"  # spreadsheets need the byte-order mark
        with file.open("x", encoding=encoding, newline="") as stream:
            try:
                yield stream
                stream.flush()
            except BaseException:
                file.unlink(missing_ok=True)
                raise
    except FileExistsError:
        raise HarnessError("the file already exists", where=str(file), remedy="give another name") from None
    except OSError as error:
        raise HarnessError(f"cannot write {what}", where=str(error), remedy="give another --export") from None


def mark_answer(answer: str) -> str:
    """The short form of an answer's hash, which ties a row to it; no spreadsheet reads it as a number."""
    return f"sha256:{answer[:16]}"


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
class LabelRow:
    """One row of a file with people's labels.

    Attributes:
        number: by which a message names it.
        item: the answer's name in its run.
        label: as the person wrote it; empty for none.
        reason: may be empty.
        answer_hash: of the text that was read, as `mark_answer` writes it; empty if unknown.
        skipped: the person skipped the answer.
    """

    number: int
    item: str
    label: str
    reason: str = ""
    answer_hash: str = ""
    skipped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FilledSheet:
    """The content of a filled sheet.

    Attributes:
        labels: labels of the run's answers.
        skipped: answers that the person skipped: also those of blank rows before the last filled one of their split.
        blank: count of rows without a label.
        plans: the labelled splits.
    """

    labels: tuple[PersonLabel, ...]
    skipped: tuple[Answer, ...]
    blank: int
    plans: tuple[SplitPlan, ...]


def read_sheet(run: StoredRun, file: Path) -> FilledSheet:
    """Read labels of a run's answers from a CSV file. Raises BadData with the number of each wrong row."""
    data = read_work(file)
    names, rows = sheet(data, str(file))
    if "label" not in names or not ("item" in names or {"split", "id"} <= set(names)):
        there = ", ".join(name for name in names if name) or "none"
        raise BadData(
            f"columns `label` and `item` (or `task`, `split`, `id`) are needed; the sheet has: {there}",
            where=str(file),
            remedy="write such a sheet with harness agree RUN --export FILE.csv",
        )
    problems: list[str] = []
    read: list[LabelRow] = []
    for row in rows:
        label = row.cells.get("label", "")
        try:
            name = row.cells.get("item") or _find_item(run, row.cells)
        except ValueError as error:
            if label:
                problems.append(f"row {row.number}: {error}")
            name = ""
        mark, reason = row.cells.get("answer_hash", ""), row.cells.get("reason", "")
        read.append(LabelRow(number=row.number, item=name, label=label, reason=reason, answer_hash=mark))
    return match_rows(run, read, str(file), problems, remedy="fill in the column `label`")


def read_work(file: Path) -> bytes:
    """The content of a file with people's labels. Raises HarnessError if it cannot be read."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise HarnessError("cannot read the sheet", where=str(error)) from None


def match_rows(
    run: StoredRun, rows: Sequence[LabelRow], where: str, problems: Sequence[str] = (), *, remedy: str
) -> FilledSheet:
    """Find the answer and the label of each row.

    Args:
        run: opened with the splits that may be labelled.
        rows: in the order in which the person met them.
        where: the file, for messages.
        problems: of rows that name no item; such rows have an empty one.
        remedy: what to do when no row has a label.

    Raises:
        BadData: it names each row that is wrong; then nothing is to be kept.
    """
    problems = list(problems)
    filled = [row for row in rows if row.item and row.label]
    first: dict[str, LabelRow] = {}
    for row in filled:
        if row.item in first:
            problems.append(f"row {row.number}: {row.item} is already in row {first[row.item].number}")
            continue
        first[row.item] = row
    plans = {plan.title: plan for plan in run.plans}
    known = {title: map_labels(plan.split, plan.maps) for title, plan in plans.items()}
    named = {row.item for row in rows}
    found = {each.item: each for plan in run.plans for each in run.answers(plan.title) if each.item in named}
    labels: list[PersonLabel] = []
    strangers = 0
    unknown: dict[str, list[int]] = {}  # what is wrong with a label -> its rows
    for name, row in first.items():
        try:
            answer = _check_answer(row, found.get(name))
        except ValueError as error:
            problems.append(f"row {row.number}: {error}")
            strangers += 1
            continue
        try:
            label = known[_title(answer)].find(row.label)
        except ValueError as error:
            unknown.setdefault(str(error), []).append(row.number)
            continue
        labels.append(PersonLabel(answer=answer, decision=Verdict(label=label, reason=row.reason)))
    if strangers >= _STRANGERS and strangers > len(first) / 2:
        raise BadData(
            f"this sheet is of another run: {strangers} of its {len(first)} labelled rows fit no answer of this one",
            where=where,
            remedy="nothing was imported: name the run that the sheet was exported from, or export the answers again",
        )
    wrong = len(problems) + sum(map(len, unknown.values()))
    for what, numbers in unknown.items():
        problems.append(f"row {numbers[0]}: {what}{f' (in {len(numbers)} rows)' if len(numbers) > 1 else ''}")
    if problems:
        raise BadData(
            format_row_errors(problems, wrong),
            where=where,
            remedy="nothing was imported: correct these rows and import again",
        )
    skipped = _find_skipped(rows, first, found)
    if not labels and not any(row.skipped for row in rows):
        raise BadData("no row has a label", where=where, remedy=remedy)
    used = {_title(answer) for answer in (*(label.answer for label in labels), *skipped)}
    return FilledSheet(
        labels=tuple(labels),
        skipped=skipped,
        blank=sum(not row.label for row in rows),
        plans=tuple(plan for title, plan in plans.items() if title in used),
    )


def _find_skipped(
    rows: Sequence[LabelRow], first: Mapping[str, LabelRow], found: Mapping[str, Answer]
) -> tuple[Answer, ...]:
    last = {_title(found[row.item]): place for place, row in enumerate(rows) if row.label and row.item in found}
    skipped: dict[str, Answer] = {}
    for place, row in enumerate(rows):
        answer = found.get(row.item)
        if answer is None or row.label or row.item in first or answer.outcome != "answered":
            continue
        fits = row.answer_hash in ("", mark_answer(answer.hash))
        if fits and (row.skipped or place < last.get(_title(answer), 0)):
            skipped[row.item] = answer
    return tuple(skipped.values())


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


def _check_answer(row: LabelRow, answer: Answer | None) -> Answer:
    """The answer that a row labels. Raises ValueError if it is missing, or differs from the sheet's."""
    name = row.item
    if answer is None:
        raise ValueError(f"{name} is not an item of this run")
    if answer.outcome != "answered":
        raise ValueError(f"{name} has no answer to label: it ended as {answer.outcome}")
    if row.answer_hash not in ("", mark_answer(answer.hash)):
        raise ValueError(f"{name} now has another answer than the sheet")
    return answer


def _title(answer: Answer) -> str:
    return f"{answer.display}:{answer.asked['split']}"
