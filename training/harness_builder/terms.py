"""Under which licence a set is: before it is built that of all its plan's sources, then that of what is in it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace

from .config.keys import at
from .config.plan import Plan
from .licences import OutputLicence, check, check_names, check_source
from .output import Entry
from .public import Source
from .real.licensing import photo_source
from .real.values import RealRecord
from .recorded import check_recorded


def licence_of(plan: Plan, accepted: Iterable[str] = (), used: Iterable[RealRecord] = ()) -> OutputLicence:
    """The licence of what a plan builds, whatever of its sources comes to be in the set.

    Args:
        plan: of the build.
        accepted: sources that the user allows in spite of their licence.
        used: records that show photographs; without them the collection is under what the user states of it.

    Raises:
        HarnessError: as `licences.check`.
    """
    return check(_keyed(plan, used).values(), accepted)


def check_sources(plan: Plan, accepted: Collection[str] = ()) -> None:
    """Whether each source of a plan may be used, whatever stands beside it; folders are looked through for records.

    Raises:
        HarnessError: as `licences.check_source` and `recorded.check_recorded`, with the key of the source.
    """
    keyed = _keyed(plan)
    check_names(keyed.values(), accepted)
    for key, source in keyed.items():
        with at(plan, key):
            check_source(source, accepted)
            check_recorded(source)


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


def _keyed(plan: Plan, used: Iterable[RealRecord] = ()) -> dict[str, Source]:
    """Key of the config -> source."""
    photos: dict[str, Source] = {} if plan.photos is None else {"real": photo_source(plan.photos, used)}
    return {f"sources.#{number}": source for number, source in enumerate(plan.sources, start=1)} | photos


def tell_needless(accepted: Iterable[str], licence: OutputLicence, tell: Callable[[str], None]) -> None:
    """Say which sources were accepted without need: they are used as if they had not been."""
    for name in sorted(set(accepted) - set(licence.accepted)):
        tell(f"--accept-licence {name} is not needed, and changes nothing: its terms allow what is built")
