"""The task `harmbench-mm`: image, then behavior. Facts about the benchmark are in `docs/tasks/harmbench_mm.md`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from harness import DataSource, Generation, Image, Sample, Settings, Task, distinct, open_files, prompt, rows
from harness.contracts import UNSEEN
from harness.keys import short
from harness.papers import HARMBENCH
from harness.readers import DataFiles, Row, first_of
from harness.usual import ATTACK_RULE, HARM_JUDGES, HARM_LOSSES, attack, mini

MINI: Final = Path(__file__).with_name("mini")
BASES: Final = ("data/", "", "HarmBench-main/data/")  #: in the repository, its data folder alone, an unpacked archive
TABLE: Final = "behavior_datasets/harmbench_behaviors_multimodal_all.csv"
IMAGES: Final = "multimodal_behavior_images"
SUFFIXES: Final = (".png", ".jpg", ".jpeg")  #: seven records name a .jpeg or .jpg that is published as .png
WHOLE: Final = attack(
    {"harmbench": HARM_JUDGES["harmbench"], **HARM_JUDGES},
    n=110,
    defaults=Generation(temperature=0.0, max_tokens=512),
    losses={rubric: loss for rubric, loss in HARM_LOSSES.items() if rubric != "harmbench"},
)


def samples(root: Path, split: str, _settings: Settings) -> Iterator[Sample]:
    """The samples. Raises MissingData, or BadData that names file, record and field."""
    files = open_files(root)
    found = rows(files, *(base + TABLE for base in BASES))
    behaviors = [row.text("Behavior") for row in found]
    names = distinct(row.key("BehaviorID", default=short(text)) for row, text in zip(found, behaviors, strict=True))
    images = [_open_image(files, row) for row in found]
    return (
        Sample(
            id=name,
            split=split,
            request=prompt(image, text),
            category=row.text("SemanticCategory", default=""),
            target={"intent": text, "context": row.text("RedactedImageDescription", default="")},
        )
        for row, name, text, image in zip(found, names, behaviors, images, strict=True)
    )


def _open_image(files: DataFiles, row: Row) -> Image:
    """The image by the record's file name, else by its stem."""
    name = row.text("ImageFileName").strip()
    stem = name.rpartition(".")[0] or name
    names = dict.fromkeys((name, *(stem + suffix for suffix in SUFFIXES)))
    return first_of(*(files.image(f"{base}{IMAGES}/{each}") for each in names for base in BASES))


TASK: Final = Task(
    name="harmbench-mm",
    version="1",
    description="a picture and something harmful to do with it (HarmBench's multimodal behaviors)",
    splits={"all": WHOLE, "mini": mini(WHOLE, MINI, n=8, judges=ATTACK_RULE)},
    samples=samples,
    source=DataSource(
        url="https://github.com/centerforaisafety/HarmBench",
        unchecked=UNSEEN,
        licence="upstream's own was not seen; others name MIT",
        size="not published; 110 images",
        archive=("centerforaisafety/HarmBench", "", (f"data/{TABLE}", f"data/{IMAGES}/*")),
    ),
    paper=HARMBENCH,
)
