"""The form of the whole `build.yaml`. Imported on use: pydantic is not light."""

from __future__ import annotations

from typing import Annotated, Any

import pydantic

from harness.http.status import as_list, as_mapping
from harness_builder.steps.naming import same

from .checks import Line, Strict, known_keys, named, spoken, unknown, wrong
from .plan import PROMPTS, ROLES
from .sections import Draw, Elements, Label, Limits, Model, Painter, Probe, Quality, Real, Sort, Source


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


class Config(Strict):
    """The whole file."""

    name: Line
    language: Line = "English"
    seed: int = 0
    sources: Annotated[list[Source], pydantic.Field(min_length=1)]
    categories: Annotated[dict[Line, list[Line]], pydantic.BeforeValidator(_by_name)] = pydantic.Field(
        default_factory=dict[str, list[str]]
    )
    models: Annotated[dict[str, Annotated[Model, named("model")]], known_keys(ROLES, "role")]
    painter: Annotated[Painter, named("painter")]
    prompts: Annotated[dict[str, Line], known_keys(PROMPTS, "template")] = pydantic.Field(
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
