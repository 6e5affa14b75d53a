"""Lines of JSON on what were stdin and stdout; whatever VLMEvalKit prints goes to stderr."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any


class Channel:
    """Reads requests and writes replies, one JSON object a line; replies may be written from any thread."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading = os.fdopen(reading, "r", encoding="utf-8", newline="\n")
        self._writing = os.fdopen(writing, "w", encoding="utf-8", newline="\n")
        self._lock = threading.Lock()

    def requests(self) -> Iterator[dict[str, Any]]:
        """Requests until the parent hangs up."""
        for line in self._reading:
            yield json.loads(line)

    def write(self, reply: dict[str, Any]) -> None:
        """Send one reply."""
        line = json.dumps(reply) + "\n"  # ASCII: a lone surrogate in an answer cannot break the line
        with self._lock:
            self._writing.write(line)
            self._writing.flush()


def claim() -> Channel:
    """Take stdin and stdout for the channel; the process is left with an empty stdin, and stderr for its stdout."""
    channel = Channel(os.dup(0), os.dup(1))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - stands for the whole process
    sys.stdout = sys.stderr
    return channel
