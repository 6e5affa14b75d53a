"""The child's loop: distributes requests to threads.

A separate thread reads, so that the process ends when the parent closes the pipe, even during an answer. The main
thread loads models and runs local ones, one at a time, as libraries with signal handlers or thread state need. API
classes answer in a pool.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

from . import sets
from .calls import guard_http
from .models import OpenedModel, hello, load_zoo, no_grad, open_model
from .protocol import Channel, Refused, describe_error, take_pipes

Request = dict[str, Any]
Reply = dict[str, Any]
_MOST_THREADS = 256  # the parent's slots limit concurrent calls


def serve(reading: Any) -> None:
    """Serve until the parent closes the pipe; `reading` is the harness's `http/reading.py`, loaded by path."""
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C and ends this process
    Server(take_pipes(), reading).run()


class Server:
    """One channel, and at most one open model."""

    def __init__(self, channel: Channel, reading: Any) -> None:
        self._reading = reading
        self._channel = channel
        self._turns: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self._pool = ThreadPoolExecutor(_MOST_THREADS)
        self._opened: OpenedModel | None = None
        self._operations: dict[str, Callable[[Request], Reply]] = {
            "hello": lambda _: hello(),
            "list": lambda _: {"names": sorted(load_zoo())},
            "open": self._open,
            "generate": self._generate,
            "datasets": lambda _: {"names": sets.list_names()},
            "fetch": lambda request: sets.fetch(request["name"]),
            "build": lambda request: sets.build(request["name"], Path(request["folder"])),
            "evaluate": lambda request: sets.evaluate(
                request["name"],
                json.loads(Path(request["answers"]).read_text(encoding="utf-8")),
                Path(request["folder"]),
            ),
        }

    def run(self) -> None:
        """Run the main thread's work forever: the reader ends the process."""
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
        finally:  # also end child processes: a model may hold an accelerator
            if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
                os.killpg(os.getpid(), signal.SIGKILL)
            os._exit(0)

    def _answer(self, request: Request) -> None:
        try:
            operation = self._operations.get(str(request.get("op")))
            if operation is None:
                raise Refused("unknown_op", f"there is no operation {request.get('op')!r}")
            reply = {"ok": operation(request)}
        except BaseException as error:  # noqa: BLE001 - classes of the zoo even call sys.exit
            reply = {"error": describe_error(error)}
        self._channel.write({"id": request.get("id"), **reply})

    def _open(self, request: Request) -> Reply:
        guard_http(self._reading)
        self._opened = open_model(request["name"], request["arguments"])
        return self._opened.facts()

    def _generate(self, request: Request) -> Reply:
        """The reply to `generate`: `text`, `seconds`, whether it `failed`, and perhaps `seen` or `raised`."""
        if self._opened is None:
            raise Refused("not_open", "no model is open")
        model = self._opened.variant(request["settings"])
        if hasattr(model, "harness_seen"):
            model.harness_seen.facts = {}
        started = time.perf_counter()
        try:
            with no_grad():
                said = model.generate(request["message"])
        except BaseException as error:  # noqa: BLE001 - classes of the zoo even call sys.exit
            torch = sys.modules.get("torch")
            memory = torch is not None and isinstance(error, torch.cuda.OutOfMemoryError)
            raised = {**describe_error(error), **({"type": "out_of_memory"} if memory else {})}
            return {"raised": raised, "seconds": time.perf_counter() - started}
        text = cast("dict[str, Any]", said).get("prediction") if isinstance(said, dict) else said
        watched: Any = model
        seen: dict[str, Any] = watched.harness_seen.facts if hasattr(watched, "harness_seen") else {}
        if seen.get("empty") and not seen.get("code"):
            text = ""  # VLMEvalKit turns an empty answer into its fail string
        # no answer: the text is the fail string, the code is not 0, or an inner call raised

        fail = str(getattr(model, "fail_msg", "")).strip()
        failed = bool(fail and isinstance(text, str) and fail in text) or "raised" in seen or bool(seen.get("code"))
        return {
            "text": text if isinstance(text, str) else None,
            "type": type(text).__name__,
            "failed": failed,
            "seconds": time.perf_counter() - started,
            "seen": seen,
        }
