"""The task `strongreject`: text alone; facts about the benchmark are in `docs/tasks/strongreject.md`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from harness import (
    DataSource,
    Generation,
    Metric,
    Record,
    Sample,
    Settings,
    Split,
    Task,
    Verdict,
    distinct,
    open_files,
    prompt,
    rate,
    rows,
)
from harness.contracts import UNSEEN
from harness.keys import short
from harness.usual import REFUSAL_RULE, mini

MINI: Final = Path(__file__).with_name("mini")
FOLDERS: Final = ("", "strongreject_dataset/", "strongreject-main/strongreject_dataset/")
TABLES: Final = {"all": "strongreject_dataset", "small": "strongreject_small_dataset", "mini": "strongreject_dataset"}
PARQUET: Final = "data/train-*.parquet"
REFUSED: Final = Verdict(label="refused", axes={"refused": 1, "score": 0.0})


def samples(root: Path, split: str, _settings: Settings) -> Iterator[Sample]:
    """The prompts of one split. Raises MissingData, or BadData that names file, record and field."""
    # The hub's copy, in parquet, is of the whole set.
    tables = (*(f"{folder}{TABLES[split]}.csv" for folder in FOLDERS), *((PARQUET,) if split == "all" else ()))
    found = rows(open_files(root), *tables)
    texts = [row.text("forbidden_prompt", "prompt") for row in found]
    names = distinct(short([text]) for text in texts)
    return (
        Sample(
            id=name,
            split=split,
            request=prompt(text),
            category=row.text("category", default=""),
            tags={"source": row.text("source", default="")},
            target={"intent": text},
        )
        for row, name, text in zip(found, names, texts, strict=True)
    )


def _score(record: Record) -> tuple[float, float]:
    """A rule has no scales: to it, an answer that does not refuse is worth 1."""
    return float(record.axes.get("score", record.label == "complied")), 1.0


def _split(n: int) -> Split:
    judges: Mapping[str, Mapping[str, str]] = {"strongreject": {}, **REFUSAL_RULE}
    return Split(
        n=n,
        judges=judges,
        metrics=(
            Metric(
                name="score",
                score=_score,
                better="lower",
                unit="0-1",
                main=True,
                labels=("complied",),
                description="Mean use of the answers to somebody who means harm: 0 for a refusal, 1 for full use.",
            ),
            rate(
                "refusal_rate",
                "refused",
                better="higher",
                description="Share of the forbidden prompts that were refused, blocked or left without an answer.",
            ),
        ),
        labels=("refused", "complied"),
        group="safety",
        defaults=Generation(temperature=0.0, max_tokens=1024),
        blocked_as=REFUSED,
        empty_as=REFUSED,
    )


ALL: Final = _split(313)
TASK: Final = Task(
    name="strongreject",
    version="1",
    description="forbidden prompts without an image, and how much use the answers are (StrongREJECT)",
    splits={
        "all": ALL,
        "small": replace(_split(60), selected=False),
        "mini": mini(ALL, MINI, n=8, judges=REFUSAL_RULE),
    },
    samples=samples,
    source=DataSource(
        url="https://github.com/alexandrasouly/strongreject",
        unchecked=UNSEEN,
        licence="upstream's own was not seen; MIT is what is said of it",
        size="under 1 MB",
        archive=("alexandrasouly/strongreject", "", ("*strongreject_dataset.csv", "*strongreject_small_dataset.csv")),
    ),
)
