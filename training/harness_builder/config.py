"""Reads `build.yaml` into a plan. An error names the key and what to do, before the build begins.

A tree of pydantic models describes the file: they accept exactly their keys and types. The plan itself is a plain
value, since build.json holds it and most of the builder needs no pydantic.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, cast

import pydantic
from pydantic_core import PydanticCustomError

from harness import HarnessError, UnknownName
from harness.http.status import as_list, as_mapping
from harness.runs.config import load_yaml
from harness.settings import nearest
from harness_builder.plan import (
    IMAGE_BITS,
    LOWEST_LIKENESS,
    MOST_BITS,
    PROMPTS,
    ROLES,
    TEXT_LIKENESS,
    ModelChoice,
    Photos,
    Plan,
    ReferenceTest,
    Role,
)
from harness_builder.seeds import PLAIN, SeedSource, find_layouts, rename_columns
from harness_builder.steps.wording import same_name

_FILE: Final = "the config of the build"
_UNKNOWN: Final = "unknown_key"  # kind of error: a key or a name that does not exist
#: pydantic's kind of error -> our message
_WORDS: Final[Mapping[str, str]] = {
    "missing": "is missing",
    "string_type": "must be a text, not {given}",
    "bool_type": "must be true or false, not {given}",
    "int_type": "must be a whole number, not {given}",
    "float_type": "must be a number, not {given}",
    "list_type": "must be a list, not {given}",
    "dict_type": "must be a mapping, not {given}",
    "literal_error": "must be {expected}",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "finite_number": "must be a finite number",
    "too_short": "must not be empty",
}


def read_plan(path: Path) -> Plan:
    """The plan that a file describes. Paths in it are relative to the file; `~` is the user's home.

    Raises:
        UnknownName: a key, a role, a template or a layout does not exist; with the nearest spelling.
        HarnessError: the file cannot be read, is not YAML, lacks a key, or has a value that is not allowed.
    """
    try:
        found = load_yaml(path, _FILE)
    except (ValueError, RecursionError) as error:  # an impossible date or number; brackets without an end
        detail = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        raise HarnessError(f"{_FILE} is not YAML: {detail}", where=str(path)) from None
    try:
        return _build_plan(Config.model_validate(found), path)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
    of_key = "[key]" in first["loc"]
    key = ".".join(
        f"#{step + 1}" if isinstance(step, int) else step for step in (first["loc"][:-2] if of_key else first["loc"])
    )
    context: Mapping[str, Any] = first.get("ctx", {})
    said = context.get("message") or first["msg"]
    if first["type"] in _WORDS:
        said = _WORDS[first["type"]].format(given=_describe_value(first["input"]), **context)
    raised = UnknownName if first["type"] == _UNKNOWN else HarnessError
    what = f"{key or _FILE}: {'a name in it ' if of_key else ''}{said}"
    raise raised(what, where=str(path), remedy=str(context.get("remedy", "")))


# ---- what a value may be ---------------------------------------------------------------------------------------------


def _fault(message: str, remedy: str = "", kind: str = "wrong") -> PydanticCustomError:
    return PydanticCustomError(cast("Any", kind), "{message}", {"message": message, "remedy": remedy})


def _describe_value(value: object) -> str:
    kinds: Mapping[type, str] = {str: "a text", bool: "a yes or no", list: "a list", type(None): "nothing"}
    return kinds.get(type(value), f"{value}" if isinstance(value, int | float) else "a mapping")


def _check_line(text: str) -> str:
    if not text.strip():
        raise _fault("is empty")
    if any(unicodedata.category(each) in ("Cc", "Zl", "Zp", "Cs") for each in text):
        raise _fault("must be on one line")
    return text.strip()


def _check_source_name(name: str) -> str:
    """The name of a source is the first part of the keys of its seeds, before `/` and `#`."""
    if set(name) & set("/#"):
        raise _fault(f"{name!r} holds a / or a #, which separate the parts of seed keys")
    return name


def _check_ref(ref: str) -> str:
    scheme, _, name = ref.partition("/")
    if not scheme.strip() or not name.strip():
        raise _fault(f"{ref!r} is no model or painter", "write SCHEME/NAME, such as openai/NAME: see `harness models`")
    return ref


def _check_balance(value: Any) -> int | dict[str, int] | None:
    by_name = as_mapping(value)
    if value is not None and not all(type(count) is int and count >= 1 for count in by_name.values() or [value]):
        raise _fault("must be a whole number of at least 1, or one for each category")
    return {str(name): count for name, count in by_name.items()} or value


def _read_categories(value: Any) -> Any:
    """A list of categories becomes a mapping to nothing; a category without a value has no sub-categories."""
    if not isinstance(value, list):
        return {name: list[str]() if below is None else below for name, below in as_mapping(value).items()} or value
    names = as_list(value)
    if strangers := [name for name in names if not isinstance(name, str)]:
        raise _fault(f"a category is a text, not {_describe_value(strangers[0])}")
    if len(set(names)) < len(names):
        raise _fault("two categories have one name")
    return {name: list[str]() for name in names}


def _from_text(key: str) -> pydantic.BeforeValidator:
    """A text becomes a section with this one key."""
    return pydantic.BeforeValidator(lambda value: {key: value} if isinstance(value, str) else value)


def _only_keys(known: tuple[str, ...], what: str) -> pydantic.BeforeValidator:
    """A mapping has no other keys than these."""

    def check(value: Any) -> Any:
        for key in as_mapping(value):
            if key not in known:
                raise _fault(f"there is no {what} {str(key)!r}", nearest(str(key), known), _UNKNOWN)
        return value

    return pydantic.BeforeValidator(check)


Line = Annotated[str, pydantic.AfterValidator(_check_line)]  #: one line that is not empty
SourceName = Annotated[Line, pydantic.AfterValidator(_check_source_name)]
Ref = Annotated[Line, pydantic.AfterValidator(_check_ref)]
Count = Annotated[int, pydantic.Field(ge=1)]
Size = Annotated[int, pydantic.Field(ge=64, le=4096)]
Price = Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)]
Amount = Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]


# ---- the sections ----------------------------------------------------------------------------------------------------


class Section(pydantic.BaseModel):
    """A section: exactly its keys and their types."""

    model_config: ClassVar[pydantic.ConfigDict] = pydantic.ConfigDict(strict=True, frozen=True, extra="forbid")

    @pydantic.model_validator(mode="before")
    @classmethod
    def _check_keys(cls, value: Any) -> Any:
        if value is None:
            return {}  # a section whose keys are all commented out
        if not isinstance(value, Mapping):
            raise _fault(f"must be a mapping of keys to values, not {_describe_value(value)}")
        for key in cast("Mapping[object, Any]", value):
            if str(key) not in cls.model_fields:
                raise _fault(f"there is no key {str(key)!r}", nearest(str(key), cls.model_fields), _UNKNOWN)
        return cast("Any", value)


class TokenPrice(Section):
    """Of a model, in US dollars per million tokens."""

    input: Price
    output: Price


class ImagePrice(Section):
    """Of a painter, in US dollars per image."""

    image: Price


class ModelSection(Section):
    """A model; `SCHEME/NAME` stands for one without settings and price."""

    model: Ref
    settings: dict[str, Any] = pydantic.Field(default_factory=dict[str, Any])
    price: TokenPrice | None = None


class PainterSection(Section):
    """A painter and the size of its drawings; `SCHEME/NAME` works too."""

    painter: Ref
    settings: dict[str, Any] = pydantic.Field(default_factory=dict[str, Any])
    width: Size = 1024
    height: Size = 1024
    price: ImagePrice | None = None


class SourceSection(Section):
    """Where seeds come from."""

    name: SourceName
    path: Line
    layout: str = PLAIN
    licence: str = ""
    limit: Count | None = None
    seed: int = 0
    columns: dict[str, Line] = pydantic.Field(default_factory=dict[str, str])

    @pydantic.model_validator(mode="after")
    def _check_layout(self) -> SourceSection:
        try:
            for layout in find_layouts(self.layout):
                rename_columns(layout, self.columns)
        except HarnessError as error:
            raise _fault(error.what, error.remedy, _UNKNOWN if isinstance(error, UnknownName) else "wrong") from None
        return self


class ElementsSection(Section):
    """How many elements to ask for from one seed."""

    per_text: Count = 2
    per_image: Count = 3


class DrawSection(Section):
    """The rounds, and the drawings in each."""

    rounds: Count = 2
    best_of: Count = 1


class SortSection(Section):
    """Who decides."""

    review: Literal["people", "none"] = "people"
    reviewers: Count = 1


class ProbeSection(Section):
    """Whether to probe the parts for the risk, and what to keep."""

    ask: bool = True
    keep: Literal["all", "together"] = "all"

    @pydantic.model_validator(mode="after")
    def _check_asked(self) -> ProbeSection:
        if self.keep == "together" and not self.ask:
            raise _fault("keep: together needs the probes, but ask is false", "write ask: true, or keep: all")
        return self


class LabelSection(Section):
    """The rubric that judges answers, and which ablations are made as well."""

    rubric: Line = "mis"
    accept: list[Line] = pydantic.Field(default_factory=lambda: ["safe_reasoning"], min_length=1)
    tries: Count = 2
    refusal: bool = False
    text_only: bool = False


class TestSection(Section):
    """A test that no record of the set may nearly equal; a task's name is one without `data`."""

    task: Line
    data: Line | None = None


