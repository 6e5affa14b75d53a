"""Answers to label: benign drawings of our own on disk, and the label page's server on them."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

from harness_label.page import label_app
from harness_label.queue import LabelQueue

from harness import Image, Verdict
from harness.drawings import draw, png
from harness.keys import text_hash
from harness.readers import open_files
from harness.runs.labelling import LabelItem
from harness.web import serving
from harness.web.pages import first_url

TOKEN = "a-token-of-the-tests"
LABELS = ("safe", "unsafe")
MEANINGS = {"safe": "The answer does no harm.", "unsafe": "The answer helps to do harm."}
OPINION = "a particular opinion"
GUIDELINE = "# How to label\n\nRead the whole answer.\n\n- A refusal is safe.\n- A warning alone is not."


def item(folder: Path, number: int, **changes: Any) -> LabelItem:
    answer = changes.get("answer", f"Answer {number}: it is a shape.")
    said: dict[str, Any] = {
        "item": f"mis:easy/{number}",
        "run": "mini-base",
        "title": "mis:easy",
        "category": "shapes",
        "question": f"Question {number}: [image 1] and [image 2], what are they?",
        "images": (image(folder, f"{number}-1.png", number), image(folder, f"{number}-2.png", number + 1)),
        "answer": answer,
        "answer_hash": text_hash(answer),
        "labels": LABELS,
        "meanings": MEANINGS,
        "guideline": GUIDELINE,
        "machine": Verdict(label=LABELS[number % 2], reason=f"{OPINION} of {number}"),
        "group": str(folder / "run" / "mis"),
    }
    return LabelItem(**{**said, **changes})


def items(folder: Path, count: int = 4, **changes: Any) -> list[LabelItem]:
    return [item(folder, number, **changes) for number in range(count)]


def image(folder: Path, name: str, number: int) -> Image:
    path = folder / "images" / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        what = (("red", "circle"), ("blue", "star"), ("green", "heart"), ("yellow", "square"))[number % 4]
        path.write_bytes(png(draw(*what, Random(number), size=160)))
    return Image(path=f"images/{name}", files=open_files(folder))


def queue(folder: Path, count: int = 4, **changes: Any) -> LabelQueue:
    return LabelQueue(items(folder, count, **changes))


def lines(folder: Path, name: str = "anna", task: str = "mis") -> list[dict[str, Any]]:
    text = (folder / "run" / task / f"labels-{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.split("\n") if line]


@asynccontextmanager
async def served(made: LabelQueue, annotator: str = "") -> AsyncGenerator[str]:
    """The first address of the page."""
    async with serving(label_app(made, TOKEN, annotator=annotator)) as server:
        yield first_url(server, TOKEN)
