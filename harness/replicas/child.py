"""A replica's own process: opens one model, and answers the requests that come in frames.

A thread reads, so that the end of the pipe is seen whatever the model is doing: a run that is gone, even by `kill -9`,
takes its replicas with it. Whatever libraries print goes to stderr.

On another machine nobody ends what this process started, so it leads a group of its own and ends that itself.
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
from harness.errors import HarnessError, unwrap_groups
from harness.limits.metered import try_once
from harness.replicas import wire
from harness.replicas.placement import accelerator
from harness.replicas.surroundings import Surroundings, list_versions
from harness.replicas.wire import GREETING, Frame, ReplicaSpec, read_frame
from harness.subprocesses import GRACE
from harness.types import Failure, Response

#: what starts a replica: `python -c` leaves no main module for a library's own processes to import again
BOOT: Final = (
    "import json, sys; v = sys.version_info; "
    "v > (3, 11) or sys.exit('Python %d.%d is too old, the harness needs 3.11' % v[:2]); "
    "sys.path[:] = json.loads(sys.argv.pop(1)) or sys.path; from harness.replicas.child import main; main()"
)


@dataclass(slots=True)
class Pipes:
    """The pipes from and to the run, each with a thread of its own.

    Attributes:
        incoming: frames; None when the other side is gone.
        outgoing: pieces to write; empty ends it.
    """

    incoming: queue.SimpleQueue[Frame | None] = field(default_factory=queue.SimpleQueue[Frame | None])
    outgoing: queue.SimpleQueue[Sequence[bytes]] = field(default_factory=queue.SimpleQueue[Sequence[bytes]])

    def read(self, source: BinaryIO) -> None:
        """Take in frames until the pipe ends; then the process and all it started have GRACE seconds."""
        while (frame := read_frame(source)) is not None:
            self.incoming.put(frame)
        self.incoming.put(None)
        time.sleep(GRACE)
        end_group()

    def write(self, target: BinaryIO) -> None:
        """Write what is put out."""
        with contextlib.suppress(OSError):
            while pieces := self.outgoing.get():
                target.writelines(pieces)
                target.flush()

    def send(self, frame: Frame) -> None:
        """Put out a frame. Raises TypeError or ValueError if its body is not JSON."""
        self.outgoing.put(frame.pack())


def main() -> None:
    """Serve one run, then end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run decides when its replicas end
    if os.getpgrp() != os.getpid():
        os.setsid()
    faulthandler.enable()
    # standard input and output are taken away from all libraries: only frames go through them
    source, target = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = open(1, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    pipes = Pipes()
    threading.Thread(target=pipes.read, args=(source,), daemon=True).start()
    writer = threading.Thread(target=pipes.write, args=(target,), daemon=True)
    writer.start()
    pipes.outgoing.put([GREETING])
    elsewhere = False
    try:
        elsewhere = _serve(pipes)
    finally:
        pipes.outgoing.put(())
        writer.join()
    if elsewhere:
        target.close()
        end_group()


def end_group() -> None:
    """Kill this process and all it started; where it leads no group of its own, this process alone."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _serve(pipes: Pipes) -> bool:
    """Open the model and answer; whether this is another machine than the run's."""
    first = pipes.incoming.get()
    if first is None:
        return False
    spec, around = ReplicaSpec.from_json(first.body["spec"]), Surroundings.from_json(first.body["around"])
    try:
        around.enter()
        with unwrap_groups():
            anyio.run(_answer_requests, spec, around, pipes)
    except HarnessError as error:
        pipes.send(Frame(kind="failed", body=wire.answer_to_json(error)))
    except OSError as error:
        pipes.send(Frame(kind="failed", body=wire.answer_to_json(HarnessError(f"the replica stopped: {error}"))))
    except Exception:  # noqa: BLE001 - a bug of the provider's: reported by the run
        pipes.send(Frame(kind="failed", body={"bug": traceback.format_exc()}))
    return around.elsewhere


async def _answer_requests(spec: ReplicaSpec, around: Surroundings, pipes: Pipes) -> None:
    async with spec.open(machine=around.machine) as model:
        handler = RequestHandler(model, pipes)
        found = {"accelerator": accelerator(), "versions": list_versions()}
        pipes.send(Frame(kind="ready", body={"info": wire.info_to_json(model.info), **found}))
        async with anyio.create_task_group() as tasks:
            waiting = partial(anyio.to_thread.run_sync, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1))
            while (frame := await waiting(pipes.incoming.get)) is not None:
                if frame.kind == "ask":
                    tasks.start_soon(handler.answer, frame)
                else:
                    handler.drop(frame.number)
            tasks.cancel_scope.cancel()


class RequestHandler:
    """Answers requests; an answer carries the model's info when that has changed."""

    def __init__(self, model: Model, pipes: Pipes) -> None:
        self._model = model
        self._pipes = pipes
        self._sent_info: ModelInfo = model.info
        self._under_way: dict[int, anyio.CancelScope] = {}

    async def answer(self, frame: Frame) -> None:
        """Answer the request of a frame."""
        with anyio.CancelScope() as scope:
            self._under_way[frame.number] = scope
            answer: Response | Failure | HarnessError
            try:
                images = await wire.collect_images(frame.body, frame.blobs)
                answer = await try_once(self._model, wire.request_from_json(frame.body, images))
            except wire.NotShared as lack:
                self._pipes.send(Frame(kind="answer", number=frame.number, body={"not_shared": str(lack)}))
                return
            except HarnessError as error:
                answer = error
            finally:
                del self._under_way[frame.number]
            body, info = wire.answer_to_json(answer), self._model.info
            if info != self._sent_info:
                self._sent_info = info
                body = {**body, "info": wire.info_to_json(info)}
            try:
                self._pipes.send(Frame(kind="answer", number=frame.number, body=body))
            except (TypeError, ValueError) as error:
                failure = Failure(outcome="error", reason="not_json", message=str(error)[:500])
                self._pipes.send(Frame(kind="answer", number=frame.number, body=wire.answer_to_json(failure)))

    def drop(self, number: int) -> None:
        """The run does not wait for this answer any more."""
        if number in self._under_way:
            self._under_way[number].cancel()
