"""A process that runs the units of a sweep, one after the other: `python -m harness.cli.sweep_worker`.

It reads an order a line, `{"args": ["run", …], "log": FILE}`, runs that command, and answers `{"code": 0}`. Starting a
process and loading its plugins takes seconds, and a run itself may take less. What the command prints goes to the log.
When stdin closes, the command in work is ended as by Ctrl-C, and so is the process: it never outlives its sweep.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sys
import threading
from queue import SimpleQueue
from typing import Any, Final

_MOST_MEMORY: Final = 2 << 20  #: KiB; a process that has held more is not used again


def main() -> None:
    """Run orders until stdin closes."""
    answers = os.dup(1)
    os.set_inheritable(answers, False)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    orders: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
    threading.Thread(target=_read_orders, args=(orders,), daemon=True).start()
    while (order := orders.get()) is not None:
        code = _run(order["args"], order["log"])
        used_up = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > _MOST_MEMORY
        with contextlib.suppress(OSError):
            os.write(answers, json.dumps({"code": code, "used_up": used_up}).encode() + b"\n")
    os._exit(0)  # no thread of a plugin keeps it


def _read_orders(orders: SimpleQueue[dict[str, Any] | None]) -> None:
    for line in sys.stdin.buffer:
        order = json.loads(line)
        if order.get("stop"):
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            orders.put(order)
    orders.put(None)
    os.kill(os.getpid(), signal.SIGTERM)


def _run(args: list[str], log: str) -> int:
    """Run one command, its output in the log."""
    from . import cli
    from .ending import exit_code

    streams = (sys.stdout, sys.stderr)
    kept = os.dup(2)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)
    sys.argv = ["harness", *args]  # run.json records it, and messages name it
    try:
        return exit_code(lambda: cli.main(args, prog_name="harness", standalone_mode=False), args)
    finally:
        for stream in streams:
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os.dup2(kept, 2)
        os.close(kept)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)


if __name__ == "__main__":
    main()
