"""A replica's own process: opens one model, and answers the requests that come in frames.

A thread reads, so that the end of the pipe is seen whatever the model is doing: a run that is gone, even by `kill -9`,
takes its replicas with it. Whatever libraries print goes to stderr.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import BinaryIO, Final

import anyio
import anyio.to_thread

from harness.contracts import Model, ModelInfo
from harness.errors import HarnessError
from harness.groups import ungrouped
from harness.limits.metered import try_once
from harness.replicas import wire
from harness.replicas.frames import GREETING, Frame, read
from harness.replicas.machine import accelerator
from harness.replicas.order import Order
from harness.types import Failure, Response

#: seconds from the end of the pipe until the process and all it started are killed
GRACE: Final = 5.0
#: what starts a replica: `python -c` leaves no main module for a library's own processes to import again
BOOT: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); from harness.replicas.child import main; main()"
)


@dataclass(slots=True)
class Line:
    """The two ends of the pipe, each with a thread of its own.

    Attributes:
        incoming: frames; None when the other side is gone.
        outgoing: pieces to write; empty ends it.
    """

    incoming: queue.SimpleQueue[Frame | None] = field(default_factory=queue.SimpleQueue[Frame | None])
    outgoing: queue.SimpleQueue[Sequence[bytes]] = field(default_factory=queue.SimpleQueue[Sequence[bytes]])

    def listen(self, source: BinaryIO) -> None:
        """Take in frames until the pipe ends; then the process has GRACE seconds."""
        while (frame := read(source)) is not None:
            self.incoming.put(frame)
        self.incoming.put(None)
        time.sleep(GRACE)
        end_group()

    def speak(self, target: BinaryIO) -> None:
        """Write what is put out."""
        with contextlib.suppress(OSError):
            while pieces := self.outgoing.get():
                target.writelines(pieces)
                target.flush()

    def send(self, frame: Frame) -> None:
        """Put out a frame. Raises TypeError or ValueError where its body is no JSON."""
        self.outgoing.put(frame.packed())


def main() -> None:
    """Serve one run, then end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run decides when its replicas end
    faulthandler.enable()
    source, target = _own_pipes()
    line = Line()
    threading.Thread(target=line.listen, args=(source,), daemon=True).start()
    writer = threading.Thread(target=line.speak, args=(target,), daemon=True)
    writer.start()
    line.outgoing.put([GREETING])
    try:
        _serve(line)
    finally:
        line.outgoing.put(())
        writer.join()


def end_group() -> None:
    """Kill this process and all it started; where it leads no group of its own, this process alone."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _own_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Standard input and output, taken away from everybody else: frames alone go through them."""
    source, target = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = open(1, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    return source, target


def _serve(line: Line) -> None:
    order = line.incoming.get()
    if order is None:
        return
    try:
        with ungrouped():
            anyio.run(_answer_all, Order.from_json(order.body), line)
    except HarnessError as error:
        line.send(Frame(kind="failed", body=wire.answer_out(error)))
    except OSError as error:
        line.send(Frame(kind="failed", body=wire.answer_out(HarnessError(f"the replica stopped: {error}"))))
    except Exception:  # noqa: BLE001 - a bug of the provider's, told where it is seen
        line.send(Frame(kind="failed", body={"bug": traceback.format_exc()}))


async def _answer_all(order: Order, line: Line) -> None:
    async with order.open() as model:
        clerk = _Clerk(model, line)
        line.send(Frame(kind="ready", body={"info": wire.info_out(model.info), "accelerator": accelerator()}))
        async with anyio.create_task_group() as tasks:
            waiting = partial(anyio.to_thread.run_sync, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1))
            while (frame := await waiting(line.incoming.get)) is not None:
                if frame.kind == "ask":
                    tasks.start_soon(clerk.answer, frame)
                else:
                    clerk.drop(frame.number)
            tasks.cancel_scope.cancel()


class _Clerk:
    """Answers requests, and says with an answer what is new about the model."""

    def __init__(self, model: Model, line: Line) -> None:
        self._model = model
        self._line = line
        self._told: ModelInfo = model.info
        self._under_way: dict[int, anyio.CancelScope] = {}

    async def answer(self, frame: Frame) -> None:
        with anyio.CancelScope() as scope:
            self._under_way[frame.number] = scope
            answer: Response | Failure | HarnessError
            try:
                answer = await try_once(self._model, wire.request_in(frame.body, frame.blobs))
            except HarnessError as error:
                answer = error
            finally:
                del self._under_way[frame.number]
            self._send(frame.number, {**wire.answer_out(answer), **self._news()})

    def drop(self, number: int) -> None:
        """Nobody waits for this answer any more."""
        if number in self._under_way:
            self._under_way[number].cancel()

    def _send(self, number: int, body: dict[str, object]) -> None:
        try:
            self._line.send(Frame(kind="answer", number=number, body=body))
        except (TypeError, ValueError) as error:
            failure = Failure(outcome="error", reason="not_json", message=str(error)[:500])
            self._line.send(Frame(kind="answer", number=number, body=wire.answer_out(failure)))

    def _news(self) -> dict[str, object]:
        info = self._model.info
        if info == self._told:
            return {}
        self._told = info
        return {"info": wire.info_out(info)}
