"""Runs VLMEvalKit's own command line with one more model in its table, which is asked over stdin and stdout.

Started by path in the interpreter that has VLMEvalKit. The harness may not be installed there: nothing here imports it.
Arguments: the model's name, then VLMEvalKit's flags. Lines of JSON; whatever VLMEvalKit prints goes to stderr.

    ← {"id": 1, "turns": [{"role": "user", "content": [{"type": "text", "value": "…"}]}]}
    → {"id": 1, "text": "…"}                    or {"id": 1} where there is no answer
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

FAILED = "Failed to obtain answer via API."  # VLMEvalKit's own words: by these it knows a sample without an answer


class Wire:
    """Questions out, answers in; from any thread."""

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
        """Hand out answers; end this process when the harness hangs up."""
        for line in self._reading:
            answer = json.loads(line)
            self._waiting.pop(answer["id"]).set_result(answer.get("text") or FAILED)
        if os.getpgrp() == os.getpid():
            os.killpg(os.getpid(), signal.SIGKILL)
        os._exit(1)


class Ours:
    """The model as VLMEvalKit's runners want one: a class that asks an API, without a base class."""

    is_api = True
    INTERLEAVE = True
    fail_msg = FAILED

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def generate(self, message: Any, dataset: str | None = None) -> str:  # noqa: ARG002 - VLMEvalKit's signature
        """Answer one turn; a part may carry a role of its own."""
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

    chat_inner = chat  # looked for, and never called


def _items(content: Any) -> list[dict[str, Any]]:
    parts = cast("list[str | dict[str, Any]]", content if isinstance(content, list) else [content])
    return [{"type": "text", "value": part} if isinstance(part, str) else dict(part) for part in parts]


def main() -> None:
    """Run their command line, and say how it ended."""
    here = Path(__file__).resolve().parent
    # else this folder's modules could stand in for others of the same name
    sys.path[:] = [place for place in sys.path if Path(place or ".").resolve() != here]
    with suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the harness's, which ends this process
    wire = Wire()
    if importlib.util.find_spec("vlmeval") is None:
        wire.say({"ended": "not_installed"})
        return
    threading.Thread(target=wire.listen, daemon=True).start()
    wire.say({"ended": _run(wire, sys.argv[1], sys.argv[2:])})


def _ours(wire: Wire, **_: Any) -> Ours:
    return Ours(wire)


def _run(wire: Wire, name: str, flags: list[str]) -> str:
    # the table is shared with the runners by reference: it is added to, never replaced
    importlib.import_module("vlmeval.config").supported_VLM[name] = functools.partial(_ours, wire)
    runner = importlib.import_module("vlmeval.run")
    sys.argv = ["vlmeval", "--model", name, *flags]
    try:
        runner.main()
    except SystemExit as error:  # argparse, which has said why
        return "done" if not error.code else f"status {error.code}"
    return "done"


if __name__ == "__main__":
    main()
