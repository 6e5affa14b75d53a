"""Attacks and controls, which change what is asked: words become pictures, parts are shuffled, images go."""

from __future__ import annotations

from collections.abc import Iterable

from harness import Attack, hookimpl


@hookimpl
def harness_attacks() -> Iterable[Attack]:
    """Offer the attacks `typographic`, `shuffle` and `prepend-image`, and the controls."""
    from .controls import BLANK, CAPTION_ONLY, DROP, ORDER, UNRELATED
    from .inserted import PREPEND_IMAGE
    from .shuffled import SHUFFLE
    from .typographic import TYPOGRAPHIC

    return (TYPOGRAPHIC, SHUFFLE, PREPEND_IMAGE, ORDER, BLANK, UNRELATED, DROP, CAPTION_ONLY)
