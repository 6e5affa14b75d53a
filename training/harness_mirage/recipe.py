"""Recipes: every hyperparameter of a training with where its value comes from.

A recipe is built from a row of the package, then a file of the user's own, then `--set`. A row is a YAML file in
`recipes/`: which models it is for, which one of them the paper trained and by which width of its language model that
one is known, values for every method, and values of single methods. What a row leaves open comes from the row `other`.
The paper's values are the paper's for that one model and that one method alone: for others they are marked as taken
over. A file of the user's own is flat, and holds only what it changes:

    base: qwen2_vl/mirage
    learning_rate: 1e-5
    batch: {value: 32, source: ours}
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar, cast, get_args

from harness import BadData, HarnessError, Training, UnknownName
from harness.runs.config import load_yaml
from harness.settings import nearest

from .methods import METHODS, ROLES, Method

#: `paper, other …`: the paper's value for a model of another size, or for another method of the same model
Source = Literal[
    "paper",
    "paper, other model",
    "paper, other method",
    "paper, other model and method",
    "framework default",
    "ours",
    "user",
]
Tuning = Literal["full", "lora", "qlora"]
T = TypeVar("T")

SOURCES: Final[tuple[str, ...]] = get_args(Source)
FOLDER: Final = Path(__file__).with_name("recipes")
OTHER: Final = "other"
_ROLES_REMEDY: Final = (
    r"roles: {language: 'model\.language_model\.|lm_head', projector: …, vision: …}, patterns of how their names begin"
)
#: (of another model, of another method) -> the source of a value of the paper
_TAKEN_OVER: Final[Mapping[tuple[bool, bool], Source]] = {
    (False, False): "paper",
    (True, False): "paper, other model",
    (False, True): "paper, other method",
    (True, True): "paper, other model and method",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sourced(Generic[T]):
    """A value and where it comes from."""

    value: T
    source: Source


Values: TypeAlias = dict[str, Sourced[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a model is trained.

    Attributes:
        name: `<model row>/<method>`.
        tuning: all parameters of the trained roles, or adapters on them.
        learning_rate: peak.
        warmup: share of the steps.
        schedule: as transformers names it.
        epochs: over the mixture.
        batch: records a step, over all devices.
        weight_decay: of the optimizer.
        clip: largest norm of the gradient.
        max_length: tokens; a longer record is counted and left out, never cut inside an image. None for no limit.
        pixels: most pixels of one image; None for the processor's own limit.
        precision: `bf16` or `fp32`.
        checkpointing: recompute activations.
        rank, alpha, dropout: of LoRA.
        optimizer: as transformers names it.
        roles: role -> pattern of parameter names, for an architecture that is not known; else empty.
        paper: the model whose values the paper gives; empty if it gives none for this row.
        method: whose values of the row are taken; empty if the row has none for the method.
    """

    name: str
    tuning: Sourced[Tuning]
    learning_rate: Sourced[float]
    warmup: Sourced[float]
    schedule: Sourced[str]
    epochs: Sourced[float]
    batch: Sourced[int]
    weight_decay: Sourced[float]
    clip: Sourced[float]
    max_length: Sourced[int | None]
    pixels: Sourced[int | None]
    precision: Sourced[Literal["bf16", "fp32"]]
    checkpointing: Sourced[bool]
    rank: Sourced[int]
    alpha: Sourced[int]
    dropout: Sourced[float]
    optimizer: Sourced[str]
    roles: Mapping[str, str]
    paper: str = ""
    method: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelKind:
    """What a model's configuration says of it: its type, and the width of its language model if it says one."""

    type: str
    width: int | None = None


def find_recipe(method: Method, training: Training, kind: ModelKind) -> Recipe:
    """Build the recipe of a training.

    Args:
        method: to look up in the row.
        training: `recipe` names a row, `row/method` or a YAML file; `overrides` come last.
        kind: of the model.

    Raises:
        UnknownName: no such row, method of a row, or value.
        BadData: a value has the wrong type or is out of bounds.
    """
    given, roles = training.recipe, dict[str, str]()
    if given.endswith((".yaml", ".yml")):
        row, roles = _read_file(Path(given).expanduser(), method, training.model, kind)
    else:
        row = _find_row(given or choose_row(training.model, kind.type), method, kind)
    changed = {key: parse_value(key, text, "user", "--set") for key, text in training.overrides.items()}
    return Recipe(name=row.name, roles=roles, paper=row.paper, method=row.method, **{**row.values, **changed})


