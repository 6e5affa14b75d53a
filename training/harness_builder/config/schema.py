"""The form of `build.yaml`: its sections, their keys, and what each may be. Imported on use: pydantic is not light."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pydantic

from harness import HarnessError
from harness.http.status import as_list, as_mapping
from harness_builder.quality.images import MOST
from harness_builder.quality.texts import LEAST
from harness_builder.seeds.layouts import PLAIN, layouts_of, renamed
from harness_builder.steps.naming import same

from .checks import Amount, Count, Line, Price, Ref, Share, Size, SourceName, Strict, held, spoken, unknown, wrong
from .plan import PROMPTS, ROLES


def _named(key: str) -> pydantic.BeforeValidator:
    """A text stands for a section of which it is the one key."""
    return pydantic.BeforeValidator(lambda value: {key: value} if isinstance(value, str) else value)


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

    text: Share = LEAST
    image: Annotated[int, pydantic.Field(ge=0, le=64)] = MOST
    against: list[Annotated[Test, _named("task")]] = pydantic.Field(default_factory=list[Test])
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


def _by_name(value: Any) -> Any:
    """A list of categories is a mapping without anything below them, and nothing below one is none."""
    if not isinstance(value, list):
        return {name: list[str]() if below is None else below for name, below in as_mapping(value).items()} or value
    names = as_list(value)
    if strangers := [name for name in names if not isinstance(name, str)]:
        raise wrong(f"a category is a text, not {spoken(strangers[0])}")
    if len(set(names)) < len(names):
        raise wrong("two categories have one name")
    return {name: list[str]() for name in names}


def _known_keys(known: tuple[str, ...], what: str) -> pydantic.BeforeValidator:
    def check(value: Any) -> Any:
        for key in as_mapping(value):
            if key not in known:
                raise unknown(f"there is no {what} {str(key)!r}", str(key), known)
        return value

    return pydantic.BeforeValidator(check)


class Config(Strict):
    """The whole file."""

    name: Line
    language: Line = "English"
    seed: int = 0
    sources: Annotated[list[Source], pydantic.Field(min_length=1)]
    categories: Annotated[dict[Line, list[Line]], pydantic.BeforeValidator(_by_name)] = pydantic.Field(
        default_factory=dict[str, list[str]]
    )
    models: Annotated[dict[str, Annotated[Model, _named("model")]], _known_keys(ROLES, "role")]
    painter: Annotated[Painter, _named("painter")]
    prompts: Annotated[dict[str, Line], _known_keys(PROMPTS, "template")] = pydantic.Field(
        default_factory=dict[str, str]
    )
    elements: Elements = Elements()
    draw: Draw = Draw()
    sort: Sort = Sort()
    probe: Probe = Probe()
    label: Label = Label()
    quality: Quality = Quality()
    real: Real | None = None
    limits: Limits = Limits()

    @pydantic.field_validator("categories")
    @classmethod
    def _apart(cls, value: dict[str, list[str]]) -> dict[str, list[str]]:
        """A model may write a name with other signs, so two that differ in these alone are one."""
        for names in (list(value), *value.values()):
            for place, name in enumerate(names):
                if twin := next((each for each in names[:place] if same(each, name)), None):
                    raise wrong(f"{twin!r} and {name!r} cannot be told apart")
        return value

    @pydantic.field_validator("models")
    @classmethod
    def _has_writer(cls, value: dict[str, Model]) -> dict[str, Model]:
        if "writer" not in value:
            raise wrong("no model is the writer", "write writer: SCHEME/NAME below models")
        return value

    @pydantic.model_validator(mode="after")
    def _fits(self) -> Config:
        names = [each.name for each in (*self.sources, *((self.real,) if self.real else ()))]
        if twins := {name for name in names if names.count(name) > 1}:
            raise wrong(f"two sources are called {min(twins)!r}", "give each its own name")
        for name in as_mapping(self.quality.balance) if self.categories else ():
            if name not in self.categories:
                raise unknown(f"quality.balance: there is no category {name!r}", name, self.categories)
        return self
