"""Methods as values: which data in which shares, with which labels, and which parts of the model learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Role = Literal["language", "projector", "vision"]
Layout = Literal["mis", "vlguard", "saferlhf", "sharegpt", "llamafactory", "swift"]
Labels = Literal["given", "refusal", "text_only"]

LANGUAGE: Final[tuple[Role, ...]] = ("language",)
MULTIMODAL: Final[tuple[Role, ...]] = ("language", "projector")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingredient:
    """One part of a mixture.

    Attributes:
        name: what `--data NAME=PATH` calls it; empty for the main one, `--data PATH`.
        layout: of its files.
        count: records that are taken at random with the training's seed; None for all.
        share: records as a share of the whole mixture instead of a count; None for none.
        labels: `given` answers as they are; `refusal` puts a fixed refusal in their place; `text_only` drops the images
            and asks in words.
        part: of the data set: what its layout's reader takes as a filter, such as `unsafe`; empty for all.
        needed: without it the method is not what its name says; an ingredient that is not needed is left out, and said.
        source: name of the published set, which `trained_on` of training.json tells where the data are that; without a
            `hub`, the user's own name of theirs.
        hub: where it is published, as the user must fetch it.
    """

    name: str = ""
    layout: Layout
    count: int | None = None
    share: float | None = None
    labels: Labels = "given"
    part: str = ""
    needed: bool = True
    source: str = ""
    hub: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A way to fine-tune.

    Attributes:
        name: what `harness train` calls it.
        description: one line.
        ingredients: of the mixture, the main one first.
        trained: roles whose parameters learn; all others are frozen.
        recipe: row of the recipes that it starts from, where its own name has none; empty for its own name.
        source: paper and section.
    """

    name: str
    description: str
    ingredients: tuple[Ingredient, ...]
    trained: tuple[Role, ...] = MULTIMODAL
    recipe: str = ""
    source: str = ""


_GENERAL: Final = Ingredient(
    name="general", layout="sharegpt", count=500, source="M4-Instruct-Data", hub="lmms-lab/M4-Instruct-Data"
)
_PAPER: Final = "arXiv 2501.18533"

METHODS: Final[tuple[Method, ...]] = (
    Method(
        name="mirage",
        description="multi-image safety with reasoned labels, as MIS-train's are, and 500 general multi-image samples",
        ingredients=(Ingredient(layout="mis", source="mis-train", hub="Tuwhy/MIS_Train"), _GENERAL),
        source=f"{_PAPER} §4",
    ),
    Method(
        name="mirage-refusal",
        description="ablation of mirage: the same questions, every answer an apology",
        ingredients=(Ingredient(layout="mis", labels="refusal", source="mis-train", hub="Tuwhy/MIS_Train"), _GENERAL),
        recipe="mirage",
        source=f"{_PAPER}, ablation",
    ),
    Method(
        name="mirage-text-only",
        description="ablation of mirage: the same harm asked in words, without images",
        ingredients=(Ingredient(layout="mis", labels="text_only", source="mis-train", hub="Tuwhy/MIS_Train"), _GENERAL),
        recipe="mirage",
        source=f"{_PAPER}, ablation",
    ),
    Method(
        name="textual-sft",
        description="baseline: 2,000 harmful and 1,000 benign texts beside a black image; the language model learns",
        ingredients=(
            Ingredient(
                layout="saferlhf", part="harmful", count=2000, source="PKU-SafeRLHF", hub="PKU-Alignment/PKU-SafeRLHF"
            ),
            Ingredient(
                layout="saferlhf", part="benign", count=1000, source="PKU-SafeRLHF", hub="PKU-Alignment/PKU-SafeRLHF"
            ),
        ),
        trained=LANGUAGE,
        source=f"{_PAPER} App. B",
    ),
    Method(
        name="vlguard-p",
        description="baseline: post-hoc tuning on VLGuard's 2,000 unsafe and 1,000 safe samples",
        ingredients=(
            Ingredient(layout="vlguard", part="unsafe", source="VLGuard", hub="ys-zong/VLGuard"),
            Ingredient(layout="vlguard", part="safe", source="VLGuard", hub="ys-zong/VLGuard"),
        ),
        source=f"{_PAPER} App. B; arXiv 2402.02207",
    ),
    Method(
        name="vlguard-m",
        description="baseline: VLGuard mixed into general multimodal samples",
        ingredients=(
            Ingredient(layout="vlguard", part="unsafe", source="VLGuard", hub="ys-zong/VLGuard"),
            Ingredient(layout="vlguard", part="safe", source="VLGuard", hub="ys-zong/VLGuard"),
            Ingredient(
                name="general",
                layout="sharegpt",
                count=5000,
                source="LLaVA-Instruct",
                hub="liuhaotian/LLaVA-Instruct-150K",
            ),
        ),
        recipe="vlguard-p",
        source=f"{_PAPER} App. B; arXiv 2402.02207",
    ),
    Method(
        name="vlguard-r",
        description="baseline: VLGuard whose unsafe samples have reasoned labels, which the user brings",
        ingredients=(
            Ingredient(name="reasoned", layout="vlguard", part="unsafe", source="VLGuard", hub="ys-zong/VLGuard"),
            Ingredient(layout="vlguard", part="safe", source="VLGuard", hub="ys-zong/VLGuard"),
        ),
        source=f"{_PAPER} App. B",
    ),
)
