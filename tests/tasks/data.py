"""Data sets in upstream's layouts, and what a task makes of them."""

from __future__ import annotations

import csv
import json
import tracemalloc
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow.parquet import write_table

from harness import BadData, BadImage, Image, Judge, Rubric, Sample, Task, Text
from harness.data.inspection import SplitCheck, check_split
from harness.data.places import find_splits
from harness.images import open_image
from harness.settings import effective
from harness.testing.fakes import PIXEL

HUB = pa.struct([("bytes", pa.binary()), ("path", pa.string())])  #: a column of images as the hub's client writes it


def write_json(path: Path, value: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def write_csv(path: Path, records: Sequence[Mapping[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(records[0]))
        writer.writeheader()
        writer.writerows(records)
    return path


def write_parquet(path: Path, records: Sequence[Mapping[str, Any]]) -> Path:
    """The records; in a column `image` the bytes of each, or None."""
    columns: dict[str, Any] = {name: [each[name] for each in records] for name in records[0]}
    if "image" in columns:
        images = [image if image is None else {"bytes": image, "path": "x.png"} for image in columns["image"]]
        columns["image"] = pa.array(images, HUB)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(pa.table(columns), path)
    return path


def put(root: Path, *paths: str, image: bytes = PIXEL) -> Path:
    """Images under a root."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(image)
    return root


def without(values: Mapping[str, Any], *fields: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in fields}


def read(task: Task, root: Path, split: str, **given: str) -> list[Sample]:
    """The samples of one split under some settings."""
    return list(task.samples(root, split, effective(task.settings, given, owner=task.name)))


def find_fault(task: Task, root: Path, split: str, **given: str) -> str:
    """Where data is bad, which is found before the first sample is given."""
    with pytest.raises(BadData) as caught:
        next(iter(task.samples(root, split, effective(task.settings, given, owner=task.name))))
    return caught.value.where or ""


def show(sample: Sample) -> list[str]:
    """The one turn of a sample: its texts, and the paths of its images in angle brackets."""
    (message,) = sample.request.messages
    assert message.role == "user"
    return [part.text if isinstance(part, Text) else f"<{part.path}>" for part in message.content]


def say(sample: Sample) -> str:
    """The text of a sample."""
    return "\n".join(
        part.text for message in sample.request.messages for part in message.content if isinstance(part, Text)
    )


def by_id(samples: Iterable[Sample]) -> dict[str, str]:
    """The text of each sample, by its id."""
    return {sample.id: say(sample) for sample in samples}


def open_first(sample: Sample) -> bytes:
    """The bytes of a sample's first image."""
    return open_image(sample.request.images[0]).opened.data


def check(task: Task, root: Path, split: str) -> SplitCheck:
    """What `harness data verify` finds in one split."""
    settings = effective(task.settings, {}, owner=task.name)
    return check_split(task, split, find_splits(task, settings, root)[split], root, settings)


def check_listing(write: Callable[[int], object], listed: Callable[[], Iterable[Sample]]) -> None:
    """A reader lists 20,000 samples in 200 MB, and opens no image: there is none.

    How long that takes is measured by `python -m benchmarks.readers`, for each test that calls this.

    Args:
        write: the data of so many samples, or a few more, without their images.
        listed: the samples of that data.
    """
    write(20_000)
    assert sum(1 for _ in listed()) >= 20_000
    write(2_000)
    tracemalloc.start()
    for _ in listed():
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6  # 200 MB for 20,000


def find_reason(image: Image) -> str:
    """Why an image cannot be opened."""
    with pytest.raises(BadImage) as caught:
        open_image(image)
    return caught.value.reason


def open_judge(judge: Judge, root: Path = Path(), **given: Any) -> Rubric:
    """The rubric of a judge under some settings."""
    return judge.open(effective(judge.settings, given, owner=f"judge {judge.name}"), root)
