"""The task `qbench`: what its splits are and how they are scored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from harness import DataSource, Sample, Settings, Split, Task
from harness.sources import UNSEEN
from harness.usual import mini, right_answers

from .reading import samples

MINI: Final = Path(__file__).with_name("mini")
PUBLISHED: Final = 1495  #: questions of `dev`, and of `test`


def _split(*, selected: bool) -> Split:
    split = right_answers({"choice": {}}, n=PUBLISHED, by=("category", "concern"))
    return replace(split, selected=selected)


def _samples(root: Path, split: str, _: Settings) -> Iterator[Sample]:
    return samples(root, split)


TASK: Final = Task(
    name="qbench",
    version="1",
    description="Q-Bench (LLVisionQA): multiple choice about the quality of an image",
    splits={
        "test": _split(selected=True),
        "dev": _split(selected=False),
        "mini": mini(_split(selected=False), MINI, n=8, judges={"choice": {}}),
    },
    samples=_samples,
    source=DataSource(
        hub="q-future/Q-Bench-HF",
        unchecked=UNSEEN,
        files=("data/*.parquet",),
        url="https://huggingface.co/datasets/q-future/Q-Bench-HF",
        licence="not stated for the data; the repository is under the S-Lab License 1.0: no commercial use",
    ),
    published=Path(__file__).with_name("published.yaml"),
)