def list_rows() -> tuple[str, ...]:
    """Names of the package's rows."""
    return tuple(sorted(file.stem for file in FOLDER.glob("*.yaml")))


def list_methods() -> frozenset[str]:
    """Names of the methods that at least one row has values for."""
    return frozenset(name for row in list_rows() for name in _read_row(row).get("methods", {}))


def choose_row(model: str, model_type: str) -> str:
    """The row for a model: one that matches its name, else one that matches its type, else `other`."""
    matches = {row: _read_row(row).get("matches", {}) for row in list_rows()}
    by_name = (row for row, its in matches.items() if any(fnmatchcase(model, each) for each in its.get("refs", ())))
    by_type = (row for row, its in matches.items() if model_type in its.get("types", ()))
    return [*by_name, *by_type, OTHER][0]


def read_model_kind(folder: Path) -> ModelKind:
    """What the config.json of a model says it is. Raises BadData if it names no model type."""
    file = folder / "config.json"
    try:
        found: Any = json.loads(file.read_text(encoding="utf-8"))
        parts: list[Any] = [*(found.get(name, {}) for name in ("text_config", "llm_config")), found]
        widths = [width for part in parts if isinstance(width := part.get("hidden_size"), int)]
        return ModelKind(type=str(found["model_type"]), width=widths[0] if widths else None)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadData(f"no model type: {error}", where=str(file)) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """What a row of the package gives a training; the fields are those of Recipe."""

    name: str
    values: Values
    paper: str = ""
    method: str = ""


def _find_row(named: str, method: Method, kind: ModelKind, where: str = "--recipe") -> _Row:
    row, _, own = named.partition("/")
    if row not in list_rows():
        raise UnknownName(f"there is no row {row!r} of recipes", where=where, remedy=nearest(row, list_rows()))
    tried = [own] if own else [method.name, method.recipe]
    values: Values = {}
    found: str | None = None
    for part in (_read_row(OTHER), _read_row(row)):
        methods = part.get("methods", {})
        found = next((each for each in tried if each in methods), None)
        types, width = part.get("matches", {}).get("types", ()), part.get("paper", {}).get("width")
        other_model = kind.type not in types or kind.width != width
        # A method that a user wrote down is not the paper's, whatever it is called.
        source = _TAKEN_OVER[other_model, found != method.name or method not in METHODS]
        values |= _parse_row_values(part.get("values", {}), row)
        for name, value in _parse_row_values(methods.get(found, {}), row).items():
            values[name] = replace(value, source=source) if value.source == "paper" else value
    known = _read_row(row).get("methods", {})
    if own and own not in known:
        raise UnknownName(f"the row {row} has no method {own!r}", where=where, remedy=nearest(own, known))
    paper = str(_read_row(row).get("paper", {}).get("model", ""))
    return _Row(name=f"{row}/{own or method.name}", values=values, paper=paper, method=found or "")


def _parse_row_values(given: Mapping[str, Any], where: str) -> Values:
    return {key: parse_value(key, each["value"], each["source"], where) for key, each in given.items()}


def _read_file(file: Path, method: Method, model: str, kind: ModelKind) -> tuple[_Row, dict[str, str]]:
    """A recipe of the user's own on the row that it names, and its patterns of roles."""
    if not file.is_file():
        what = f"a row ({', '.join(list_rows())}), ROW/METHOD, or a YAML file of your own"
        raise HarnessError("there is no such file", where=f"--recipe {file}", remedy=f"--recipe takes {what}")
    found = load_yaml(file, "a recipe")
    if not isinstance(found, dict):
        raise BadData("a recipe is a mapping of values", where=str(file), remedy="such as: learning_rate: 1e-5")
    given = cast("dict[str, Any]", found)
    roles = _parse_roles(given.pop("roles", {}), f"{file}, roles")
    base = given.pop("base", "") or choose_row(model, kind.type)
    row = _find_row(str(base), method, kind, f"{file}, base")
    own: Values = {}
    for key, value in given.items():
        if not isinstance(value, Mapping):
            own[str(key)] = parse_value(str(key), value, "user", str(file))
            continue
        said = cast("Mapping[str, Any]", value)
        if strange := [str(name) for name in said if name not in ("value", "source")]:
            remedy = nearest(strange[0], ("value", "source"))
            raise UnknownName(f"{key}: there is no key {strange[0]!r}", where=str(file), remedy=remedy)
        if "value" not in said:
            remedy = f"{key}: {{value: …, source: …}}, or {key}: …"
            raise BadData(f"{key}: no value is given", where=str(file), remedy=remedy)
        own[str(key)] = parse_value(str(key), said["value"], said.get("source", "user"), str(file))
    return replace(row, name=file.stem, values=row.values | own), roles


