"""Starts vLLM's asynchronous engine, and gives its memory and its processes back at the end.

The engine is made in a thread: that takes a minute for a large model. One start that nobody waits for any more is
given up, and its processes with it.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from harness import HarnessError
from harness_vllm import faults
from harness_vllm.children import apart
from harness_vllm.untyped import Untyped, load

_JOIN_SECONDS = 10.0
#: In which the engine ends its workers and gives shared memory back; vLLM's own 5 seconds are too short for that.
_GRACE_SECONDS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A running engine.

    Attributes:
        ref: of the model, `vllm/NAME`.
        llm: vLLM's AsyncLLM.
        config: vLLM's configuration, complete.
        log: what its processes write.
        children: its processes that are children of this one.
    """

    ref: str
    llm: Untyped
    config: Untyped
    log: Path
    children: tuple[Any, ...]

    async def stop(self) -> None:
        """End its processes and wait until they are gone. The log stays where the engine has died."""
        died = self.llm.errored
        if self.llm.output_handler is not None:
            self.llm.output_handler.cancel()  # else it may take the end for a death, and say so
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self.stop_here)
        if not died:
            self.log.unlink(missing_ok=True)

    def stop_here(self) -> None:
        """The same in the thread that asks, but for the log."""
        self.llm.shutdown(timeout=_GRACE_SECONDS)
        _end(self.children)


class Start:
    """One start of an engine.

    Args:
        ref: of the model, for errors.
        arguments: of vLLM's AsyncEngineArgs.
    """

    def __init__(self, ref: str, arguments: dict[str, Any]) -> None:
        self._ref = ref
        self._arguments = arguments
        self._lock = threading.Lock()
        self._abandoned = False
        self._before = set(multiprocessing.active_children())

    async def configure(self) -> Untyped:
        """vLLM's configuration for this model. Raises HarnessError where vLLM does not run it."""
        return await anyio.to_thread.run_sync(self._configure, abandon_on_cancel=True)

    def _configure(self) -> Untyped:
        try:
            return load("vllm.engine.arg_utils").AsyncEngineArgs(**self._arguments).create_engine_config()
        except Exception as error:
            raise faults.not_started(self._ref, error) from error

    async def run(self, config: Untyped) -> Running:
        """The engine. Raises HarnessError where it does not start."""
        try:
            return await anyio.to_thread.run_sync(self._run, config, abandon_on_cancel=True)
        except anyio.get_cancelled_exc_class():
            with self._lock:
                self._abandoned = True
                _end(self._children())
            raise

    def _run(self, config: Untyped) -> Running:
        handle, name = tempfile.mkstemp(prefix="harness-vllm-", suffix=".log")
        os.close(handle)
        log = Path(name)
        engines = load("vllm.v1.engine.async_llm").AsyncLLM
        try:
            with apart(log):
                llm = engines.from_vllm_config(config, disable_log_stats=True)
        except Exception as error:
            _end(self._children())
            self._refuse_if_abandoned(log)
            raise faults.not_started(self._ref, error, log) from error
        running = Running(ref=self._ref, llm=llm, config=config, log=log, children=self._children())
        with self._lock:
            if self._abandoned:
                running.stop_here()
                self._refuse_if_abandoned(log)
        return running

    def _refuse_if_abandoned(self, log: Path) -> None:
        if self._abandoned:
            log.unlink(missing_ok=True)
            raise HarnessError("the start was given up", where=self._ref)

    def _children(self) -> tuple[Any, ...]:
        return tuple(set(multiprocessing.active_children()) - self._before)


def _end(children: tuple[Any, ...]) -> None:
    """Wait for processes that were told to end, and kill those that do not."""
    for child in children:
        child.join(_JOIN_SECONDS)
    for child in children:
        if child.is_alive():
            child.kill()
            child.join(_JOIN_SECONDS)
