"""What is kept of a call, and what calls took."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from harness import Usage
from harness_builder.config.plan import Role
from harness_builder.values import Step

from .values import Ended, Painted, Told

Outcome = Told | Ended | Painted
Who = Role | Literal["painter"]
PAINTER: Final[Who] = "painter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What calls took.

    Attributes:
        step: whose they were.
        role: who was asked.
        model: as its provider names it; empty where it does not.
        calls: on the wire; tries that failed for a passing reason are a part of theirs.
        usage: tokens.
        images: that were drawn.
        seconds: from request to reply.
    """

    step: Step
    role: Who
    model: str = ""
    calls: int = 1
    usage: Usage = Usage()
    images: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One question, and what came of it.

    Attributes:
        call: digest of what was asked.
        owners: keys of the seeds and elements that asked it; of a call that was looked up for one, that one alone.
        result: what came of it.
        spent: on it, a second try after a reply that could not be read among it.
    """

    call: str
    owners: tuple[str, ...]
    result: Outcome
    spent: Spent
