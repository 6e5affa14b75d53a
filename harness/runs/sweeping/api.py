"""`harness.sweep(FILE)`: runs all units of a sweep, and writes its sweep.json and its page."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, get_args

from harness.errors import HarnessError, UnknownName
from harness.evaluation.samples import Stop
from harness.runs.sweeping.grids import build_grids
from harness.runs.sweeping.plan import SweepPlan, plan_sweep
from harness.runs.sweeping.pool import LocalPool, Work, find_slots, list_plugin_flags
from harness.runs.sweeping.records import Records, Row
from harness.runs.sweeping.result import Sweep, write_grids, write_leaderboard
from harness.runs.sweeping.slurm import Script, build_scripts, submit
from harness.runs.writer import format_time
from harness.settings import nearest

Executor = Literal["local", "slurm", "ray"]
EXECUTORS: Final[tuple[Executor, ...]] = get_args(Executor)
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """How a sweep is run.

    Attributes:
        executor: what runs the units.
        more: flags of each child, such as `--config`.
        ray_address: of the Ray cluster; empty starts Ray on this machine.
        close: run nothing, and only judge what waits for a judge and write the page.
        only_units: run the units, and neither judge nor write the page: what a task of Slurm does.
        at_once: units at work at the same time in all, if others run elsewhere; they share the limits.
    """

    executor: Executor = "local"
    more: tuple[str, ...] = ()
    ray_address: str = ""
    close: bool = False
    only_units: bool = False
    at_once: int | None = None


async def sweep_async(
    plan: SweepPlan, invocation: Invocation, *, stop: Stop | None = None, tell: Tell | None = None
) -> Sweep:
    """Run the units of a plan that are not done, judge them, and write sweep.json and the page.

    Args:
        plan: the sweep.
        invocation: how to run it.
        stop: ends it early; it then raises KeyboardInterrupt, and the same call goes on.
        tell: receives a line for each unit that starts or ends.

    Raises:
        HarnessError: a unit can never start here, or the folder cannot be written to.
    """
    from anyio import to_thread

    started, stop = time.time(), stop or Stop()
    say: Tell = tell or (lambda _: None)
    records = Records(plan)
    try:
        records.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HarnessError(
            f"cannot write: {error.strerror}", where=str(records.folder.parent), remedy="give another `output`"
        ) from None
    if invocation.executor == "slurm":  # it runs what is left, and `--close` then judges and writes the page
        rows = records.find_rows(plan)
        made = Sweep(
            output=plan.output,
            rows=tuple(rows),
            executor="slurm",
            started=format_time(started),
            finished=format_time(time.time()),
            submitted=await submit(list_scripts(plan, rows, invocation)),
        )
        made.write()
        return made
    async with _open_executor(plan, invocation, records, stop, say) as runner:
        if not invocation.close:
            rows = records.find_rows(plan)
            todo = [row for row in rows if row.state not in ("complete", "answered", "running")]
            done = len(rows) - len(todo)
            if done:
                say(f"{done} of {len(rows)} units are done already, or another process runs them")
            await runner.run(build_works(plan, todo, invocation.at_once or runner.at_once))
            stop.check()
        if plan.apart and not invocation.only_units:
            await runner.run(build_judging(plan, records.find_rows(plan), runner.judges_at_once))
            stop.check()
    close = partial(close_sweep, plan, records, invocation.executor, started, say, page=not invocation.only_units)
    return await to_thread.run_sync(close)


def close_sweep(
    plan: SweepPlan, records: Records, executor: str, started: float, tell: Tell, *, page: bool = True
) -> Sweep:
    """Write the page and sweep.json of a sweep as it stands."""
    rows = records.find_rows(plan)
    notes: list[str] = []

    def note(text: str) -> None:
        notes.append(text)
        tell(f"note: {text}")

    made = Sweep(
        output=plan.output,
        rows=tuple(rows),
        executor=executor,
        started=format_time(started),
        leaderboard=write_leaderboard(rows, plan.output, note) if page else None,
        finished=format_time(time.time()),
        notes=tuple(notes),
        grids=build_grids(plan, rows),
    )
    if page:
        made.write()
        write_grids(made.grids, plan.output)
    return made


def list_scripts(plan: SweepPlan, rows: Sequence[Row], invocation: Invocation) -> list[Script]:
    """The scripts that `--executor slurm` submits."""
    return build_scripts(plan, rows, (*invocation.more, *list_plugin_flags()))


def build_works(plan: SweepPlan, rows: Sequence[Row], at_once: int) -> list[Work]:
    """The command of each unit."""
    return [
        Work(
            units=(row.unit,),
            args=(*row.unit.arguments, *plan.share_limits(row.unit, at_once), *row.unit.output),
            phase="answers" if plan.apart else "run",
            gpus=row.unit.gpus,
            memory=row.unit.memory,
            local=row.unit.local,
        )
        for row in rows
    ]


def build_judging(plan: SweepPlan, rows: Sequence[Row], at_once: int) -> list[Work]:
    """One command for each place where a judge is opened, with all units that are judged there."""
    units = [row.unit for row in rows if row.state == "answered"]
    shares = [units[number :: max(1, at_once)] for number in range(max(1, at_once))]
    return [
        Work(
            units=tuple(share),
            args=(share[0].judging[0], *(str(unit.folder) for unit in share), *share[0].judging[1:]),
            phase="judge",
            gpus=plan.judge_gpus,
            local=True,
        )
        for share in shares
        if share
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Executor:
    """An open executor.

    Attributes:
        run: runs all works; a failure is noted in the unit's record.
        at_once: most units at work at the same time.
        judges_at_once: places where a local judge is opened.
    """

    run: Callable[[Sequence[Work]], Awaitable[None]]
    at_once: int
    judges_at_once: int


@asynccontextmanager
async def _open_executor(
    plan: SweepPlan, invocation: Invocation, records: Records, stop: Stop, tell: Tell
) -> AsyncGenerator[_Executor]:
    more = (*invocation.more, *list_plugin_flags())
    judge_gpus = max(1, plan.judge_gpus or 1)
    if invocation.executor == "local":
        slots = find_slots(plan)

        async def run_here(works: Sequence[Work]) -> None:
            for work in works:
                slots.check(work)
            if works:
                await LocalPool(slots, records, stop, tell, more).run(works)

        count = len(slots.devices)
        yield _Executor(run=run_here, at_once=slots.jobs + count, judges_at_once=max(1, count // judge_gpus))
        return
    from harness.replicas.ray_link import join_cluster
    from harness.runs.sweeping.ray_tasks import RayPool

    async with join_cluster(invocation.ray_address) as (ray, nodes):
        pool = RayPool(plan.device_memory, records, stop, tell, more)
        gpus, cpus = int(sum(node.gpus for node in nodes)), sum(node.cpus for node in nodes)
        most = max((node.gpus for node in nodes), default=0)
        yield _Executor(
            run=lambda works: pool.run(works, most, ray), at_once=gpus + cpus, judges_at_once=max(1, gpus // judge_gpus)
        )


def sweep(
    given: Path | str | Mapping[str, Any],
    *,
    output: Path | str | None = None,
    executor: Executor = "local",
    only: Sequence[str] = (),
    ray_address: str = "",
    tell: Tell | None = None,
) -> Sweep:
    """Ask many models the same tasks, each in a run folder of its own. The command `harness sweep` does the same.

    Args:
        given: the sweep's YAML file, or the same as a mapping.
        output: the folder of all run folders, instead of the file's.
        executor: what runs the units: `local` or `ray`.
        only: names of units; none for all.
        ray_address: of the Ray cluster; empty starts Ray on this machine.
        tell: receives a line for each unit that starts or ends; None for nobody.

    Returns:
        The sweep: its `rows`, each with its `state`, `run` and `unit`; `exit_code`; `leaderboard`.

    Raises:
        HarnessError: for problems that the user can fix. The failure of a unit is a row, and raises nothing.
    """
    from anyio.from_thread import start_blocking_portal

    if executor not in EXECUTORS:
        raise UnknownName(f"there is no executor {executor!r}", remedy=nearest(executor, EXECUTORS))
    if executor == "slurm":
        raise HarnessError("Slurm runs a sweep's file", remedy="use the command: harness sweep FILE --executor slurm")
    plan = plan_sweep(given, output=None if output is None else Path(output))
    plan = plan.select(only) if only else plan
    invocation = Invocation(executor=executor, ray_address=ray_address)
    with start_blocking_portal() as portal:
        return portal.call(lambda: sweep_async(plan, invocation, tell=tell))
