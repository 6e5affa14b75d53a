"""Rules that read a letter or a yes or no out of an answer: the judges `choice` and `yesno`.

Both are deterministic rules without a model. `docs/judges/choice.md` says what they read, and where they are wrong.
"""

from __future__ import annotations

from collections.abc import Iterable

from harness import Judge, hookimpl


@hookimpl
def harness_judges() -> Iterable[Judge]:
    """Offer both rules."""
    from .choice import CHOICE, YESNO

    return (CHOICE, YESNO)
