"""The loop of the child: who does which request.

A thread of its own reads, so that a parent that hangs up ends the process even in the middle of an answer. The main
thread loads models and runs local ones, one at a time: libraries that set signal handlers or keep state for each thread
want it. Classes that ask an API answer in a pool.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from . import sets
from .asking import ask
from .channel import Channel, claim
from .faults import Refused, told
from .holding import hold
from .opening import Opened, open_model
from .packages import hello, names

Request = dict[str, Any]
Reply = dict[str, Any]
_MOST_THREADS = 256  # the parent's slots say how many calls there are at once


def serve(reading: Any) -> None:
    """Serve until the parent closes or hangs up; `reading` is the harness's `http/reading.py`, loaded by its path."""
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, who ends this process
    Server(claim(), reading).run()


class Server:
    """One channel, and at most one open model."""

    def __init__(self, channel: Channel, reading: Any) -> None:
        self._reading = reading
        self._channel = channel
        self._turns: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self._pool = ThreadPoolExecutor(_MOST_THREADS)
        self._opened: Opened | None = None
        self._operations: dict[str, Callable[[Request], Reply]] = {
            "hello": lambda _: hello(),
            "list": lambda _: {"names": names()},
            "open": self._open,
            "generate": self._generate,
            "datasets": lambda _: {"names": sets.names()},
            "fetch": lambda request: sets.fetch(request["name"]),
            "build": _build,
            "evaluate": _evaluate,
        }

    def run(self) -> None:
        """Do what the main thread has to do, for ever: the reader ends the process."""
        threading.Thread(target=self._read, daemon=True).start()
        while True:
            self._answer(self._turns.get())

    def _read(self) -> None:
        try:
            for request in self._channel.requests():
                if request.get("op") == "close":
                    break
                if request.get("op") == "generate" and self._opened is not None and self._opened.is_api:
                    self._pool.submit(self._answer, request)
                else:
                    self._turns.put(request)
        finally:
            _end()

    def _answer(self, request: Request) -> None:
        try:
            reply = {"ok": self._do(request)}
        except BaseException as error:  # noqa: BLE001 - classes of the zoo even call sys.exit
            reply = {"error": told(error)}
        self._channel.write({"id": request.get("id"), **reply})

    def _do(self, request: Request) -> Reply:
        operation = self._operations.get(str(request.get("op")))
        if operation is None:
            raise Refused("unknown_op", f"there is no operation {request.get('op')!r}")
        return operation(request)

    def _open(self, request: Request) -> Reply:
        hold(self._reading)
        self._opened = open_model(request["name"], request["arguments"])
        return self._opened.facts()

    def _generate(self, request: Request) -> Reply:
        if self._opened is None:
            raise Refused("not_open", "no model is open")
        return ask(self._opened, request["message"], request["settings"])


def _build(request: Request) -> Reply:
    return sets.build(request["name"], Path(request["folder"]))


def _evaluate(request: Request) -> Reply:
    answers = json.loads(Path(request["answers"]).read_text(encoding="utf-8"))
    return sets.evaluate(request["name"], answers, Path(request["folder"]))


def _end() -> None:
    """End this process and those it started: nobody listens any more, and a model may hold an accelerator."""
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(0)
