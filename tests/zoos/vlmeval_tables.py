"""Data sets in VLMEvalKit's own tables, synthetic and small."""

import base64
import csv
import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.drawings import draw, png

LETTERS = "ABCD"
THINGS = ("red circle", "blue square", "green star", "yellow cross")


def image(*things: str) -> str:
    cells = [base64.b64encode(png(draw(*thing.split(), random.Random(thing)))).decode() for thing in things]
    return cells[0] if len(cells) == 1 else str(cells)


def write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    listed = list(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(listed[0]), delimiter="\t")
        writer.writeheader()
        writer.writerows(listed)


def choices(count: int, **more: Any) -> list[dict[str, Any]]:
    """Multiple choice; the answer to row n is the n-th letter, and the right text the n-th thing."""
    return [
        {
            "index": n,
            "image": image(THINGS[n % 4]),
            "question": f"Number {n}: which thing is it?",
            **dict(zip(LETTERS, THINGS, strict=True)),
            "answer": LETTERS[n % 4],
            "category": ("coarse", "fine")[n % 2],
            "l2-category": ("shape", "colour")[n % 2],
            **{name: value(n) if callable(value) else value for name, value in more.items()},
        }
        for n in range(count)
    ]


def rotated(count: int) -> list[dict[str, Any]]:
    """Each question four times, its options moved on by one: the index grows by a million."""
    rows: list[dict[str, Any]] = []
    for row in choices(count):
        texts: Sequence[str] = [row[letter] for letter in LETTERS]
        right = row[row["answer"]]
        for turn in range(4):
            moved = [*texts[turn:], *texts[:turn]]
            options = dict(zip(LETTERS, moved, strict=True))
            rows.append(
                {**row, **options, "index": row["index"] + turn * 1_000_000, "answer": LETTERS[moved.index(right)]}
            )
    return rows
