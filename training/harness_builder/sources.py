"""The sources of a plan: their faults are told with the key of the config, and looked for before anything is asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from .config.keys import at
from .config.plan import Plan
from .seeds import SeedSource, read_seeds
from .values import Seed


def seeds_of(plan: Plan) -> Iterator[tuple[SeedSource, Seed]]:
    """All seeds of all sources, in order.

    Raises:
        HarnessError: as `read_seeds`.
    """
    for number, source in enumerate(plan.sources, start=1):
        with at(plan, f"sources.#{number}"):
            yield from ((source, seed) for seed in read_seeds(source))


def check_readable(plan: Plan) -> None:
    """Read the first seed of each source: a slip costs no call then.

    Raises:
        HarnessError: as `read_seeds`.
    """
    for number, source in enumerate(plan.sources, start=1):
        with at(plan, f"sources.#{number}"):
            next(read_seeds(replace(source, limit=None)))