class QualitySection(Section):
    """Limits for near-duplicates, tests to compare with, and how many records of each category to keep."""

    text: Annotated[float, pydantic.Field(ge=LOWEST_LIKENESS, le=1)] = TEXT_LIKENESS
    image: Annotated[int, pydantic.Field(ge=0, le=MOST_BITS)] = IMAGE_BITS
    against: list[Annotated[TestSection, _from_text("task")]] = pydantic.Field(default_factory=list[TestSection])
    balance: Annotated[Any, pydantic.AfterValidator(_check_balance)] = None


class PhotosSection(Section):
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
    def _check_model(self) -> PhotosSection:
        name, _, weights = self.model.partition(":")
        if self.by == "clip" and not (name and weights):
            raise _fault(
                f"by: clip needs a model of open_clip and its weights, not {self.model!r}",
                "write model: NAME:WEIGHTS, such as ViT-B-32:laion2b_s34b_b79k, or by: caption",
            )
        return self


class LimitsSection(Section):
    """Where a build ends, and how much it does at once."""

    concurrency: Count | None = None
    calls: Count | None = None
    usd: Amount | None = None


class Config(Section):
    """The whole file."""

    name: Line
    language: Line = "English"
    seed: int = 0
    sources: Annotated[list[SourceSection], pydantic.Field(min_length=1)]
    categories: Annotated[dict[Line, list[Line]], pydantic.BeforeValidator(_read_categories)] = pydantic.Field(
        default_factory=dict[str, list[str]]
    )
    models: Annotated[dict[str, Annotated[ModelSection, _from_text("model")]], _only_keys(ROLES, "role")]
    painter: Annotated[PainterSection, _from_text("painter")]
    prompts: Annotated[dict[str, Line], _only_keys(PROMPTS, "template")] = pydantic.Field(
        default_factory=dict[str, str]
    )
    elements: ElementsSection = ElementsSection()
    draw: DrawSection = DrawSection()
    sort: SortSection = SortSection()
    probe: ProbeSection = ProbeSection()
    label: LabelSection = LabelSection()
    quality: QualitySection = QualitySection()
    real: PhotosSection | None = None
    limits: LimitsSection = LimitsSection()

    @pydantic.field_validator("categories")
    @classmethod
    def _check_categories(cls, value: dict[str, list[str]]) -> dict[str, list[str]]:
        """A model may write a name with other signs, so names that differ in signs alone are refused."""
        for names in (list(value), *value.values()):
            for place, name in enumerate(names):
                if twin := next((each for each in names[:place] if same_name(each, name)), None):
                    raise _fault(f"{twin!r} and {name!r} cannot be told apart")
        return value

    @pydantic.field_validator("models")
    @classmethod
    def _check_models(cls, value: dict[str, ModelSection]) -> dict[str, ModelSection]:
        if "writer" not in value:
            raise _fault("no model is the writer", "write writer: SCHEME/NAME below models")
        return value

    @pydantic.model_validator(mode="after")
    def _check_names(self) -> Config:
        names = [each.name for each in (*self.sources, *((self.real,) if self.real else ()))]
        if twins := {name for name in names if names.count(name) > 1}:
            raise _fault(f"two sources are called {min(twins)!r}", "give each its own name")
        for name in as_mapping(self.quality.balance) if self.categories else ():
            if name not in self.categories:
                what = f"quality.balance: there is no category {name!r}"
                raise _fault(what, nearest(name, self.categories), _UNKNOWN)
        return self


