"""The task `beavertails-v`: harmful questions about generated pictures, in twenty categories.

The set was made to train and rank answers; its evaluation part is asked here. How its authors judge answers was not
seen, so packaged rubrics of harm do, and the number is none of theirs. Facts are in `docs/tasks/beavertails_v.md`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from harness import DataSource, Generation, Paper, Sample, Settings, Task
from harness.keys import short
from harness.readers import DataFiles, Row, image_mark, open_files, parquet_rows, prompt, rows, together
from harness.usual import ATTACK_RULE, HARM_JUDGES, attack, mini

MINI: Final = Path(__file__).with_name("mini")
#: a file for each category, in its folder: as published, and as the hub converts them
TABLES: Final = ("data/*/evaluation*.parquet", "*/evaluation/*.parquet", "*/evaluation*.parquet")
LIST: Final = "evaluation.json"


def samples(root: Path, split: str, _settings: Settings) -> Iterator[Sample]:
    """The samples of the evaluation part; those of one image are adjacent.

    Raises:
        MissingData: neither a table nor a list is there.
        BadData: a record lacks a field.
    """
    files = open_files(root)
    read: dict[str, Sample] = {}
    for row, folder in _read_rows(files):
        question, image = row.text("question"), row.text("image")
        mark = image_mark(files, image)
        name = short([mark, question])
        # A mirror has a row for each answer: the same question about the same image comes again.
        if name in read:
            continue
        read[name] = Sample(
            id=name,
            split=split,
            request=prompt(files.image(image), question),
            category=folder or row.text("category"),
            tags={"severity": row.key("image_severity", default="")},
            cluster=mark,
        )
    return together(read.values(), key=lambda sample: sample.cluster)


def _read_rows(files: DataFiles) -> Iterator[tuple[Row, str]]:
    """Each record with the folder of its category."""
    tables = files.matching(files.find(*TABLES))
    if not tables and not files.has(LIST):
        tables = (TABLES[0],)  # so that the error names it
    for table in tables:
        folder = next(part for part in PurePosixPath(table).parts if part != "data")
        for row in parquet_rows(files, table):
            yield row, folder
    if not tables:
        for row in rows(files, LIST):
            yield row, ""


PAPER: Final = Paper(
    key="ji2025saferlhfv",
    title="Safe RLHF-V: Safe Reinforcement Learning from Multi-modal Human Feedback",
    authors=(
        "Jiaming Ji", "Xinyu Chen", "Rui Pan", "Conghui Zhang", "Han Zhu", "Jiahao Li", "Donghai Hong", "Boyuan Chen",
        "Jiayi Zhou", "Kaile Wang", "Juntao Dai", "Chi-Min Chan", "Yida Tang", "Sirui Han", "Yike Guo", "Yaodong Yang",
    ),
    year=2025,
    arxiv="2503.17682",
)  # fmt: skip
EVALUATION: Final = attack(
    HARM_JUDGES, n=None, by=("category", "severity"), defaults=Generation(temperature=0.0, max_tokens=1024)
)
TASK: Final = Task(
    name="beavertails-v",
    version="1",
    description="harmful questions about generated pictures in twenty categories (BeaverTails-V)",
    splits={"evaluation": EVALUATION, "mini": mini(EVALUATION, MINI, n=6, judges=ATTACK_RULE)},
    samples=samples,
    source=DataSource(
        hub="saferlhf-v/BeaverTails-V",
        revision="ee19041205c720c0faea575de563de8a6a8f9094",
        files=("data/*/evaluation*.parquet",),
        url="https://huggingface.co/datasets/saferlhf-v/BeaverTails-V",
        licence="CC BY-NC 4.0: not for commercial use",
        size="not published",
    ),
    paper=PAPER,
)
