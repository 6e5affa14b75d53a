"""Every hook, on one screen.

Prefix `harness_`, synchronous, none `firstresult`, no wrappers; argument lists only ever grow at the end. Offer hooks
return descriptors and are called once, at start. Observers are called after the write, in order, in one thread; what
they raise is reported and never ends a run.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import click

    from harness.contracts import Attack, Judge, Provider, Report, Results, RunInfo, Strategy, Suite, Task
    from harness.makers import Builder, Painter, Trainer
    from harness.types import Failure, Response, Sample, Unscored, Verdict

hookspec = pluggy.HookspecMarker("harness")
hookimpl = pluggy.HookimplMarker("harness")  #: marks a function of a plugin as a hook


@hookspec
def harness_models() -> Iterable[Provider]:
    """Offer providers: `--model SCHEME/NAME`."""
    return ()


@hookspec
def harness_tasks() -> Iterable[Task]:
    """Offer tasks: `--tasks NAME`."""
    return ()


@hookspec
def harness_suites() -> Iterable[Suite]:
    """Offer suites, which are names for several tasks: `--tasks NAME`."""
    return ()


@hookspec
def harness_judges() -> Iterable[Judge]:
    """Offer rubrics: `--judge RUBRIC[=MODEL]`."""
    return ()


@hookspec
def harness_strategies() -> Iterable[Strategy]:
    """Offer strategies: `--strategy NAME`."""
    return ()


@hookspec
def harness_attacks() -> Iterable[Attack]:
    """Offer attacks, which change what is asked: `--attack NAME`."""
    return ()


@hookspec
def harness_reports() -> Iterable[Report]:
    """Offer report formats: `harness report --format NAME`."""
    return ()


@hookspec
def harness_trainers() -> Iterable[Trainer]:
    """Offer trainers."""
    return ()


@hookspec
def harness_builders() -> Iterable[Builder]:
    """Offer dataset builders."""
    return ()


@hookspec
def harness_painters() -> Iterable[Painter]:
    """Offer models that draw, for builders."""
    return ()


@hookspec
def harness_commands(cli: click.Group) -> None:
    """Add commands: `@cli.command()` or `cli.add_command(...)`; called when the command line starts.

    A group called `judges` adds its commands to `harness judges`, and one called `strategies` to `harness strategies`.
    """


@hookspec
def harness_run_started(run: RunInfo) -> None:
    """A run begins; nothing has been asked yet."""


@hookspec
def harness_response_added(run: RunInfo, sample: Sample, response: Response | Failure) -> None:
    """A response or failure has been written."""


@hookspec
def harness_verdict_added(run: RunInfo, sample: Sample, response: Response, verdict: Verdict | Unscored) -> None:
    """A verdict has been written."""


@hookspec
def harness_run_finished(run: RunInfo, results: Results) -> None:
    """A run ended and results.json is written."""
