"""What a class that asks an API really got, seen before VLMEvalKit turns it into text.

`generate` of these classes never raises: it gives a fail string, and some give the error's own words, which would pass
for an answer. The truth is what `generate_inner` returns: a code, the text, and often the server's response.
"""

from __future__ import annotations

import threading
from typing import Any

from .faults import told
from .holding import LAST

_LONGEST_BODY = 1_000_000
_HEADERS = ("retry-after", "retry-after-ms", "location")


class Seen(threading.local):
    """The last inner call of each thread; empty where there was none."""

    facts: dict[str, Any] = {}  # noqa: RUF012 - replaced, never changed


def watched(model: Any) -> Any:
    """The model with its inner call watched (`model.harness_seen`), where it is a class that asks an API.

    Messages come in VLMEvalKit's own form already, so its look at them is left out: it would open a text that is the
    name of a file, and fetch one that is an address.
    """
    if hasattr(model, "preproc_content"):
        model.preproc_content = _as_it_is
    inner = getattr(model, "generate_inner", None)
    if inner is None or not getattr(model, "is_api", False):
        return model
    seen = Seen()

    def watching(*given: Any, **named: Any) -> Any:
        LAST.error = None
        try:
            result = inner(*given, **named)
        except Exception as error:
            seen.facts = {"raised": told(LAST.error or error)}  # an SDK makes an error of its own of it
            raise
        seen.facts = _facts(result) if LAST.error is None else {"raised": told(LAST.error)}
        return result

    model.generate_inner = watching
    model.harness_seen = seen
    return model


def _as_it_is(message: Any) -> Any:
    return message


def _is_triple(result: object) -> bool:
    return isinstance(result, tuple)


def _facts(result: Any) -> dict[str, Any]:
    if not _is_triple(result):
        return {}
    code, answer, log = result
    return {"code": code if isinstance(code, int) else -1, "empty": answer == "", **_response(log)}


def _response(log: Any) -> dict[str, Any]:
    """Status, body and waiting time of what `requests` or `httpx` gave; else the words of the log."""
    status = getattr(log, "status_code", None)
    if not isinstance(status, int):
        return {"log": str(log)[:2000]}
    headers = {name: log.headers[name] for name in _HEADERS if name in log.headers}
    return {"status": status, "body": str(log.text)[:_LONGEST_BODY], "headers": headers}
