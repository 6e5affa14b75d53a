"""Runs VLMEvalKit's own command line with one more model, which it asks over stdin and stdout.

Started by path in VLMEvalKit's interpreter, which may lack the harness: nothing here imports it. Arguments: the model's
name, then VLMEvalKit's flags. Messages are lines of JSON; VLMEvalKit's own output goes to stderr.

    ← {"id": 1, "turns": [{"role": "user", "content": [{"type": "text", "value": "…"}]}]}
    → {"id": 1, "text": "…"}                    or {"id": 1} without an answer
    ← {"ended": "done"}                         or "not_installed", or "status 2"
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import itertools
import json
import os
import signal
import sys
import threading
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

FAILED = "Failed to obtain answer via API."  # VLMEvalKit's own words for a sample without an answer


class Wire:
    """Sends questions and receives answers; thread-safe."""

    def __init__(self) -> None:
        self._reading = os.fdopen(os.dup(0), "r", encoding="utf-8", newline="\n")
        self._writing = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Future[str]] = {}
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(2, 1)
        sys.stdout = sys.stderr

    def ask(self, turns: list[dict[str, Any]]) -> str:
        """The answer, or VLMEvalKit's fail string."""
        number, future = next(self._numbers), Future[str]()
        self._waiting[number] = future
        self.say({"id": number, "turns": turns})
        return future.result()

    def say(self, message: dict[str, Any]) -> None:
        """Send one line."""
        with self._lock:
            self._writing.write(json.dumps(message) + "\n")
            self._writing.flush()

    def listen(self) -> None:
        """Pass on answers; end this process when the harness closes the pipe."""
        for line in self._reading:
            answer = json.loads(line)
            self._waiting.pop(answer["id"]).set_result(answer.get("text") or FAILED)
        if os.getpgrp() == os.getpid():
            os.killpg(os.getpid(), signal.SIGKILL)
        os._exit(1)


class Ours:
    """The model for VLMEvalKit's runners: an API class without a base class."""

    is_api = True
    INTERLEAVE = True
    fail_msg = FAILED

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def generate(self, message: Any, dataset: str | None = None) -> str:  # noqa: ARG002 - VLMEvalKit's signature
        """Answer one turn; each part may name a role."""
        turns: list[dict[str, Any]] = []
        for item in _items(message):
            role = str(item.get("role", "user"))
            if not turns or turns[-1]["role"] != role:
                turns.append({"role": role, "content": []})
            turns[-1]["content"].append({"type": str(item["type"]), "value": str(item["value"])})
        return self._wire.ask(turns)

    def chat(self, messages: list[dict[str, Any]], dataset: str | None = None) -> str:  # noqa: ARG002
        """Answer a conversation."""
        turns = [{"role": str(turn["role"]), "content": _items(turn["content"])} for turn in messages]
        return self._wire.ask(turns)

    chat_inner = chat  # must exist, never called


def _items(content: Any) -> list[dict[str, Any]]:
    parts = cast("list[str | dict[str, Any]]", content if isinstance(content, list) else [content])
    return [{"type": "text", "value": part} if isinstance(part, str) else dict(part) for part in parts]


def main() -> None:
    """Run VLMEvalKit's command line and report how it ended."""
    here = Path(__file__).resolve().parent
    # else this folder's modules could shadow others of the same name

    sys.path[:] = [place for place in sys.path if Path(place or ".").resolve() != here]
    with suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the harness handles Ctrl-C and ends this process
    wire = Wire()
    if importlib.util.find_spec("vlmeval") is None:
        wire.say({"ended": "not_installed"})
        return
    threading.Thread(target=wire.listen, daemon=True).start()
    wire.say({"ended": _run(wire, sys.argv[1], sys.argv[2:])})


def _ours(wire: Wire, **_: Any) -> Ours:
    return Ours(wire)


def _run(wire: Wire, name: str, flags: list[str]) -> str:
    # the runners share the table by reference: add to it, never replace it
    importlib.import_module("vlmeval.config").supported_VLM[name] = functools.partial(_ours, wire)
    runner = importlib.import_module("vlmeval.run")
    sys.argv = ["vlmeval", "--model", name, *flags]
    try:
        runner.main()
    except SystemExit as error:  # argparse has printed why
        return "done" if not error.code else f"status {error.code}"
    return "done"


if __name__ == "__main__":
    main()
