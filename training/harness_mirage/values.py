"""Values of a recipe as they are written down: which there are, of which kind, and in which bounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast, get_args

from harness import BadData, UnknownName
from harness.settings import nearest

from .recipe import Source, Sourced, Tuning

Values: TypeAlias = dict[str, Sourced[Any]]
SOURCES: Final[tuple[str, ...]] = get_args(Source)


@dataclass(frozen=True, slots=True)
class Kind:
    """How a value is read.

    Attributes:
        read: text or value -> value; raises ValueError or TypeError for what is none.
        what: it is, for a person.
    """

    read: Callable[[Any], Any]
    what: str


def _above_zero(value: Any) -> float:
    found = math.nan if isinstance(value, bool) else float(value)
    if not 0.0 < found < math.inf:
        raise ValueError(value)
    return found


def _number(least: float, most: float = math.inf) -> Kind:
    def read(value: Any) -> float:
        found = math.nan if isinstance(value, bool) else float(value)
        if not least <= found <= most or math.isinf(found):
            raise ValueError(value)
        return found

    return Kind(read, f"a number from {least:g}" + ("" if math.isinf(most) else f" to {most:g}"))


def _one_of(*names: str) -> Kind:
    def read(value: Any) -> str:
        return names[names.index(value)]

    return Kind(read, f"one of {', '.join(names)}")


def _count(value: Any) -> int:
    found = 0 if isinstance(value, bool | float) else int(value)
    if found < 1:
        raise ValueError(value)
    return found


def _limit(value: Any) -> int | None:
    return None if value in (None, "none", "null") else _count(value)


def _flag(value: Any) -> bool:
    return {"true": True, "false": False}[str(value).lower()]


ABOVE_ZERO: Final = Kind(_above_zero, "a number above 0")
COUNT: Final = Kind(_count, "a whole number from 1")
LIMIT: Final = Kind(_limit, "a whole number from 1, or none")
FLAG: Final = Kind(_flag, "true or false")

#: The values of a recipe in the order in which a person wants to see them.
FIELDS: Final[Mapping[str, Kind]] = {
    "tuning": _one_of(*get_args(Tuning)),
    "learning_rate": ABOVE_ZERO,
    "warmup": _number(0.0, 0.99),  # one and more would be steps
    "schedule": _one_of("cosine", "linear", "constant", "constant_with_warmup", "polynomial", "inverse_sqrt"),
    "epochs": ABOVE_ZERO,
    "batch": COUNT,
    "weight_decay": _number(0.0),
    "clip": _number(0.0),
    "max_length": LIMIT,
    "pixels": LIMIT,
    "precision": _one_of("bf16", "fp32"),
    "checkpointing": FLAG,
    "rank": COUNT,
    "alpha": COUNT,
    "dropout": _number(0.0, 0.99),
    "optimizer": _one_of("adamw_torch", "adamw_torch_fused", "adamw_8bit", "paged_adamw_8bit", "adafactor", "sgd"),
}


def sourced(name: str, value: Any, source: object, where: str) -> Sourced[Any]:
    """A value as its kind, with whose it is.

    Raises:
        UnknownName: a recipe has no such value.
        BadData: it is of another kind or out of bounds, or nobody's.
    """
    if name not in FIELDS:
        raise UnknownName(f"a recipe has no value {name!r}", where=where, remedy=nearest(name, FIELDS))
    if source not in SOURCES:
        raise BadData(f"the source of {name} is {source!r}", where=where, remedy=f"one of {', '.join(SOURCES)}")
    try:
        return Sourced(value=FIELDS[name].read(value), source=cast("Source", source))
    except (TypeError, ValueError, KeyError):
        raise BadData(f"{name}: {value} is not {FIELDS[name].what}", where=where) from None
