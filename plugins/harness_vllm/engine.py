"""Starts vLLM's asynchronous engine, ends its processes, and explains its errors.

The engine starts in a thread, since a large model takes a minute. If a start is cancelled, its processes end too.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import tempfile
import threading
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread

from harness import Failure, HarnessError
from harness_vllm.children import redirect_children

_JOIN_SECONDS: Final = 10.0
#: Time for the engine to end its workers and free shared memory; vLLM's 5 seconds are too short.
_GRACE_SECONDS: Final = 20.0
_MEMORY: Final = re.compile(
    r"out of memory|free memory|allocate memory|kv cache|memory utilization|available memory", re.IGNORECASE
)
_CONTEXT: Final = re.compile(r"maximum (context|model) length", re.IGNORECASE)
_RAISED: Final = re.compile(
    r"^(?:\(.*?\) )?(?:\w+ [\d-]+ [\d:]+ \[.*?\] )?((?:\w+\.)*\w*(?:Error|Exception): .+)$", re.MULTILINE
)
_CAUGHT: Final = re.compile(r"initialization failed|engine core proc|cancelled", re.IGNORECASE)
_TAKEN: Final = re.compile(r"less than desired", re.IGNORECASE)
_GIVE_MORE: Final = (
    "-M gpu_memory_utilization=0.95, a smaller -M max_model_len or -M max_num_seqs, "
    "or more GPUs by -M tensor_parallel=N"
)
_TAKE_LESS: Final = (
    "other processes use part of the memory: end them, or take a smaller share with -M gpu_memory_utilization=0.5"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningEngine:
    """A running engine.

    Attributes:
        ref: the model, `vllm/NAME`.
        llm: vLLM's AsyncLLM.
        config: vLLM's complete configuration.
        log: file with its processes' output.
        children: its direct child processes.
    """

    ref: str
    llm: Any
    config: Any
    log: Path
    children: tuple[Any, ...]

    async def stop(self) -> None:
        """End its processes and wait for them. Keeps the log if the engine has died."""
        died = self.llm.errored
        if self.llm.output_handler is not None:
            self.llm.output_handler.cancel()  # else it may report the end as a death
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self.stop_here)
        if not died:
            self.log.unlink(missing_ok=True)

    def stop_here(self) -> None:
        """The same in the calling thread, without the log."""
        self.llm.shutdown(timeout=_GRACE_SECONDS)
        _end_processes(self.children)


class EngineStart:
    """One start of an engine.

    Args:
        ref: the model, for errors.
        arguments: arguments of vLLM's AsyncEngineArgs.
    """

    def __init__(self, ref: str, arguments: dict[str, Any]) -> None:
        self._ref = ref
        self._arguments = arguments
        self._lock = threading.Lock()
        self._abandoned = False
        self._before = set(multiprocessing.active_children())

    async def configure(self) -> Any:
        """vLLM's configuration for this model. Raises HarnessError if vLLM cannot run it."""

        def create() -> Any:
            try:
                arguments = import_module("vllm.engine.arg_utils").AsyncEngineArgs(**self._arguments)
                return arguments.create_engine_config()
            except Exception as error:
                raise start_error(self._ref, error) from error

        return await anyio.to_thread.run_sync(create, abandon_on_cancel=True)

    async def run(self, config: Any) -> RunningEngine:
        """Start the engine. Raises HarnessError if it does not start."""
        try:
            return await anyio.to_thread.run_sync(self._run, config, abandon_on_cancel=True)
        except anyio.get_cancelled_exc_class():
            with self._lock:
                self._abandoned = True
                _end_processes(self._children())
            raise

    def _run(self, config: Any) -> RunningEngine:
        handle, name = tempfile.mkstemp(prefix="harness-vllm-", suffix=".log")
        os.close(handle)
        log = Path(name)
        engines = import_module("vllm.v1.engine.async_llm").AsyncLLM
        try:
            with redirect_children(log):
                llm = engines.from_vllm_config(config, disable_log_stats=True)
        except Exception as error:
            _end_processes(self._children())
            self._raise_if_abandoned(log)
            raise start_error(self._ref, error, log) from error
        running = RunningEngine(ref=self._ref, llm=llm, config=config, log=log, children=self._children())
        with self._lock:
            if self._abandoned:
                running.stop_here()
                self._raise_if_abandoned(log)
        return running

    def _raise_if_abandoned(self, log: Path) -> None:
        if self._abandoned:
            log.unlink(missing_ok=True)
            raise HarnessError("the start was cancelled", where=self._ref)

    def _children(self) -> tuple[Any, ...]:
        return tuple(set(multiprocessing.active_children()) - self._before)


def _end_processes(children: tuple[Any, ...]) -> None:
    """Wait for processes to end, and kill those that do not."""
    for child in children:
        child.join(_JOIN_SECONDS)
    for child in children:
        if child.is_alive():
            child.kill()
            child.join(_JOIN_SECONDS)


def start_error(ref: str, error: Exception, log: Path | None = None) -> HarnessError:
    """Why a model cannot run, from the error raised here and the engine's log."""
    cause = _first_raised(log)
    if not cause:  # pydantic adds lines around the raised message
        text = str(error).strip()
        inner = re.search(r"Value error, (.+?)(?: \[type=|$)", text, re.DOTALL)
        lines = (inner[1] if inner else text).strip().splitlines()
        cause = lines[0] if lines else type(error).__name__
        if lines and not inner:
            cause = f"{type(error).__name__}: {cause[:300]}"
    written = f"; the engine's log is {log}" if log else ""
    if _MEMORY.search(cause):
        advice = _TAKE_LESS if _TAKEN.search(cause) else _GIVE_MORE
        return HarnessError(f"there is too little memory for this model: {cause}", where=ref, remedy=advice + written)
    other = f"--model hf/{ref.partition('/')[2]} runs it, if transformers supports it"
    return HarnessError(f"vLLM cannot run this model: {cause}", where=ref, remedy=other + written)


def death_error(ref: str, log: Path) -> HarnessError:
    """The error of an engine that ended unexpectedly."""
    cause = _first_raised(log)
    return HarnessError(
        f"vLLM's engine has died{f': {cause}' if cause else ''}",
        where=ref,
        remedy=f"give the same command again: it continues from here; the engine's log is {log}",
    )


def to_failure(error: BaseException) -> Failure:
    """The Failure for an error that vLLM raised on one request only."""
    cause = error.__cause__ if type(error).__name__ == "EngineGenerateError" and error.__cause__ else error
    message = str(cause)
    reason = "context_length" if _CONTEXT.search(message) else type(cause).__name__
    return Failure(outcome="error", reason=reason, message=message[:300])


def _first_raised(log: Path | None) -> str:
    """The first exception in a log that does not report another one; empty if none."""
    text = log.read_text(encoding="utf-8", errors="replace") if log and log.is_file() else ""
    return next((found[:300] for found in _RAISED.findall(text) if not _CAUGHT.search(found)), "")
