"""`diffusers/ID`: Stable Diffusion 3.5 and any other text-to-image pipeline of diffusers, run on this machine.

Needs the extra `build`; torch and diffusers are imported when a painter opens.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from harness import hookimpl

if TYPE_CHECKING:
    from harness import Painter


@hookimpl
def harness_painters() -> Iterable[Painter]:
    """Offer `diffusers/…`."""
    from harness_diffusers.painter import PAINTER

    return (PAINTER,)
