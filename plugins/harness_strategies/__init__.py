"""Strategies from papers: defences in words, chain of thought, two-step answering, votes over changed copies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from harness import Strategy, hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def harness_strategies() -> Iterable[Strategy]:
    """Offer the strategies."""
    from .adaptive import ADASHIELD_A
    from .eta import ETA
    from .reminders import ADASHIELD_S, SELF_REMINDER
    from .strategies import COT, ECSO, SYSTEM_DEFENCE
    from .voting import JAILGUARD, SMOOTH

    return (SYSTEM_DEFENCE, COT, ECSO, SELF_REMINDER, ADASHIELD_S, ADASHIELD_A, JAILGUARD, SMOOTH, ETA)


@hookimpl
def harness_commands(cli: click.Group) -> None:
    """Add `harness strategies pool`."""
    from .command import command

    cli.add_command(command)
