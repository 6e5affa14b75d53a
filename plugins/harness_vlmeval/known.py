"""The data sets with their own task: the published facts of each, and its scoring."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from harness.contracts import Paper

from .papers import HALLUSIONBENCH, MMMU, MMSTAR, MMT_BENCH, MUIRBENCH, POPE

Form = Literal["choice", "yesno", "hallusion"]
_HOST: Final = "https://opencompass.openxlab.space/utils"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One split of a task: some rows of a data set.

    Attributes:
        dataset: VLMEvalKit's name; the file is `<dataset>.tsv`.
        n: published number of rows.
        images: most images per row; None if unknown.
        only: column -> required value, or allowed values separated by commas.
        by: breakdowns.
    """

    dataset: str
    n: int | None
    images: int | None
    only: Mapping[str, str] = field(default_factory=dict[str, str])
    by: tuple[str, ...] = ("category",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A data set with its own task.

    Attributes:
        name: task name.
        description: one line.
        form: form of its questions, which decides the metrics.
        parts: split -> rows.
        pooled: a derived split of all parts; empty for none.
        mini: most images per row of the packaged split.
        url: URL of the file.
        md5: VLMEvalKit's md5 of the file.
        size: size of the file.
        licence: the publisher's statement.
        paper: where it was published.
    """

    name: str
    description: str
    form: Form
    parts: Mapping[str, Part]
    pooled: str = ""
    mini: int = 1
    url: str
    md5: str
    size: str = ""
    licence: str
    paper: Paper


KNOWN: Final = (
    Known(
        name="mmstar",
        description="MMStar: multiple choice that needs the image",
        form="choice",
        parts={"val": Part(dataset="MMStar", n=1500, images=1, by=("category", "l2-category"))},
        url=f"{_HOST}/VLMEval/MMStar.tsv",
        md5="e1ecd2140806c1b1bbf54b43372efb9e",
        licence="none stated",
        paper=MMSTAR,
    ),
    Known(
        name="mmmu",
        description="MMMU: college questions of 30 subjects, validation",
        form="choice",
        parts={"validation": Part(dataset="MMMU_DEV_VAL", n=900, images=7, only={"split": "validation"})},
        mini=2,
        url=f"{_HOST}/VLMEval/MMMU_DEV_VAL.tsv",
        md5="585e8ad75e73f75dcad265dfd0417d64",
        licence="Apache-2.0",
        paper=MMMU,
    ),
    Known(
        name="muirbench",
        description="MUIRBench: questions about several images, half of which cannot be answered",
        form="choice",
        parts={"test": Part(dataset="MUIRBench", n=2600, images=9)},
        mini=2,
        url=f"{_HOST}/VLMEval/MUIRBench.tsv",
        md5="2e5e6fd7699761b08a7cb3ab8c0c2ec8",
        licence="CC BY 4.0",
        paper=MUIRBENCH,
    ),
    Known(
        name="mmt-bench",
        description="MMT-Bench, VAL_MI: 162 subtasks, several images kept apart",
        form="choice",
        parts={"val_mi": Part(dataset="MMT-Bench_VAL_MI", n=3127, images=None, by=("category", "l2-category"))},
        mini=2,
        url=f"{_HOST}/benchmarks/MMT-Bench/MMT-Bench_VAL_MI.tsv",
        md5="c7d7b998eb5cd9aa36c7d4f721472462",
        size="726 MB",
        licence="CC BY 4.0",
        paper=MMT_BENCH,
    ),
    Known(
        name="hallusionbench",
        description="HallusionBench: yes-or-no questions about images that deceive",
        form="hallusion",
        parts={"image": Part(dataset="HallusionBench", n=951, images=1, by=("category", "l2-category"))},
        url=f"{_HOST}/VLMEval/HallusionBench.tsv",
        md5="0c23ac0dc9ef46832d7a24504f2a0c7c",
        licence="BSD-3-Clause",
        paper=HALLUSIONBENCH,
    ),
    Known(
        name="pope",
        description="POPE: is there such an object in the image?",
        form="yesno",
        parts={
            subset: Part(dataset="POPE", n=3000, images=1, only={"category": subset})
            for subset in ("random", "popular", "adversarial")
        },
        pooled="test",
        url=f"{_HOST}/VLMEval/POPE.tsv",
        md5="c12f5acb142f2ef1f85a26ba2fbe41d5",
        licence="MIT (questions); images of COCO val2014",
        paper=POPE,
    ),
)

#: other yes-or-no sets
YES_NO: Final = frozenset({"AMBER", "MME", "POPE", "VSR-zeroshot"})


def find_known(dataset: str) -> Known | None:
    """The own task of a data set; None without one."""
    return next((each for each in KNOWN for part in each.parts.values() if part.dataset == dataset), None)
