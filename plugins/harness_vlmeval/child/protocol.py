"""Requests and replies: lines of JSON on the original stdin and stdout; VLMEvalKit's prints go to stderr.

Keys are never shown or recorded.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import traceback
from collections.abc import Iterator
from typing import Any

_LONGEST = 2000
_WORDS = frozenset({"key", "keys", "apikey", "token", "secret", "authorization", "password", "ak", "sk"})
_SHORTEST = 6  # a shorter key is a placeholder; redacting it would damage words
_SAID = re.compile(r"(?i)(api[ _-]?key\W{1,4}|bearer |\bsk-)[^\s'\",;]{4,}")  # VLMEvalKit logs keys in clear


class Refused(Exception):
    """A refused request; `kind` is a stable code, `facts` are sent along."""

    def __init__(self, kind: str, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.reply: dict[str, Any] = {"kind": kind, "message": message, **facts}


def describe_error(error: BaseException) -> dict[str, Any]:
    """An exception as a reply's `error`: its type, its message, and the line that raised it."""
    if isinstance(error, Refused):
        return error.reply
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].filename}:{frames[-1].lineno}: {frames[-1].line}" if frames else ""
    message = str(error)[:_LONGEST]
    return {"kind": "raised", "type": type(error).__name__, "message": message, "place": place[:_LONGEST]}


class Channel:
    """Reads requests and writes replies, one JSON object a line; replies may be written from any thread."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading = os.fdopen(reading, "r", encoding="utf-8", newline="\n")
        self._writing = os.fdopen(writing, "w", encoding="utf-8", newline="\n")
        self._lock = threading.Lock()

    def requests(self) -> Iterator[dict[str, Any]]:
        """Requests until the parent closes the pipe."""
        for line in self._reading:
            yield json.loads(line)

    def write(self, reply: dict[str, Any]) -> None:
        """Send one reply."""
        line = json.dumps(reply) + "\n"  # ASCII: a lone surrogate in an answer cannot break the line
        with self._lock:
            self._writing.write(line)
            self._writing.flush()


def take_pipes() -> Channel:
    """Take stdin and stdout for the channel; the process gets an empty stdin, and its stdout goes to stderr."""
    channel = Channel(os.dup(0), os.dup(1))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - open for the whole process
    sys.stdout = sys.stderr
    return channel


def is_secret(name: str) -> bool:
    """Whether an argument or a variable of this name holds a key."""
    return not _WORDS.isdisjoint(name.casefold().split("_")) or name == "app_code"


def redact(text: str) -> str:
    """The text without this environment's keys, and without anything named or shaped like a key."""
    for value in (os.environ[name].strip() for name in os.environ if is_secret(name)):
        text = text.replace(value, "***") if len(value) >= _SHORTEST else text
    return _SAID.sub(r"\1***", text)
