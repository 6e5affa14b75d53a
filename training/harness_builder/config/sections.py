"""The sections of `build.yaml`: their keys, and what each may be."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pydantic

from harness import HarnessError
from harness.http.status import as_mapping
from harness_builder.quality.images import MOST
from harness_builder.quality.texts import LEAST, LOWEST
from harness_builder.seeds.layouts import PLAIN, layouts_of, renamed

from .checks import Amount, Count, Line, Price, Ref, Size, SourceName, Strict, held, named, wrong


class TokenPrice(Strict):
    """Of a model, in US dollars per million tokens."""

    input: Price
    output: Price


class ImagePrice(Strict):
    """Of a painter, in US dollars per image."""

    image: Price


class Model(Strict):
    """A model; `SCHEME/NAME` stands for one without anything else."""

    model: Ref
    settings: dict[str, Any] = pydantic.Field(default_factory=dict[str, Any])
    price: TokenPrice | None = None


class Painter(Strict):
    """A painter, likewise, and the size of its drawings."""

    painter: Ref
    settings: dict[str, Any] = pydantic.Field(default_factory=dict[str, Any])
    width: Size = 1024
    height: Size = 1024
    price: ImagePrice | None = None


class Source(Strict):
    """Where seeds come from."""

    name: SourceName
    path: Line
    layout: str = PLAIN
    licence: str = ""
    limit: Count | None = None
    seed: int = 0
    columns: dict[str, Line] = pydantic.Field(default_factory=dict[str, str])

    @pydantic.model_validator(mode="after")
    def _known_layout(self) -> Source:
        try:
            for layout in layouts_of(self.layout):
                renamed(layout, self.columns)
        except HarnessError as error:
            raise held(error) from None
        return self


class Elements(Strict):
    """How many are asked for from one seed."""

    per_text: Count = 2
    per_image: Count = 3


class Draw(Strict):
    """How often, and out of how many."""

    rounds: Count = 2
    best_of: Count = 1


class Sort(Strict):
    """Who decides."""

    review: Literal["people", "none"] = "people"
    reviewers: Count = 1


class Probe(Strict):
    """Whether the risk is looked for in the parts, and what is kept."""

    ask: bool = True
    keep: Literal["all", "together"] = "all"

    @pydantic.model_validator(mode="after")
    def _asked(self) -> Probe:
        if self.keep == "together" and not self.ask:
            raise wrong("keep: together takes what the probes say, and ask is false", "write ask: true, or keep: all")
        return self


class Label(Strict):
    """By which rubric an answer is judged, and which ablations are made as well."""

    rubric: Line = "mis"
    accept: list[Line] = pydantic.Field(default_factory=lambda: ["safe_reasoning"], min_length=1)
    tries: Count = 2
    refusal: bool = False
    text_only: bool = False


class Test(Strict):
    """One that nothing of the set may nearly equal; a task's name stands for one without anything else."""

    task: Line
    data: Line | None = None


def _counts(value: Any) -> int | dict[str, int] | None:
    by_name = as_mapping(value)
    if value is not None and not all(type(count) is int and count >= 1 for count in by_name.values() or [value]):
        raise wrong("must be a whole number of at least 1, or one for each category")
    return {str(name): count for name, count in by_name.items()} or value


class Quality(Strict):
    """From which on two texts or images are alike, what the set is compared with, how many of each category."""

    text: Annotated[float, pydantic.Field(ge=LOWEST, le=1)] = LEAST
    image: Annotated[int, pydantic.Field(ge=0, le=64)] = MOST
    against: list[Annotated[Test, named("task")]] = pydantic.Field(default_factory=list[Test])
    balance: Annotated[Any, pydantic.AfterValidator(_counts)] = None


class Real(Strict):
    """Real photographs."""

    name: SourceName
    path: Line
    licence: str = ""
    count: Count = 100
    by: Literal["clip", "caption"] = "clip"
    model: str = ""
    least: Annotated[float, pydantic.Field(ge=0, le=1)] = 0.25
    faces: Line | None = None

    @pydantic.model_validator(mode="after")
    def _has_model(self) -> Real:
        name, _, weights = self.model.partition(":")
        if self.by == "clip" and not (name and weights):
            raise wrong(
                f"by: clip takes a model of open_clip and its weights, not {self.model!r}",
                "write model: NAME:WEIGHTS, such as ViT-B-32:laion2b_s34b_b79k, or by: caption",
            )
        return self


class Limits(Strict):
    """Where a build ends, and how much it does at once."""

    concurrency: Count | None = None
    calls: Count | None = None
    usd: Amount | None = None
