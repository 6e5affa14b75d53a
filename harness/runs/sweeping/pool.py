"""The executor of one machine: child processes beside each other, as its GPUs and `jobs` allow.

A child (`harness.cli.sweep_worker`) runs the unit's `harness run`. One that holds no GPU takes unit after unit; one
that does is ended after its unit, which frees the GPU's memory for certain. The death of a child is its unit's failure.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import anyio.abc

from harness import plugins
from harness.board.corrected import count_things
from harness.errors import HarnessError
from harness.evaluation.samples import Stop
from harness.plugins.loader import FILE
from harness.replicas.placement import VARIABLE, Machine, find_entry
from harness.runs.sweeping.plan import SweepPlan, Unit
from harness.runs.sweeping.records import INTERRUPTED, Records, find_message
from harness.subprocesses import ChildProcess, PipeClosed, start_child

_WORKER: Final = ("-m", "harness.cli.sweep_worker")
_MOST_JOBS: Final = 8
_CLOSE_SECONDS: Final = 12.0  #: in which an interrupted unit keeps what is in flight
_LINE: Final = 1 << 16
_LOOK: Final = 0.2  #: seconds between two looks whether the sweep is interrupted
_ALMOST: Final = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One command of a child.

    Attributes:
        units: the units that it is about; several only for a judge that is opened once for all of them.
        args: the command.
        phase: `run`, `answers` or `judge`.
        gpus: GPUs that it holds; None for one if there is any.
        memory: GB that it needs on each; None for whole GPUs.
        local: whether a model runs in it.
    """

    units: tuple[Unit, ...]
    args: tuple[str, ...]
    phase: str
    gpus: int | None = None
    memory: float | None = None
    local: bool = False

    @property
    def name(self) -> str:
        """For messages."""
        return self.units[0].name if len(self.units) == 1 else f"{len(self.units)} units"


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """What this machine offers.

    Attributes:
        devices: entries of CUDA_VISIBLE_DEVICES.
        memory: GB of each device; None if it is not known.
        jobs: most works at once that hold no GPU.
    """

    devices: tuple[str, ...]
    memory: float | None
    jobs: int

    def count_gpus(self, work: Work) -> int:
        """GPUs that a work holds."""
        if work.gpus is not None:
            return work.gpus
        return 1 if work.local and self.devices else 0

    def find_share(self, work: Work) -> float:
        """The part of each of its GPUs that a work needs."""
        return 1.0 if work.memory is None or self.memory is None else work.memory / self.memory

    def check(self, work: Work) -> None:
        """Raise HarnessError if the work can never start here."""
        wanted = self.count_gpus(work)
        if wanted > len(self.devices):
            raise HarnessError(
                f"{work.name} needs {count_things(wanted, 'GPU')}, and {len(self.devices) or 'none'} can be used here",
                remedy="lower its `gpus`, or use --executor slurm or ray",
            )
        if wanted and self.find_share(work) > 1 + _ALMOST:
            raise HarnessError(
                f"{work.name} needs {work.memory:g} GB on a GPU, and one has {self.memory:g} GB",
                remedy="lower its `memory`, or give it more `gpus`",
            )


def find_slots(plan: SweepPlan, machine: Machine | None = None) -> Slots:
    """The GPUs and jobs of this machine that a sweep may use. Raises HarnessError for a device that is not there."""
    machine = machine or Machine.here()
    names = [name for name in plan.devices.split(",") if name]
    devices = tuple(find_entry(name, machine) for name in names) if names else machine.visible or ()
    memory = plan.device_memory
    if memory is None and devices and any(unit.memory for unit in plan.units):
        memory = read_device_memory()
    jobs = plan.jobs or min(_MOST_JOBS, os.cpu_count() or 1)
    return Slots(devices=devices, memory=memory, jobs=jobs)


def read_device_memory() -> float | None:
    """GB of the smallest CUDA device, as the driver says; None if it does not."""
    import ctypes

    class Memory(ctypes.Structure):
        _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))

    try:
        driver = ctypes.CDLL("libnvidia-ml.so.1")
        number, found = ctypes.c_uint(), list[float]()
        if driver.nvmlInit_v2() or driver.nvmlDeviceGetCount_v2(ctypes.byref(number)):
            return None
        for index in range(number.value):
            handle, memory = ctypes.c_void_p(), Memory()
            if driver.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle)):
                return None
            if driver.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)):
                return None
            found.append(memory.total / 1e9)
        driver.nvmlShutdown()
    except (OSError, AttributeError):
        return None
    return min(found, default=None)


def list_plugin_flags() -> tuple[str, ...]:
    """The flags by which a child loads the plugins of this process that are single files."""
    files = [each.value for each in plugins.current().plugins if each.distribution == FILE]
    return tuple(word for path in files for word in ("--plugin", str(Path(path).absolute())))


Ask = Callable[[Sequence[str], str], Awaitable[tuple[int | None, str]]]


