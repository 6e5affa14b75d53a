"""Under which licence a set is: before it is built that of all its plan's sources, then that of what is in it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from .config.plan import Plan
from .licences import OutputLicence, check
from .output import Entry
from .real.licensing import photo_source
from .real.values import RealRecord


def licence_of(plan: Plan, accepted: Iterable[str] = (), used: Iterable[RealRecord] = ()) -> OutputLicence:
    """The licence of what a plan builds, whatever of its sources comes to be in the set.

    Args:
        plan: of the build.
        accepted: sources that the user allows in spite of their licence.
        used: records that show photographs; without them the collection is under what the user states of it.

    Raises:
        HarnessError: as `licences.check`.
    """
    photos = () if plan.photos is None else (photo_source(plan.photos, used),)
    return check((*plan.sources, *photos), accepted)


def licence_in(plan: Plan, accepted: Collection[str], entries: Iterable[Entry]) -> OutputLicence:
    """The licence of a set that stands: a source of which nothing is in it does not bind it. Without any record it is
    the plan's.

    Raises:
        HarnessError: as `licences.check`.
    """
    found = list(entries)
    if not found:
        return licence_of(plan, accepted)
    used = [entry.real for entry in found if entry.real]
    names = {entry.made.source for entry in found}
    sources = tuple(source for source in plan.sources if source.name in names)
    left = replace(plan, sources=sources, photos=plan.photos if used else None)
    names |= {left.photos.name} if left.photos else set[str]()
    return licence_of(left, [name for name in accepted if name in names], used)
