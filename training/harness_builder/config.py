"""What the fields of a config are held to, beyond their type. Each raises what pydantic turns into an error.

The sections of `build.yaml`: their keys, and what each may be.

The form of the whole `build.yaml`. Imported on use: pydantic is not light.

`build.yaml` becomes a plan. What is wrong with it is said with its key and what mends it, before anything else.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, cast

import pydantic
from pydantic_core import PydanticCustomError

from harness import HarnessError, UnknownName
from harness.http.status import as_list, as_mapping
from harness.runs.config import yaml_of
from harness.settings import nearest
from harness_builder.plan import (
    LEAST,
    LOWEST,
    MOST,
    PROMPTS,
    ROLES,
    ModelChoice,
    Photos,
    Plan,
    Prompt,
    ReferenceTest,
    Role,
)
from harness_builder.seeds import SeedSource
from harness_builder.seeds.layouts import PLAIN, layouts_of, renamed
from harness_builder.steps.wording import same_name

#: pydantic's kind of an error -> how a person would say it
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
    "finite_number": "must be a number that is not infinite",
    "too_short": "must not be empty",
}
UNKNOWN: Final = "unknown_key"  # a key, or a name, that there is not
WRONG: Final = "wrong"


def wrong(message: str, remedy: str = "") -> PydanticCustomError:
    """A value that cannot be."""
    return PydanticCustomError(WRONG, "{message}", {"message": message, "remedy": remedy})


def unknown(message: str, name: str, known: Iterable[str]) -> PydanticCustomError:
    """A name that there is not, with the nearest that there is."""
    return PydanticCustomError(UNKNOWN, "{message}", {"message": message, "remedy": nearest(name, known)})


def held(error: HarnessError) -> PydanticCustomError:
    """What a check of elsewhere found, to be told with the key that it is about."""
    kind = UNKNOWN if isinstance(error, UnknownName) else WRONG
    return PydanticCustomError(kind, "{message}", {"message": error.what, "remedy": error.remedy})


class Strict(pydantic.BaseModel):
    """A section: exactly its keys, of exactly their types."""

    model_config: ClassVar[pydantic.ConfigDict] = pydantic.ConfigDict(strict=True, frozen=True, extra="forbid")

    @pydantic.model_validator(mode="before")
    @classmethod
    def _known(cls, value: Any) -> Any:
        if value is None:
            return {}  # a section whose keys are all commented out
        if not isinstance(value, Mapping):
            raise wrong(f"must be a mapping of keys to values, not {spoken(value)}")
        for key in cast("Mapping[object, Any]", value):
            if str(key) not in cls.model_fields:
                raise unknown(f"there is no key {str(key)!r}", str(key), cls.model_fields)
        return cast("Any", value)


def worded(kind: str, message: str, given: object, context: Mapping[str, Any]) -> str:
    """What is wrong with a value, from pydantic's error."""
    return _WORDS[kind].format(given=spoken(given), **context) if kind in _WORDS else message


def spoken(value: object) -> str:
    """What a value of YAML is, in words."""
    kinds: Mapping[type, str] = {str: "a text", bool: "a yes or no", list: "a list", type(None): "nothing"}
    return kinds.get(type(value), f"{value}" if isinstance(value, int | float) else "a mapping")


def _one_line(text: str) -> str:
    if not text.strip():
        raise wrong("is empty")
    if any(unicodedata.category(each) in ("Cc", "Zl", "Zp", "Cs") for each in text):
        raise wrong("must stand on one line")
    return text.strip()


def _of_seeds(name: str) -> str:
    """The name of a source is the first part of the keys of its seeds, before `/` and `#`."""
    if set(name) & set("/#"):
        raise wrong(f"{name!r} holds a / or a #, which part the keys of seeds")
    return name


def _a_ref(ref: str) -> str:
    scheme, _, name = ref.partition("/")
    if not scheme.strip() or not name.strip():
        raise wrong(f"{ref!r} is no model or painter", "write SCHEME/NAME, such as openai/NAME: see `harness models`")
    return ref


Line = Annotated[str, pydantic.AfterValidator(_one_line)]  #: one line that is not empty
SourceName = Annotated[Line, pydantic.AfterValidator(_of_seeds)]
Ref = Annotated[Line, pydantic.AfterValidator(_a_ref)]
Count = Annotated[int, pydantic.Field(ge=1)]
Size = Annotated[int, pydantic.Field(ge=64, le=4096)]
Price = Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)]
Amount = Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]