class UnitRunner:
    """Claims units, has their commands run, and keeps how they end.

    Args:
        records: receive how each unit ends.
        stop: a command that dies after it is asked was interrupted.
        tell: receives a line for each unit that starts or ends.
        more: flags of each command, such as those that load plugins.
    """

    def __init__(self, records: Records, stop: Stop, tell: Callable[[str], None], more: Sequence[str] = ()) -> None:
        self._records = records
        self._stop = stop
        self._tell = tell
        self._more = tuple(more)

    async def run(self, work: Work, where: str, ask: Ask) -> None:
        """Have a work done by `ask`, which gets the command and its log, unless another sweep has one of its units.

        Args:
            work: the work.
            where: for the line that says that it begins.
            ask: gives the exit code, or None and how the process died.
        """
        stopped = self._stop.asked  # it may be asked below too, so no type checker may take it for settled
        if stopped:
            return
        held = [lock for unit in work.units if (lock := self._records.claim(unit)) is not None]
        try:
            if len(held) < len(work.units):
                self._tell(f"{work.name}: another sweep runs {len(work.units) - len(held)} of its units")
                return
            started = time.time()
            log = self._records.log(work.units[0])
            start = log.stat().st_size if log.exists() else 0
            self._tell(f"{work.name}: {work.phase} begins{where}")
            code, message = await ask([*work.args, *self._more], str(log))
            if self._stop.asked and code is None:
                code, message = INTERRUPTED, ""
            if code not in (0, INTERRUPTED):
                message = message or find_message(log, start)
            for unit in work.units:
                self._records.add(unit, phase=work.phase, code=code, message=message, started=started)
            seconds = f"{time.time() - started:.0f} s"
            if code in (0, 3):
                self._tell(f"{work.name}: {work.phase} done in {seconds}" + (" (exit 3)" if code else ""))
            elif code != INTERRUPTED:
                self._tell(f"{work.name}: {work.phase} failed after {seconds}: {message}")
        finally:
            for lock in held:
                lock.release()


class LocalPool:
    """Runs works in child processes.

    Args:
        slots: what the machine offers.
        records: receive how each unit ends.
        stop: ends the children when it is asked.
        tell: receives a line for each unit that starts or ends.
        more: flags of each command, such as those that load plugins.
    """

    def __init__(
        self, slots: Slots, records: Records, stop: Stop, tell: Callable[[str], None], more: Sequence[str] = ()
    ) -> None:
        self._slots = slots
        self._stop = stop
        self._runner = UnitRunner(records, stop, tell, more)
        self._free = dict.fromkeys(slots.devices, 1.0)
        self._jobs = slots.jobs
        self._idle: list[ChildProcess] = []
        self._busy: set[ChildProcess] = set()
        self._changed = anyio.Event()

    async def run(self, works: Sequence[Work]) -> None:
        """Run all works; those with most GPUs start first. A failure is noted in the unit's record."""
        waiting = sorted(works, key=self._slots.count_gpus, reverse=True)
        async with anyio.create_task_group() as children, anyio.create_task_group() as tasks:
            children.start_soon(self._watch_stop)
            running = 0

            async def run_one(work: Work, devices: tuple[str, ...]) -> None:
                nonlocal running
                ask = partial(self._ask_child, devices, children)
                try:
                    await self._runner.run(work, f" on GPU {','.join(devices)}" if devices else "", ask)
                finally:
                    running -= 1
                    for name in devices:
                        self._free[name] += self._slots.find_share(work)
                    self._jobs += not devices
                    self._changed.set()

            try:
                while (waiting and not self._stop.asked) or running:
                    self._changed = anyio.Event()
                    for work in tuple(waiting) if not self._stop.asked else ():
                        devices = self._take(work)
                        if devices is None:
                            continue
                        waiting.remove(work)
                        running += 1
                        tasks.start_soon(run_one, work, devices)
                    await self._changed.wait()
            finally:
                with anyio.CancelScope(shield=True):
                    async with anyio.create_task_group() as closing:
                        for child in (*self._idle, *self._busy):
                            closing.start_soon(child.close)
                self._idle.clear()
                children.cancel_scope.cancel()

    def _take(self, work: Work) -> tuple[str, ...] | None:
        """Devices for a work, or no devices and a job; None if nothing is free."""
        wanted, share = self._slots.count_gpus(work), self._slots.find_share(work)
        if not wanted:
            if not self._jobs:
                return None
            self._jobs -= 1
            return ()
        # the fullest device that has room, so that whole ones stay for those that need them
        fitting = sorted((free, name) for name, free in self._free.items() if free >= share - _ALMOST)
        if len(fitting) < wanted:
            return None
        chosen = tuple(name for _, name in fitting[:wanted])
        for name in chosen:
            self._free[name] -= share
        return chosen

    async def _ask_child(
        self, devices: tuple[str, ...], children: anyio.abc.TaskGroup, args: Sequence[str], log: str
    ) -> tuple[int | None, str]:
        """Run a command in a child; its exit code, or None and how the child died."""
        if self._idle and not devices:
            child = self._idle.pop()
        else:  # one without a GPU must not see those of the others
            hidden = bool(self._slots.devices) or VARIABLE in os.environ
            variables = {VARIABLE: ",".join(devices)} if devices or hidden else {}
            child = await start_child([sys.executable, *_WORKER], variables=variables, close_seconds=_CLOSE_SECONDS)
            children.start_soon(child.run)
        self._busy.add(child)
        keep = False
        try:
            if self._stop.asked:  # while the child was started, when nobody could tell it to end
                return None, ""
            child.send_json({"args": list(args), "log": log})
            try:
                reply = await child.receive_json(_LINE)
                keep = not devices and not reply["used_up"] and not self._stop.asked
                return int(reply["code"]), ""
            except (PipeClosed, KeyError, TypeError):
                lines = child.last_lines(1)
                ended = await child.wait_end()
                return None, f"its process {ended}" + (f": {lines[0]}" if lines else "")
        finally:
            self._busy.discard(child)
            if keep:
                self._idle.append(child)
            else:
                await child.close()

    async def _watch_stop(self) -> None:
        """Ask the children to end as soon as the sweep is interrupted."""
        while not self._stop.asked:  # noqa: ASYNC110 - a signal's handler sets it
            await anyio.sleep(_LOOK)
        for child in tuple(self._busy):
            child.send_json({"stop": True})
        self._changed.set()
