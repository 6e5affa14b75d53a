"""Under which licences photographs are, and what that makes of the set."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness_builder.licence_names import RANKS, normalize_licence
from harness_builder.licences import fits, together
from harness_builder.plan import Photos

from .values import RealRecord

_LAYOUT: Final = "photographs"
NO_LICENCE: Final = "no licence"
FORBIDDEN: Final = "a licence that forbids it, or that nobody knows"
_APART: Final = "a licence that does not go with the others"
_NOTHING: Final = RANKS[0][0]  # asks for nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoSource:
    """A collection of photographs, as `licences.check` takes a source.

    Attributes:
        name: as the user calls it.
        path: of the collection.
        licence: of those that are used.
        layout: of no public set.
    """

    name: str
    path: Path
    licence: str
    layout: str = _LAYOUT


def photo_source(photos: Photos, used: Iterable[RealRecord] = ()) -> PhotoSource:
    """The collection as a source.

    Args:
        photos: the collection.
        used: records that show photographs of it; what they are under together counts. Before there are any it is
            what the user states of all and, where each has its own, one that asks for nothing: `check` it once more
            with the records.
    """
    licences = [licence for record in used for licence in record.licences]
    licence = together(licences) if licences else normalize_licence(photos.licence) or _NOTHING
    return PhotoSource(name=photos.name, path=photos.path, licence=licence)


def unfit(licence: str, beside: Iterable[str], *, accepted: bool) -> str:
    """Why a photograph of this licence is not used; empty where it may be.

    Args:
        licence: empty where nobody states one.
        beside: the others that the set is under.
        accepted: the user allows the collection in spite of its licences; one must be stated all the same.
    """
    if not licence:
        return NO_LICENCE
    if accepted:
        return ""
    if not fits(licence, ()):
        return FORBIDDEN
    return "" if fits(licence, beside) else _APART
