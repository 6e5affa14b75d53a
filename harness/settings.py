"""Declared settings: text from the command line becomes typed values, and an undeclared key is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, cast

from harness.errors import HarnessError, UnknownName
from harness.secrets import holds_key, name_variable
from harness.types import Json, Setting, Settings

_NEAR: Final = 0.6  # similarity of two names from which one may be a misspelling of the other
_FAR: Final = 0.3
_LIST_LIMIT: Final = 60  # names that a remedy lists; of more it lists a few
_LISTED: Final = 10
_TRUE = {"true", "yes", "on", "1"}
_FALSE = {"false", "no", "off", "0"}


def nearest(name: str, known: Iterable[str]) -> str:
    """A remedy for a misspelt name: the nearest one, else all of them; of many a few, and how many more there are."""
    import difflib

    names = sorted(known)
    if not names:
        return "there is none"
    close = difflib.get_close_matches(name, names, n=1, cutoff=_NEAR)
    if close:
        return f"did you mean {close[0]!r}?"
    if len(names) <= _LIST_LIMIT:
        return f"known: {', '.join(names)}"
    shown = list(dict.fromkeys([*difflib.get_close_matches(name, names, n=_LISTED, cutoff=_FAR), *names]))[:_LISTED]
    return f"known: {', '.join(shown)}, and {len(names) - len(shown):,} more"


def effective(declared: Iterable[Setting], given: Mapping[str, Any], *, owner: str) -> dict[str, Any]:
    """All settings of one owner with their values: the defaults, overridden by what was given.

    Args:
        declared: what the owner takes.
        given: name -> text or value.
        owner: for the error, such as "provider openai".

    Raises:
        UnknownName: a key is not declared.
        HarnessError: a value does not parse, is not one of the choices, is less than the least, or holds a key.
    """
    known = {setting.name: setting for setting in declared}
    values: dict[str, Any] = {name: setting.default for name, setting in known.items()}
    for variable in (value for name, value in given.items() if name.endswith("key_env")):
        name_variable(str(variable))
    for name, value in given.items():
        if name not in known:
            raise UnknownName(f"{owner} has no setting {name!r}", remedy=nearest(name, known))
        values[name] = _parse(known[name], value, owner)
    return values


def json_object(values: Settings, name: str, *, such_as: str, owned: Collection[str] = ()) -> dict[str, Json]:
    """Parse a setting that holds a JSON object, such as more of a request's body; one that is not given is empty.

    Args:
        values: of all settings.
        name: of this one.
        such_as: an object, for the remedy.
        owned: keys it must not hold, since the harness sets and records them itself.

    Raises:
        HarnessError: it is not a JSON object, or holds one of those keys.
    """
    try:
        parsed: Json = json.loads(values[name] or "{}")
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        raise HarnessError(f"-M {name} is not a JSON object", remedy=f"such as -M {name}='{such_as}'")
    given = cast("dict[str, Json]", parsed)
    if held := sorted(given.keys() & set(owned)):
        raise HarnessError(f"-M {name} must not hold {', '.join(held)}", remedy="the harness sets and records these")
    return given


def identity(declared: Iterable[Setting], values: Settings) -> dict[str, Any]:
    """The settings that make another result: JSON, paths by their text. An added one is left out at its default."""
    return {
        setting.name: str(values[setting.name]) if isinstance(values[setting.name], Path) else values[setting.name]
        for setting in declared
        if setting.identity and not (setting.added and values[setting.name] == setting.default)
    }


def find_changed(declared: Iterable[Setting], values: Settings) -> dict[str, Any]:
    """Identity settings that are not at their default, in the order they were declared."""
    declared = tuple(declared)
    now = identity(declared, values)
    return {s.name: now[s.name] for s in declared if s.identity and values[s.name] != s.default}


def spread(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with one level of nesting written with a dot: `mis: {prompts: own}` becomes `mis.prompts`."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        inner = cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else None
        found.update({name: value} if inner is None else {f"{name}.{key}": each for key, each in inner.items()})
    return found


def _parse(setting: Setting, value: Any, owner: str) -> Any:
    if isinstance(value, str) and holds_key(value):
        raise HarnessError(
            f"{owner}: {setting.name} holds a key, and settings are recorded",
            remedy="a key comes from the environment alone: export MY_KEY=…, and name it: -M api_key_env=MY_KEY",
        )
    kind = setting.type.__name__
    article = "an" if kind[0] in "aeiou" else "a"
    mismatch = HarnessError(f"{owner}: {setting.name}={value} is not {article} {kind}", remedy=setting.help)
    parsed: Any = value
    if isinstance(value, str) and setting.type is bool:
        if value.lower() not in _TRUE | _FALSE:
            raise mismatch
        parsed = value.lower() in _TRUE
    elif isinstance(value, str):
        try:
            parsed = setting.type(value)
        except ValueError:
            raise mismatch from None
    elif setting.type is float and isinstance(value, int) and not isinstance(value, bool):
        parsed = float(value)
    elif (
        value is not None and type(value) is not setting.type and not (setting.type is Path and isinstance(value, Path))
    ):
        raise mismatch
    if setting.choices and parsed not in setting.choices:
        raise HarnessError(
            f"{owner}: {setting.name}={parsed} is not one of its values", remedy=nearest(str(parsed), setting.choices)
        )
    if isinstance(parsed, float) and not math.isfinite(parsed):
        raise mismatch
    if setting.least is not None and parsed is not None and parsed < setting.least:
        raise HarnessError(f"{owner}: {setting.name}={value} is less than {setting.least:g}", remedy=setting.help)
    if setting.most is not None and parsed is not None and parsed > setting.most:
        raise HarnessError(f"{owner}: {setting.name}={value} is more than {setting.most:g}", remedy=setting.help)
    return parsed
