"""Recipes from the package's rows, a file of the user's own, and `--set`: every value with whose it is.

A row is a YAML file in `recipes/`: which models it is for, which one of them the paper trained and by which width of
its language model that one is known, values for every method, and values of single methods. What it leaves open stands
in the row `other`. The paper's values are the paper's for that one model and that one method alone: for others they are
taken over. A file of the user's own is flat, and needs to hold only what it changes:

    base: qwen2_vl/mirage
    learning_rate: 1e-5
    batch: {value: 32, source: ours}
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, cast, get_args

from harness import BadData, HarnessError, Training, UnknownName
from harness.runs.config import yaml_of
from harness.settings import nearest

from .methods import METHODS, Method, Role
from .recipe import Recipe, Source
from .values import Values, sourced

HOME: Final = Path(__file__).with_name("recipes")
OTHER: Final = "other"
_SUFFIXES: Final = (".yaml", ".yml")
_PAPER: Final = "paper"
_NAMES: Final = ("text_config", "llm_config")  #: of the language model's part of a configuration
_WIDTH: Final = "hidden_size"
_SOURCED: Final = ("value", "source")
_ROLES: Final = (
    r"roles: {language: 'model\.language_model\.|lm_head', projector: …, vision: …}, patterns of how their names begin"
)
#: (of another model, of another method) -> whose a value of the paper is
_TAKEN_OVER: Final[Mapping[tuple[bool, bool], Source]] = {
    (False, False): "paper",
    (True, False): "paper, other model",
    (False, True): "paper, other method",
    (True, True): "paper, other model and method",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What a row of the package gives a training.

    Attributes:
        name: `<row>/<method>`.
        values: by their names.
        paper: the model whose values the paper gives; empty for none.
        method: whose values of the row are taken; empty for none.
    """

    name: str
    values: Values
    paper: str = ""
    method: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a model's configuration says of it.

    Attributes:
        type: of the model.
        width: of the language model's hidden states; None where nothing is said.
    """

    type: str
    width: int | None = None


def recipe_for(method: Method, training: Training, kind: Kind) -> Recipe:
    """The recipe of a training: a row of the package, under a file of the user's own, under single values.

    Args:
        method: whose values are wanted.
        training: `recipe` names a row, `row/method` or a YAML file; `overrides` come last.
        kind: of model.

    Raises:
        UnknownName: there is no such row, method of a row, or value.
        BadData: a value is of the wrong kind.
    """
    given = training.recipe
    if given.endswith(_SUFFIXES):
        row, roles = _of_file(Path(given).expanduser(), method, training.model, kind)
    else:
        row, roles = _of_row(given or chosen(training.model, kind.type), method, kind), {}
    changed = {key: sourced(key, text, "user", "--set") for key, text in training.overrides.items()}
    return Recipe(name=row.name, roles=roles, paper=row.paper, method=row.method, **{**row.values, **changed})


def rows() -> tuple[str, ...]:
    """Names of the package's rows."""
    return tuple(sorted(file.stem for file in HOME.glob("*.yaml")))


def methods() -> frozenset[str]:
    """Names of the methods that any row has values of its own for."""
    return frozenset(name for row in rows() for name in _read(row).get("methods", {}))


def chosen(model: str, model_type: str) -> str:
    """The row for a model: one for its name, else one for its type, else `other`."""
    matches = {row: _read(row).get("matches", {}) for row in rows()}
    by_name = (row for row, its in matches.items() if any(fnmatchcase(model, each) for each in its.get("refs", ())))
    by_type = (row for row, its in matches.items() if model_type in its.get("types", ()))
    return [*by_name, *by_type, OTHER][0]


def kind_of(folder: Path) -> Kind:
    """What the configuration of a model says it is. Raises BadData where it says nothing."""
    file = folder / "config.json"
    try:
        found: Any = json.loads(file.read_text(encoding="utf-8"))
        widths: list[Any] = [found.get(name, {}).get(_WIDTH) for name in _NAMES] + [found.get(_WIDTH)]
        return Kind(type=str(found["model_type"]), width=next((each for each in widths if isinstance(each, int)), None))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadData(f"no model type: {error}", where=str(file)) from None


