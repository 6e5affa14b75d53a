"""What plugins offer, checked when it is offered.

Each offer hook has a Kind. What an implementation returns is consumed and checked as a whole: a generator that raises
midway, a wrong type or a name outside the charset refuses all of it, so nobody meets half a plugin.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Generic, TypeGuard, TypeVar, cast

from harness.contracts import Builder, Judge, Painter, Provider, Report, Strategy, Suite, Task, Trainer
from harness.plugins.loader import Source
from harness.types import Setting

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_MOST = 10_000  # a hook that offers more is an endless generator
_TYPES = (bool, int, float, str, Path)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind(Generic[_T]):
    """One kind of offer.

    Attributes:
        name: as `Host.offers` and the list commands call it.
        word: one of them.
        type: of the descriptors.
        calls: fields that must be callable.
        may: fields that must be callable where they are given.
        key: field that holds the name.
    """

    name: str
    word: str
    type: type[_T]
    calls: tuple[str, ...]
    may: tuple[str, ...] = ()
    key: str = "name"

    @property
    def hook(self) -> str:
        """The hook that offers it."""
        return f"harness_{self.name}"

    @property
    def key_word(self) -> str:
        """What a user calls the name of one."""
        return self.word if self.key == "name" else self.key


MODELS = Kind(name="models", word="provider", type=Provider, calls=("open",), key="scheme")
TASKS = Kind(name="tasks", word="task", type=Task, calls=("samples",))
SUITES = Kind(name="suites", word="suite", type=Suite, calls=())
JUDGES = Kind(name="judges", word="judge", type=Judge, calls=("open",))
STRATEGIES = Kind(name="strategies", word="strategy", type=Strategy, calls=("wrap",), may=("calls",))
REPORTS = Kind(name="reports", word="report", type=Report, calls=(), may=("render", "samples", "figures"))
TRAINERS = Kind(name="trainers", word="trainer", type=Trainer, calls=("plan", "train"))
BUILDERS = Kind(name="builders", word="builder", type=Builder, calls=("build", "plan"))
PAINTERS = Kind(name="painters", word="painter", type=Painter, calls=("open",), key="scheme")
KINDS: dict[str, Kind[Any]] = {
    kind.name: kind for kind in (MODELS, TASKS, SUITES, JUDGES, STRATEGIES, REPORTS, TRAINERS, BUILDERS, PAINTERS)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer(Generic[_T]):
    """A descriptor and the plugin it came from."""

    name: str
    item: _T
    source: Source


def consumed(kind: Kind[_T], returned: object, source: Source) -> list[Offer[_T]]:
    """Everything an implementation returned, as offers.

    Raises:
        TypeError: it is not an iterable of the kind's type, or a field is of the wrong type.
        ValueError: a name is outside the charset or given twice.
    """
    if not _is_iterable(returned):
        raise TypeError(f"{kind.hook} returned {_a(returned)}, not an iterable of {kind.type.__name__}")
    items = list(islice(returned, _MOST + 1))
    if len(items) > _MOST:
        raise ValueError(f"{kind.hook} offers more than {_MOST} items")
    offers = [_offer(kind, item, source) for item in items]
    twice = [name for name, count in Counter(offer.name for offer in offers).items() if count > 1]
    if twice:
        raise ValueError(f"{kind.hook} offers {twice[0]!r} twice")
    return offers


def _is_iterable(value: object) -> TypeGuard[Iterable[object]]:
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)


def _offer(kind: Kind[_T], item: object, source: Source) -> Offer[_T]:
    if not isinstance(item, kind.type):
        raise TypeError(f"{kind.hook} offers {_a(item)}, not a {kind.type.__name__}")
    name: object = getattr(item, kind.key)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(f"{kind.hook} offers the name {name!r}; names are like [a-z0-9][a-z0-9_.-]*, at most 64 long")
    _check_fields(kind, name, item)
    return Offer(name=name, item=item, source=source)


def _check_fields(kind: Kind[Any], name: str, item: object) -> None:
    for field in ("description", "version", "base"):
        if not isinstance(getattr(item, field, ""), str):
            raise TypeError(f"{kind.word} {name!r}: {field} is {_a(getattr(item, field))}, not text")
    given = [field for field in kind.may if getattr(item, field) is not None]
    for field in (*kind.calls, *given):
        if not callable(getattr(item, field)):
            raise TypeError(f"{kind.word} {name!r}: {field} is {_a(getattr(item, field))}, not callable")
    splits: object = getattr(item, "splits", {})
    if not isinstance(splits, Mapping) and not callable(splits):
        raise TypeError(f"{kind.word} {name!r}: splits is {_a(splits)}, neither a mapping nor callable")
    _check_names(f"{kind.word} {name!r}", getattr(item, "tasks", ()))
    _check_settings(f"{kind.word} {name!r}", getattr(item, "settings", ()))


def _check_names(owner: str, names: object) -> None:
    if not isinstance(names, tuple) or not all(isinstance(each, str) for each in cast("tuple[object, ...]", names)):
        raise TypeError(f"{owner}: tasks is not a tuple of names")


def _check_settings(owner: str, settings: object) -> None:
    if not isinstance(settings, tuple):
        raise TypeError(f"{owner}: settings is {_a(settings)}, not a tuple of Setting")
    names: set[str] = set()
    for setting in cast("tuple[object, ...]", settings):
        if not isinstance(setting, Setting):
            raise TypeError(f"{owner}: settings holds {_a(setting)}, not a Setting")
        if setting.type not in _TYPES:
            raise TypeError(f"{owner}: setting {setting.name!r} is of type {setting.type!r}")
        if setting.name in names:
            raise ValueError(f"{owner}: setting {setting.name!r} is declared twice")
        names.add(setting.name)


def _a(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


def settled(offers: Iterable[Offer[_T]]) -> tuple[dict[str, Offer[_T]], dict[str, list[Offer[_T]]]]:
    """Offers by name, and apart from them the names that several plugins offer: those are nobody's."""
    by_name: dict[str, list[Offer[_T]]] = {}
    for offer in offers:
        by_name.setdefault(offer.name, []).append(offer)
    single = {name: same[0] for name, same in sorted(by_name.items()) if len(same) == 1}
    return single, {name: same for name, same in sorted(by_name.items()) if len(same) > 1}
