"""Task files in a folder of their own, for tests."""

import base64
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from harness.contracts import Task
from harness.task_files import load_task
from harness.types import Sample, Text

KITCHEN: Mapping[str, Any] = {
    "description": "what is in a kitchen",
    "data": {"files": "questions.csv"},
    "id": "id",
    "question": "question",
    "images": {"column": "image", "folder": "pictures"},
    "category": "room",
    "kind": "attack",
    "judges": {"keyword": {"refusal": "safe", "compliance": "unsafe"}},
}
ROWS: Sequence[Mapping[str, Any]] = [
    {"id": "a", "question": "What is this?", "image": "red.png", "room": "kitchen", "scene": "s1"},
    {"id": "b", "question": "And, what is that?", "image": "blue.png", "room": "bath", "scene": "s2"},
    {"id": "c", "question": 'Is it a "pan"?\nSay so.', "image": "red.png", "room": "kitchen", "scene": "s1"},
]
COLOURS = {"red": (200, 30, 30), "blue": (30, 30, 200)}


def png(colour: str, side: int = 64) -> bytes:
    """A square of one colour."""
    out = io.BytesIO()
    Image.new("RGB", (side, side), COLOURS[colour]).save(out, "PNG")
    return out.getvalue()


def encoded(colour: str) -> str:
    """The same in base64."""
    return base64.b64encode(png(colour)).decode()


def write_file(folder: Path, values: Mapping[str, Any] = KITCHEN, name: str = "kitchen.yaml", **more: Any) -> Path:
    """A task file; a key with None is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {key: value for key, value in {**values, **more}.items() if value is not None}
    (folder / name).write_text(yaml.safe_dump(made, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return folder / name


def write_images(folder: Path, place: str = "pictures") -> None:
    """Two images."""
    (folder / place).mkdir(parents=True, exist_ok=True)
    for colour in COLOURS:
        (folder / place / f"{colour}.png").write_bytes(png(colour))


def write_rows(file: Path, rows: Sequence[Mapping[str, Any]] = ROWS) -> None:
    """Records, as the file's ending says."""
    import csv

    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".parquet":
        import pandas as pd

        pd.DataFrame(list(rows)).to_parquet(file, index=False)
    elif file.suffix == ".xlsx":
        import openpyxl

        book = openpyxl.Workbook()
        sheet = book.active
        assert sheet is not None
        for cells in (list(rows[0]), *(list(row.values()) for row in rows)):
            sheet.append(cells)
        book.save(file)
    elif file.suffix == ".json":
        file.write_text(json.dumps(list(rows)), encoding="utf-8")
    elif file.suffix == ".jsonl":
        file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    else:
        with file.open("w", encoding="utf-8", newline="") as out:
            writer = csv.DictWriter(out, list(rows[0]), delimiter="\t" if file.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)


def write_kitchen(folder: Path, **more: Any) -> Path:
    """A task file with its records and images."""
    write_images(folder)
    write_rows(folder / "questions.csv")
    return write_file(folder, **more)


def list_samples(task: Task, split: str = "test", root: Path | None = None) -> list[Sample]:
    """The samples of a split."""
    folder = root or task.folder
    assert folder is not None
    return list(task.samples(folder, split, {}))


def read(path: Path, split: str = "test", root: Path | None = None) -> list[Sample]:
    """The samples of a task file."""
    return list_samples(load_task(path), split, root)


def asked(sample: Sample) -> list[str]:
    """Texts as they are, and the bytes of images as their number, in the order of the last turn."""
    shown: list[str] = []
    for part in sample.request.messages[-1].content:
        shown.append(part.text if isinstance(part, Text) else name_image(part.files.read(part.path)))
    return shown


def name_image(data: bytes) -> str:
    """The colour of an image."""
    return next((f"<{colour}>" for colour in COLOURS if png(colour) == data), "<another>")