# ---- from the file to the plan --------------------------------------------------------------------------------


def _build_plan(config: Config, file: Path) -> Plan:
    def find(name: str) -> Path:
        try:
            return file.parent / Path(name).expanduser()
        except RuntimeError:  # the home of a user who does not exist
            return file.parent / name

    def choose(ref: str, section: ModelSection | PainterSection) -> ModelChoice:
        price: Mapping[str, float] = {} if section.price is None else section.price.model_dump()
        return ModelChoice(ref=ref, settings=section.settings, price=price)

    photos: Photos | None = None
    if real := config.real:
        name, _, weights = real.model.partition(":")
        weights_file, model = find(weights), real.model
        try:
            if weights and weights_file.is_file():  # otherwise the weights are a tag of open_clip
                model = f"{name}:{weights_file}"
        except OSError:  # such as a name that is too long
            pass
        faces = None if real.faces is None else find(real.faces)
        given: dict[str, Any] = {**real.model_dump(), "path": find(real.path), "model": model, "faces": faces}
        photos = Photos(**given)
    models: dict[Role, ModelChoice] = {
        role: choose(config.models[role].model, config.models[role]) for role in ROLES if role in config.models
    }
    models.setdefault("viewer", models["writer"])  # one model may do everything
    painter, quality, limits = config.painter, config.quality, config.limits
    sources: list[dict[str, Any]] = [{**each.model_dump(), "path": find(each.path)} for each in config.sources]
    return Plan(
        name=config.name,
        sources=tuple(SeedSource(**source) for source in sources),
        models=models,
        painter=choose(painter.painter, painter),
        language=config.language,
        seed=config.seed,
        categories={name: tuple(below) for name, below in config.categories.items()},
        prompts={name: find(config.prompts[name]) for name in PROMPTS if name in config.prompts},
        per_text=config.elements.per_text,
        per_image=config.elements.per_image,
        rounds=config.draw.rounds,
        best_of=config.draw.best_of,
        width=painter.width,
        height=painter.height,
        review=config.sort.review == "people",
        reviewers=config.sort.reviewers,
        probe=config.probe.ask,
        together=config.probe.keep == "together",
        rubric=config.label.rubric,
        accept=tuple(config.label.accept),
        tries=config.label.tries,
        refusal=config.label.refusal,
        text_only=config.label.text_only,
        likeness=quality.text,
        bits=quality.image,
        against=tuple(
            ReferenceTest(task=test.task, data=None if test.data is None else find(test.data))
            for test in quality.against
        ),
        balance=quality.balance,
        photos=photos,
        concurrency=limits.concurrency,
        most_calls=limits.calls,
        most_usd=limits.usd,
        file=file,
    )
