"""What a reply says of something that went wrong."""

from __future__ import annotations

import traceback
from typing import Any

_LONGEST = 2000


class Refused(Exception):
    """A request that cannot be met; `kind` is a stable code, `facts` go along."""

    def __init__(self, kind: str, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.reply: dict[str, Any] = {"kind": kind, "message": message, **facts}


def told(error: BaseException) -> dict[str, Any]:
    """An exception as a reply's `error`: its type, its words, and the line that raised it."""
    if isinstance(error, Refused):
        return error.reply
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].filename}:{frames[-1].lineno}: {frames[-1].line}" if frames else ""
    message = str(error)[:_LONGEST]
    return {"kind": "raised", "type": type(error).__name__, "message": message, "place": place[:_LONGEST]}
