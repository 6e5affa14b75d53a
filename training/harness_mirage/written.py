"""A method as it is written down: a YAML file of the user's own, or what one process tells another.

name: mine
description: my pairs, and some general ones
trained: [language, projector]
recipe: mirage
ingredients:
  - {layout: mis, source: my-pairs}
  - {name: general, layout: sharegpt, count: 500}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, cast, get_args

from harness import BadData, UnknownName
from harness.runs.config import yaml_of
from harness.settings import nearest

from .cookbook import methods
from .methods import MULTIMODAL, Ingredient, Labels, Layout, Method, Role

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]*")
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {"layout": get_args(Layout), "labels": get_args(Labels)}
_NONE: Final = type(None)
_KINDS: Final[Mapping[str, tuple[type, ...]]] = {
    **dict.fromkeys(("name", "source", "part", "hub", "layout", "labels", "description", "recipe"), (str,)),
    "count": (int, _NONE),
    "share": (float, int, _NONE),
    "needed": (bool,),
    "ingredients": (list,),
    "trained": (list,),
}
#: what a value of each kind is for a person
_WORDS: Final[Mapping[type, str]] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a mapping",
    _NONE: "nothing",
}
_AMOUNTS: Final = "give a count of records, or a share beside an ingredient without one, or neither for all of them"


def method_in(file: Path) -> Method:
    """The method of a YAML file. Raises BadData or UnknownName with the key that is wrong."""
    found = yaml_of(file, "a method")
    if not isinstance(found, dict):
        raise BadData("a method is a mapping", where=str(file))
    given = cast("dict[str, Any]", found)
    named = {"name": re.sub(r"[^a-z0-9_.-]", "-", file.stem.lower()), "description": file.name}
    made = method_of(named | given, str(file))
    if made.recipe and made.recipe not in methods():
        what = f"recipe: no row of the recipes has values of a method {made.recipe!r}"
        raise UnknownName(what, where=str(file), remedy=nearest(made.recipe, methods()))
    return made


def method_of(given: Mapping[str, Any], where: str) -> Method:
    """A method of plain values.

    Raises:
        UnknownName: a key, a role, a layout or a kind of labels that there is not.
        BadData: a value of another kind.
    """
    values = _checked(Method, given, where)
    its = list(cast("list[Any]", values.get("ingredients", [])))
    if not its or not all(isinstance(each, dict) for each in its):
        raise BadData("a method has a list of ingredients", where=f"{where}, ingredients")
    if not _NAME.fullmatch(values["name"]):
        raise BadData(f"{values['name']!r} is no name: small letters, digits, _ . -", where=f"{where}, name")
    parts = [_ingredient(each, f"{where}, ingredient {number}") for number, each in enumerate(its, 1)]
    if all(part.share is not None for part in parts):
        what = "each ingredient is a share of the mixture, and nothing says how large that is"
        raise BadData(what, where=f"{where}, ingredients", remedy=_AMOUNTS)
    made: dict[str, Any] = {
        **values,
        "ingredients": tuple(parts),
        "trained": _roles(tuple(values.get("trained", MULTIMODAL)), where),
    }
    return Method(**made)


def _ingredient(given: Mapping[str, Any], where: str) -> Ingredient:
    values = _checked(Ingredient, given, where)
    if "layout" not in values:
        raise BadData("an ingredient says its layout", where=where, remedy=f"one of {', '.join(_CHOICES['layout'])}")
    for name, known in _CHOICES.items():
        if name in values and values[name] not in known:
            raise UnknownName(f"there is no {name} {values[name]!r}", where=where, remedy=nearest(values[name], known))
    _check_amount(values.get("count"), values.get("share"), where)
    return Ingredient(**values)


def _check_amount(count: int | None, share: float | None, where: str) -> None:
    if count is not None and share is not None:
        raise BadData("a count and a share are two amounts of one ingredient", where=where, remedy=_AMOUNTS)
    if count is not None and count < 1:
        raise BadData(f"count: {count} is not a whole number from 1", where=where, remedy=_AMOUNTS)
    if share is not None and not 0 < share < 1:
        raise BadData(f"share: {share:g} is not between 0 and 1", where=where, remedy=_AMOUNTS)


def _roles(given: tuple[Any, ...], where: str) -> tuple[Role, ...]:
    known = get_args(Role)
    for role in given:
        if role not in known:
            raise UnknownName(f"there is no role {role!r}", where=f"{where}, trained", remedy=nearest(str(role), known))
    if not given:
        raise BadData("nothing would learn", where=f"{where}, trained", remedy=f"some of {', '.join(known)}")
    return cast("tuple[Role, ...]", given)


def _checked(kind: type, given: Mapping[str, Any], where: str) -> dict[str, Any]:
    known = [field.name for field in fields(kind)]
    for name, value in given.items():
        if name not in known:
            raise UnknownName(f"there is no key {name!r}", where=where, remedy=nearest(str(name), known))
        if not isinstance(value, _KINDS[name]) or (isinstance(value, bool) and name != "needed"):
            raise BadData(f"{name}: {_WORDS[_KINDS[name][0]]} is wanted, not {_found(value)}", where=where)
    return dict(given)


def _found(value: object) -> str:
    """A value for a person: itself where it is short, else of which kind it is."""
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, str | int | float) else _WORDS.get(type(value), "that")
