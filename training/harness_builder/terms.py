"""Under which licence a plan's set is: that of its sources of seeds, and of its photographs."""

from __future__ import annotations

from collections.abc import Iterable

from .config.plan import Plan
from .licences import OutputLicence, check
from .real.licensing import photo_source
from .real.values import RealRecord


def licence_of(plan: Plan, accepted: Iterable[str] = (), used: Iterable[RealRecord] = ()) -> OutputLicence:
    """The licence of what a plan builds; with the photographs that are used, once that is known.

    Raises:
        HarnessError: as `licences.check`.
    """
    photos = () if plan.photos is None else (photo_source(plan.photos, used),)
    return check((*plan.sources, *photos), accepted)
