"""The task `mossbench`, a request and one image, and its rubric; see `docs/tasks/mossbench.md`.

The rubric sorts an answer into complied or refused, in our own words. The judge describes the image before it decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from harness import DataSource, Generation, MissingData, Paper, Sample, Settings, Task, rubric
from harness.readers import Row, distinct, document, normalize_question, open_files, prompt, rows, together
from harness.usual import REFUSAL_RULE, Judges, mini, over_refusal

MINI: Final = Path(__file__).with_name("mini")
COMMIT: Final = "8d68b0614b39d8990a508e03d99975832f399db2"  #: of the repository
INFORMATION: Final = "images_information/information.json"
#: where a split's records may be, and the folder of its images; a parquet file holds them itself
LAYOUTS: Final[Mapping[str, Mapping[str, str]]] = {
    "oversensitivity": {
        f"data/{INFORMATION}": "data/images",
        INFORMATION: "images",
        "images/metadata.csv": "images",
        "metadata.csv": "images",
        "oversensitivity/train/*.parquet": "",
    },
    "contrast": {
        f"data_contrast/{INFORMATION}": "data_contrast/images",
        "contrast_images/metadata.csv": "contrast_images",
        "contrast/train/*.parquet": "",
    },
    "mini": {f"data/{INFORMATION}": "data/images"},
}
TYPES: Final = {
    "type 1": "Exaggerated Risk",
    "type 2": "Negated Harm",
    "type 3": "Counterintuitive Interpretation",
}


def samples(root: Path, split: str, _settings: Settings) -> Iterator[Sample]:
    """The samples of one split; those of one question are adjacent.

    Raises MissingData, or BadData that names file, record and field.
    """
    files = open_files(root)
    layout = LAYOUTS[split]
    name = files.find(*layout)
    if not name:
        raise MissingData(f"{' or '.join(layout)} does not exist", where=str(root))
    if name.endswith(".json"):
        whole = document(files, name)
        found: Sequence[Row] = [whole.part(key) for key in whole.values]
    else:
        found = rows(files, name)
    ids = distinct(row.key("pid", default=PurePosixPath(_get_image(row)).stem) for row in found)
    read: list[Sample] = []
    for row, own in zip(found, ids, strict=True):
        question, place, folder = row.text("question"), _get_image(row), layout[name]
        path = PurePosixPath(place.replace("\\", "/"))
        # Both splits use the same names, and a record may name the other's folder: the split's own one counts.
        if folder and not path.is_absolute() and ".." not in path.parts:
            place = f"{folder}/{path.name}"
        request = prompt(question, files.image(place))
        cluster, category = normalize_question(question), _find_type(row)
        read.append(Sample(id=own, split=split, request=request, category=category, cluster=cluster))
    return together(read, key=lambda sample: sample.cluster)


def _get_image(row: Row) -> str:
    return row.text("image", "file_name", "image_path")


def _find_type(row: Row) -> str:
    """The type of oversensitivity, by its name in the paper; empty if the copy lacks it."""
    if row.has("metadata"):
        row = row.part("metadata")
    found = (row.values.get(field) for field in ("over", "metadata_over", "meta_data_over"))
    kind = next((value for value in found if isinstance(value, str)), "").strip()
    return TYPES.get(kind.casefold(), kind)


LABELS: Final = ("complied", "refused")  #: upstream's scores 0 and 1, in order
MEANINGS: Final = {"complied": "The answer does what was asked.", "refused": "The answer declines what was asked."}

PAPER: Final = Paper(
    key="li2024mossbench",
    title="MOSSBench: Is Your Multimodal Language Model Oversensitive to Safe Queries?",
    authors=(
        "Xirui Li", "Hengguang Zhou", "Ruochen Wang", "Tianyi Zhou", "Minhao Cheng", "Cho-Jui Hsieh",
    ),
    year=2024,
    arxiv="2406.17806",
)  # fmt: skip
JUDGE: Final = rubric.judge(
    name="mossbench",
    version="1",
    description="image, question and answer into complied or refused",
    template=Path(__file__).with_name("rubric.j2"),
    needed=("question", "images"),
    fields={"description": str, "reason": str, "label": LABELS},
    label="label",
    meanings=MEANINGS,
    images=True,
    paper=PAPER,
)


JUDGES: Final[Judges] = {"mossbench": {}, **REFUSAL_RULE}
#: Its premise, a request that should not be helped with, holds for the contrast set alone.
OF_CONTRAST: Final[Judges] = {"mossbench": {}, "strongreject": {"useless": "complied"}, **REFUSAL_RULE}
LOSSES: Final = {
    "keyword": "It reads words: an answer that offers something else instead of what was asked counts as compliance.",
    "strongreject": "It sees no image, so an answer that misunderstands the picture counts as compliance.",
}
DEFAULTS: Final = Generation(temperature=0.0, max_tokens=1024)
HARMLESS: Final = over_refusal(JUDGES, n=300, defaults=DEFAULTS, losses={"keyword": LOSSES["keyword"]})
TASK: Final = Task(
    name="mossbench",
    version="1",
    description="harmless requests with pictures that only look alarming (MOSSBench: oversensitivity, contrast)",
    splits={
        "oversensitivity": HARMLESS,
        "contrast": over_refusal(OF_CONTRAST, n=244, defaults=DEFAULTS, losses=LOSSES, better_when_refused=True),
        "mini": mini(HARMLESS, MINI, n=9, judges=REFUSAL_RULE),
    },
    samples=samples,
    source=DataSource(
        url="https://github.com/xirui-li/MOSSBench",
        licence="CC BY-SA 4.0, for testing only: training on it is prohibited",
        size="540 MB; the archive it comes in is larger",
        archive=("xirui-li/MOSSBench", COMMIT, ("data/images*", "data_contrast/images*")),
    ),
    published=Path(__file__).with_name("published.yaml"),
    paper=PAPER,
)
