"""What every step works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness import Image
from harness_builder.calls.values import Asker
from harness_builder.config.plan import Plan
from harness_builder.prompts.templates import Prompts


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """What every step works with.

    Attributes:
        plan: of the build.
        prompts: its templates.
        asker: asks models and painter.
        image: sha256 -> the image of the build's folder, not opened.
    """

    plan: Plan
    prompts: Prompts
    asker: Asker
    image: Callable[[str], Image]