def _of_row(named: str, method: Method, kind: Kind, where: str = "--recipe") -> Row:
    row, _, own = named.partition("/")
    if row not in rows():
        raise UnknownName(f"there is no row {row!r} of recipes", where=where, remedy=nearest(row, rows()))
    tried = [own] if own else [method.name, method.recipe]
    values: Values = {}
    found: str | None = None
    for part in (_read(OTHER), _read(row)):
        methods = part.get("methods", {})
        found = next((each for each in tried if each in methods), None)
        its = _values(methods.get(found, {}), row)
        values |= _values(part.get("values", {}), row) | _whose(its, part, kind, method, found or "")
    if own and own not in _read(row).get("methods", {}):
        remedy = nearest(own, _read(row).get("methods", {}))
        raise UnknownName(f"the row {row} has no method {own!r}", where=where, remedy=remedy)
    paper = str(_read(row).get("paper", {}).get("model", ""))
    return Row(name=f"{row}/{own or method.name}", values=values, paper=paper, method=found or "")


def _whose(values: Values, row: Mapping[str, Any], kind: Kind, method: Method, found: str) -> Values:
    """The values of a method; the paper's are no more than taken over for another model or method than it trained.

    A method that a user wrote down is not the paper's, whatever it is called.
    """
    types, width = row.get("matches", {}).get("types", ()), row.get("paper", {}).get("width")
    other_model = kind.type not in types or kind.width != width
    source = _TAKEN_OVER[other_model, found != method.name or method not in METHODS]
    return {name: replace(each, source=source) if each.source == _PAPER else each for name, each in values.items()}


def _of_file(file: Path, method: Method, model: str, kind: Kind) -> tuple[Row, dict[str, str]]:
    if not file.is_file():
        what = f"a row ({', '.join(rows())}), ROW/METHOD, or a YAML file of your own"
        raise HarnessError("there is no such file", where=f"--recipe {file}", remedy=f"--recipe takes {what}")
    found = yaml_of(file, "a recipe")
    if not isinstance(found, dict):
        raise BadData("a recipe is a mapping of values", where=str(file), remedy="such as: learning_rate: 1e-5")
    given = cast("dict[str, Any]", found)
    patterns = _patterns(given.pop("roles", {}), f"{file}, roles")
    base = given.pop("base", "") or chosen(model, kind.type)
    row = _of_row(str(base), method, kind, f"{file}, base")
    own = {str(key): _own(str(key), value, str(file)) for key, value in given.items()}
    return replace(row, name=file.stem, values=row.values | own), patterns


def _patterns(given: object, where: str) -> dict[str, str]:
    """Role -> pattern of the names of its parameters."""
    if not isinstance(given, dict):
        raise BadData("roles: a mapping of role to pattern is wanted", where=where, remedy=_ROLES)
    for role, pattern in cast("dict[object, object]", given).items():
        if role not in get_args(Role):
            raise UnknownName(f"there is no role {role!r}", where=where, remedy=nearest(str(role), get_args(Role)))
        try:
            re.compile(cast("str", pattern))
        except (re.error, TypeError) as error:
            raise BadData(f"{role}: {pattern} is not a pattern: {error}", where=where, remedy=_ROLES) from None
    return cast("dict[str, str]", given)


def _own(key: str, value: Any, where: str) -> Any:
    if not isinstance(value, Mapping):
        return sourced(key, value, "user", where)
    said = cast("Mapping[str, Any]", value)
    if strange := [name for name in said if name not in _SOURCED]:
        remedy = nearest(str(strange[0]), _SOURCED)
        raise UnknownName(f"{key}: there is no key {strange[0]!r}", where=where, remedy=remedy)
    if "value" not in said:
        raise BadData(f"{key}: no value is given", where=where, remedy=f"{key}: {{value: …, source: …}}, or {key}: …")
    return sourced(key, said["value"], said.get("source", "user"), where)


def _values(given: Mapping[str, Any], where: str) -> Values:
    return {key: sourced(key, each["value"], each["source"], where) for key, each in given.items()}


def _read(row: str) -> dict[str, Any]:
    return cast("dict[str, Any]", yaml_of(HOME / f"{row}.yaml", "a recipe"))