def _parse_roles(given: object, where: str) -> dict[str, str]:
    if not isinstance(given, dict):
        raise BadData("roles: a mapping of role to pattern is wanted", where=where, remedy=_ROLES_REMEDY)
    for role, pattern in cast("dict[object, object]", given).items():
        if role not in ROLES:
            raise UnknownName(f"there is no role {role!r}", where=where, remedy=nearest(str(role), ROLES))
        try:
            re.compile(cast("str", pattern))
        except (re.error, TypeError) as error:
            raise BadData(f"{role}: {pattern} is not a pattern: {error}", where=where, remedy=_ROLES_REMEDY) from None
    return cast("dict[str, str]", given)


def _read_row(row: str) -> dict[str, Any]:
    return cast("dict[str, Any]", load_yaml(FOLDER / f"{row}.yaml", "a recipe"))


@dataclass(frozen=True, slots=True)
class Field:
    """How a value of a recipe is read from a text or from YAML.

    Attributes:
        parse: raises ValueError, TypeError or KeyError for a bad value.
        what: a good value is, for messages.
    """

    parse: Callable[[Any], Any]
    what: str


def _number_above_zero() -> Field:
    def parse(value: Any) -> float:
        found = math.nan if isinstance(value, bool) else float(value)
        if not 0.0 < found < math.inf:
            raise ValueError(value)
        return found

    return Field(parse, "a number above 0")


def _number(least: float, most: float = math.inf) -> Field:
    def parse(value: Any) -> float:
        found = math.nan if isinstance(value, bool) else float(value)
        if not least <= found <= most or math.isinf(found):
            raise ValueError(value)
        return found

    return Field(parse, f"a number from {least:g}" + ("" if math.isinf(most) else f" to {most:g}"))


def _one_of(*names: str) -> Field:
    return Field(lambda value: names[names.index(value)], f"one of {', '.join(names)}")


def _parse_count(value: Any) -> int:
    found = 0 if isinstance(value, bool | float) else int(value)
    if found < 1:
        raise ValueError(value)
    return found


_COUNT: Final = Field(_parse_count, "a whole number from 1")
_LIMIT: Final = Field(
    lambda value: None if value in (None, "none", "null") else _parse_count(value), "a whole number from 1, or none"
)
_FLAG: Final = Field(lambda value: {"true": True, "false": False}[str(value).lower()], "true or false")

#: The values of a recipe in the order in which a person wants to see them.
FIELDS: Final[Mapping[str, Field]] = {
    "tuning": _one_of(*get_args(Tuning)),
    "learning_rate": _number_above_zero(),
    "warmup": _number(0.0, 0.99),  # one and more would be steps
    "schedule": _one_of("cosine", "linear", "constant", "constant_with_warmup", "polynomial", "inverse_sqrt"),
    "epochs": _number_above_zero(),
    "batch": _COUNT,
    "weight_decay": _number(0.0),
    "clip": _number(0.0),
    "max_length": _LIMIT,
    "pixels": _LIMIT,
    "precision": _one_of("bf16", "fp32"),
    "checkpointing": _FLAG,
    "rank": _COUNT,
    "alpha": _COUNT,
    "dropout": _number(0.0, 0.99),
    "optimizer": _one_of("adamw_torch", "adamw_torch_fused", "adamw_8bit", "paged_adamw_8bit", "adafactor", "sgd"),
}


def parse_value(name: str, value: Any, source: object, where: str) -> Sourced[Any]:
    """Read one value of a recipe.

    Raises:
        UnknownName: a recipe has no such value.
        BadData: the value has the wrong type or is out of bounds, or there is no such source.
    """
    if name not in FIELDS:
        raise UnknownName(f"a recipe has no value {name!r}", where=where, remedy=nearest(name, FIELDS))
    if source not in SOURCES:
        raise BadData(f"the source of {name} is {source!r}", where=where, remedy=f"one of {', '.join(SOURCES)}")
    try:
        return Sourced(value=FIELDS[name].parse(value), source=cast("Source", source))
    except (TypeError, ValueError, KeyError):
        raise BadData(f"{name}: {value} is not {FIELDS[name].what}", where=where) from None


def format_value(value: object) -> str:
    """A value of a recipe as `--set` takes it."""
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