def named(key: str) -> pydantic.BeforeValidator:
    """A text stands for a section of which it is the one key."""
    return pydantic.BeforeValidator(lambda value: {key: value} if isinstance(value, str) else value)


def known_keys(known: tuple[str, ...], what: str) -> pydantic.BeforeValidator:
    """A mapping has no other keys than these."""

    def check(value: Any) -> Any:
        for key in as_mapping(value):
            if key not in known:
                raise unknown(f"there is no {what} {str(key)!r}", str(key), known)
        return value

    return pydantic.BeforeValidator(check)


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
                if twin := next((each for each in names[:place] if same_name(each, name)), None):
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


_WHAT: Final = "the config of the build"


def read_plan(path: Path) -> Plan:
    """The plan that a file describes. Paths in it are relative to the file; `~` is the user's home.

    Raises:
        UnknownName: a key, a role, a template or a layout that there is not; with the nearest spelling.
        HarnessError: the file cannot be read, is not YAML, lacks a key, or a value cannot be.
    """
    import pydantic

    try:
        found = yaml_of(path, _WHAT)
    except (ValueError, RecursionError) as error:  # a date or a number that cannot be; brackets without an end
        detail = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        raise HarnessError(f"{_WHAT} is not YAML: {detail}", where=str(path)) from None
    try:
        return _planned(Config.model_validate(found), path)
    except pydantic.ValidationError as error:
        raise _fault(error, path) from None


def _planned(config: Config, file: Path) -> Plan:
    folder = file.parent
    roles: dict[Role, ModelChoice] = {role: _wanted(config.models[role]) for role in ROLES if role in config.models}
    roles.setdefault("viewer", roles["writer"])  # one model may do everything
    own: dict[Prompt, Path] = {name: _place(folder, config.prompts[name]) for name in PROMPTS if name in config.prompts}
    quality, limits = config.quality, config.limits
    return Plan(
        name=config.name,
        sources=tuple(_source(source, folder) for source in config.sources),
        models=roles,
        painter=_wanted(config.painter),
        language=config.language,
        seed=config.seed,
        categories={name: tuple(below) for name, below in config.categories.items()},
        prompts=own,
        per_text=config.elements.per_text,
        per_image=config.elements.per_image,
        rounds=config.draw.rounds,
        best_of=config.draw.best_of,
        width=config.painter.width,
        height=config.painter.height,
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
            ReferenceTest(task=test.task, data=None if test.data is None else _place(folder, test.data))
            for test in quality.against
        ),
        balance=quality.balance,
        photos=None if config.real is None else _photos(config.real, folder),
        concurrency=limits.concurrency,
        most_calls=limits.calls,
        most_usd=limits.usd,
        file=file,
    )


def _place(folder: Path, name: str) -> Path:
    try:
        return folder / Path(name).expanduser()
    except RuntimeError:  # the home of nobody
        return folder / name


def _wanted(model: Model | Painter) -> ModelChoice:

    ref = model.model if isinstance(model, Model) else model.painter
    price: Mapping[str, float] = {} if model.price is None else model.price.model_dump()
    return ModelChoice(ref=ref, settings=model.settings, price=price)


def _source(source: Source, folder: Path) -> SeedSource:
    return SeedSource(
        name=source.name,
        path=_place(folder, source.path),
        layout=source.layout,
        licence=source.licence,
        limit=source.limit,
        seed=source.seed,
        columns=source.columns,
    )


def _photos(real: Real, folder: Path) -> Photos:
    name, _, weights = real.model.partition(":")
    file = _place(folder, weights)
    return Photos(
        name=real.name,
        path=_place(folder, real.path),
        licence=real.licence,
        count=real.count,
        by=real.by,
        model=f"{name}:{file}" if weights and _is_file(file) else real.model,
        least=real.least,
        faces=None if real.faces is None else _place(folder, real.faces),
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # such as a name that is too long
        return False


def _fault(error: pydantic.ValidationError, path: Path) -> HarnessError:
    """The first fault, as a person reads it."""

    first = error.errors(include_url=False)[0]
    context: Mapping[str, Any] = first.get("ctx", {})
    steps = first["loc"][:-2] if "[key]" in first["loc"] else first["loc"]
    key = ".".join(f"#{step + 1}" if isinstance(step, int) else step for step in steps) or _WHAT
    said = context["message"] if "message" in context else worded(first["type"], first["msg"], first["input"], context)
    if "[key]" in first["loc"]:
        said = f"a name in it {said}"
    raised = UnknownName if first["type"] == UNKNOWN else HarnessError
    return raised(f"{key}: {said}", where=str(path), remedy=str(context.get("remedy", "")))
