"""A sheet for people to fill in: the answers of a run as CSV, with two empty columns."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from harness import HarnessError
from harness.keys import text_hash
from harness.plan.splits import SplitPlan
from harness.runs.answers import Answer, answers
from harness.runs.seen import Stored
from harness.sheets import defused

from .words import words

#: in this order; `label` and `reason` are to be filled in
COLUMNS: Final[tuple[str, ...]] = ("item", "category", "question", "answer", "labels", "label", "reason", "answer_hash")


def export(run: Stored, file: Path, *, sample: int | None, seed: int) -> dict[str, int]:
    """Write the sheet; gives how many answers of each split are on it.

    Args:
        run: whose answers.
        file: to write; it must not be there, since it might be a sheet that somebody has filled in.
        sample: answers of each split; None for all.
        seed: another one draws another sample.

    Raises:
        HarnessError: the file is there or cannot be written, or nothing was answered.
    """
    drawn = {plan.title: _items(run, plan, sample, seed) for plan in run.plans}
    if not any(drawn.values()):
        raise HarnessError("there is no answer to label", where=str(run.folder.path))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8-sig", newline="") as stream:  # with the mark that spreadsheets look for
            writer: csv.DictWriter[str] = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
            writer.writeheader()
            for plan in run.plans:
                writer.writerows(_rows(run, plan, drawn[plan.title]))
    except FileExistsError:
        raise HarnessError("the file is there already", where=str(file), remedy="give another name") from None
    except OSError as error:
        raise HarnessError("cannot write the sheet", where=str(error), remedy="give another --export") from None
    return {title: len(items) for title, items in drawn.items()}


def answer_mark(text: str) -> str:
    """What ties a row to the text that was read; no spreadsheet takes it for a number."""
    return f"sha256:{text_hash(text)[:16]}"


def _items(run: Stored, plan: SplitPlan, sample: int | None, seed: int) -> list[str]:
    categories = {each.item: str(each.asked["category"]) for each in _answered(run, plan)}
    return list(categories) if sample is None else drawn(categories, sample, seed)


def drawn(categories: Mapping[str, str], size: int, seed: int) -> list[str]:
    """Some of the items, each category with its share of them, in an order that mixes categories.

    A larger size may draw others; the same size and seed draw the same ones, whatever their order.
    """
    order = sorted(categories, key=lambda item: text_hash(f"{seed}/{item}"))
    groups: dict[str, list[str]] = {}
    for item in order:
        groups.setdefault(categories[item], []).append(item)
    quotas = _quotas({name: len(items) for name, items in groups.items()}, min(size, len(order)))
    taken = {item for name, items in groups.items() for item in items[: quotas[name]]}
    return [item for item in order if item in taken]


def _quotas(sizes: Mapping[str, int], size: int) -> dict[str, int]:
    """Whole numbers in proportion to the sizes that add up to `size`: those with the largest remainders are raised."""
    total = sum(sizes.values())
    found = {name: count * size // total for name, count in sizes.items()} if total else {}
    remainders = sorted(found, key=lambda name: (-(sizes[name] * size % total), name))
    for name in remainders[: size - sum(found.values())]:
        found[name] += 1
    return found


def _answered(run: Stored, plan: SplitPlan) -> Iterator[Answer]:
    return (each for each in answers(run.folder, plan.display, plan.name) if each.outcome == "answered")


def _rows(run: Stored, plan: SplitPlan, items: Sequence[str]) -> Iterator[dict[str, str]]:
    wanted = set(items)
    found = {each.item: each for each in _answered(run, plan) if each.item in wanted}
    known = " | ".join(words(plan.split).labels)
    for item in items:
        answer = found[item]
        row = {
            "item": item,
            "category": str(answer.asked["category"]),
            "question": answer.question,
            "answer": answer.text,
            "labels": known,
            "answer_hash": answer_mark(answer.text),
        }
        yield {name: defused(text) for name, text in row.items()}
