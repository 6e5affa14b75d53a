"""`harness.run(...)` and `await harness.run_async(...)`: the command `harness run` for Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from . import runs
from .limits import Policy
from .models import ModelSpec
from .options import MIN_COVERAGE, Options, Phases
from .progress import Progress
from .runs import Run


async def run_async(
    model: str,
    tasks: str | Sequence[str],
    *,
    judge: str | Sequence[str] = (),
    model_settings: Mapping[str, Any] | None = None,
    judge_settings: Mapping[str, Any] | None = None,
    task_settings: Mapping[str, Any] | None = None,
    strategy: str = "",
    strategy_settings: Mapping[str, Any] | None = None,
    temperature: float | None = None,
    max_tokens: int | None = None,
    seed: int | None = None,
    system: str = "",
    limit: int | None = None,
    epochs: int = 1,
    data: Path | str | None = None,
    output: Path | str | None = None,
    fresh: bool = False,
    retry: str | Sequence[str] = (),
    probe: bool = True,
    phases: Phases = "auto",
    min_coverage: float = MIN_COVERAGE,
    policy: Policy | None = None,
    progress: Progress | None = None,
) -> Run:
    """Answer the questions of some tasks and judge the answers.

    Args:
        model: `SCHEME/NAME`.
        tasks: `NAME` or `NAME:SPLIT`, one or several.
        judge: `MODEL`, `RUBRIC` or `RUBRIC=MODEL`; the first is the primary one. None is ever assumed.
        model_settings: as `-M`.
        judge_settings: as `-J`: key or `RUBRIC.key` -> value.
        task_settings: as `-T`: `NAME.key` -> value.
        strategy: around the model.
        strategy_settings: as `-S`.
        temperature: override of the splits' own.
        max_tokens: override of the splits' own.
        seed: sent to the provider.
        system: a system message put before each request.
        limit: clusters of each split.
        epochs: answers for each sample.
        data: the data folder; None for `HARNESS_DATA` or the user's.
        output: the run folder; None for `runs/<scheme>-<name>`.
        fresh: put an old run of this folder aside.
        retry: outcomes or judge states to try again.
        probe: check the model and the judges first.
        phases: judge while answering, or afterwards.
        min_coverage: share of records that must be resolved.
        policy: slots, retries and breaker.
        progress: told what happens; None says nothing.

    Raises:
        HarnessError: what the user can mend; what was answered is kept.
    """
    # 0 and 0.0 are one temperature and must be one run
    overrides = {
        "temperature": None if temperature is None else float(temperature),
        "max_tokens": max_tokens,
        "seed": seed,
    }
    options = Options(
        model=ModelSpec(
            ref=model, settings=model_settings or {}, strategy=strategy, strategy_settings=strategy_settings or {}
        ),
        tasks=_several(tasks),
        judges=_several(judge),
        judge_settings=judge_settings or {},
        task_settings=task_settings or {},
        generation={name: value for name, value in overrides.items() if value is not None},
        system=system,
        limit=limit,
        epochs=epochs,
        data=_path(data),
        output=_path(output),
        fresh=fresh,
        retry=frozenset(_several(retry)),
        probe=probe,
        phases=phases,
        min_coverage=min_coverage,
        policy=policy or Policy(),
        command=("harness.run", model, ",".join(_several(tasks))),
    )
    return await runs.run_async(options, progress=progress)


def run(model: str, tasks: str | Sequence[str], **options: Any) -> Run:
    """`run_async` from ordinary code, in a thread of its own: it works in a notebook too. Same arguments."""
    from anyio.from_thread import start_blocking_portal

    with start_blocking_portal() as portal:
        return portal.call(partial(run_async, model, tasks, **options))


def _several(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _path(given: Path | str | None) -> Path | None:
    return None if given is None else Path(given)
