"""The mini world: `mini/base`, a VLM under 4 MB that helps with everything, and the rule `mini` that judges it.

For builders, `mini/writer` and `mini/painter`: rules that write and draw instantly.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from harness import Judge, Provider, hookimpl

if TYPE_CHECKING:
    from harness import Painter


@hookimpl
def harness_models() -> Iterable[Provider]:
    """Offer `mini/base`, `mini/mirage` and `mini/writer`."""
    from .provider import PROVIDER

    return (PROVIDER,)


@hookimpl
def harness_judges() -> Iterable[Judge]:
    """Offer the rule `mini`."""
    from .judge import JUDGE

    return (JUDGE,)


@hookimpl
def harness_painters() -> Iterable[Painter]:
    """Offer `mini/painter`."""
    from .provider import PAINTER

    return (PAINTER,)
