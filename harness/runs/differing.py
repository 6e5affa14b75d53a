"""Where two JSON values differ: each number and text for itself, by its path."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, cast

_CLOSE: Final = 1e-9  #: figures are rounded at the tenth decimal


class Nothing:
    """What stands where one side has no value."""

    def __repr__(self) -> str:
        return "nothing"


NOTHING: Final = Nothing()


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One value that is not the same.

    Attributes:
        path: of keys, from the top.
        stored: what the file says.
        found: what was found instead; NOTHING on a side that has no such value.
    """

    path: tuple[str, ...]
    stored: object
    found: object


def differing(stored: object, found: object, path: tuple[str, ...] = ()) -> Iterator[Difference]:
    """Each difference of two values of JSON; numbers that are equal to nine digits are the same."""
    one, other = _parts(stored), _parts(found)
    if one is not None and other is not None and isinstance(stored, list) == isinstance(found, list):
        for name in dict.fromkeys((*one, *other)):
            yield from differing(one.get(name, NOTHING), other.get(name, NOTHING), (*path, name))
    elif not _same(stored, found):
        yield Difference(path=path, stored=stored, found=found)


def _parts(value: object) -> dict[str, object] | None:
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, object]", value))
    if isinstance(value, list):
        return {str(place): each for place, each in enumerate(cast("list[object]", value))}
    return None


def _same(one: object, other: object) -> bool:
    if isinstance(one, bool) or isinstance(other, bool) or not isinstance(one, int | float):
        return type(one) is type(other) and one == other
    return isinstance(other, int | float) and math.isclose(one, other, rel_tol=_CLOSE, abs_tol=_CLOSE)
