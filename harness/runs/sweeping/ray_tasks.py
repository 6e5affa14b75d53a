"""The executor of Ray: one task for each unit with its GPUs, placed by Ray, and never retried by it.

The task starts the same child process as on one machine, on a node that sees the sweep's folder under the same path.
When the task ends, in whatever way, the child's pipe closes and it ends as by Ctrl-C.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio

from harness.errors import HarnessError, unwrap_groups
from harness.evaluation.samples import Stop
from harness.extras import Untyped
from harness.replicas.surroundings import choose_variables
from harness.runs.sweeping.pool import UnitRunner, Work
from harness.runs.sweeping.records import Records

_CLOSE_SECONDS: Final = 12.0
_LOOK: Final = 0.2


def run_command(args: Sequence[str], log: str, folder: str, variables: dict[str, str]) -> tuple[int | None, str]:
    """Run a command of a sweep on the node where this task is; its exit code, or None and how its process died."""
    import signal
    import subprocess
    import sys

    command = [sys.executable, "-m", "harness.cli.sweep_worker"]
    child = subprocess.Popen(  # noqa: S603 - our own module
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=folder,
        env={**os.environ, **variables},
        start_new_session=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    line = b""
    try:
        with suppress(BrokenPipeError):
            child.stdin.write(json.dumps({"args": list(args), "log": log}).encode() + b"\n")
            child.stdin.flush()
        line = child.stdout.readline()
    finally:
        with suppress(OSError):
            child.stdin.close()
        try:
            child.wait(_CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
    if line:
        return int(json.loads(line)["code"]), ""
    code = child.wait()
    return None, f"its process was killed by {signal.Signals(-code).name}" if code < 0 else f"its process ended: {code}"


class RayPool:
    """Runs works as tasks of Ray.

    Args:
        device_memory: GB of each GPU; None gives whole ones.
        records: receive how each unit ends.
        stop: ends the units when it is asked.
        tell: receives a line for each unit that starts or ends.
        more: flags of each command.
    """

    def __init__(
        self,
        device_memory: float | None,
        records: Records,
        stop: Stop,
        tell: Callable[[str], None],
        more: Sequence[str],
    ) -> None:
        self._memory = device_memory
        self._stop = stop
        self._folder = Path.cwd()
        self._runner = UnitRunner(records, stop, tell, more)

    async def run(self, works: Sequence[Work], gpus: float, ray: Untyped) -> None:
        """Run all works; Ray starts as many as fit. Raises HarnessError if one fits on no node.

        Args:
            works: the works.
            gpus: of the largest node.
            ray: connected.
        """
        needs = [self._find_need(work, gpus) for work in works]
        async with anyio.create_task_group() as tasks:
            for work, need in zip(works, needs, strict=True):
                tasks.start_soon(self._runner.run, work, "", partial(self._ask, ray, need))

    def _find_need(self, work: Work, most: float) -> dict[str, float]:
        """What a work asks Ray for. Raises HarnessError if no node has it: Ray would wait without end."""
        wanted = work.gpus if work.gpus is not None else int(work.local and most >= 1)
        if wanted > most:
            raise HarnessError(
                f"{work.name} needs {wanted} GPUs, and the largest node of the Ray cluster has {most:g}",
                remedy="lower its `gpus`: a unit's GPUs are of one node",
            )
        if work.memory is not None and self._memory is not None and work.memory > self._memory and wanted:
            raise HarnessError(
                f"{work.name} needs {work.memory:g} GB on a GPU, and one has {self._memory:g} GB",
                remedy="lower its `memory`, or give it more `gpus`",
            )
        if wanted != 1 or work.memory is None or self._memory is None:
            return {"num_gpus": wanted, "num_cpus": 0 if wanted else 1}
        return {"num_gpus": max(0.0001, round(work.memory / self._memory, 4)), "num_cpus": 0}

    async def _ask(self, ray: Untyped, need: dict[str, float], args: Sequence[str], log: str) -> tuple[int | None, str]:
        task: Untyped = ray.remote(max_retries=0, **need)(run_command)
        found: Any = task.remote(list(args), str(self._folder / log), str(self._folder), choose_variables(os.environ))
        code, message = None, "its task of Ray was lost"
        try:
            with unwrap_groups():
                async with anyio.create_task_group() as watching:
                    watching.start_soon(self._cancel_on_stop, ray, found)
                    code, message = await found
                    watching.cancel_scope.cancel()
        except ray.exceptions.RayError as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            message += f": {lines[-1][:300] if lines else type(error).__name__}"
        finally:
            with suppress(Exception):  # nothing to cancel if it has ended
                ray.cancel(found)
        return code, message

    async def _cancel_on_stop(self, ray: Untyped, found: Any) -> None:
        while not self._stop.asked:  # noqa: ASYNC110 - a signal's handler sets it
            await anyio.sleep(_LOOK)
        ray.cancel(found)
