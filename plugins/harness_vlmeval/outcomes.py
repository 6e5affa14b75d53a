"""What a reply of the zoo means for a sample.

VLMEvalKit knows text only: its classes give a fail string, or the error's own words, where there is no answer. What the
child saw beside it decides: a server's status and body are read as every provider's here, so that a filter is a block.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from harness import Failure, HarnessError, Json, Response
from harness.http import Address, Reply, chat
from harness.http.status import ApiError, as_mapping, failure

from .child.secrets import redact

_PASSING = ("Timeout", "Connection", "ChunkedEncoding", "ProtocolError", "RemoteDisconnected")
_MEMORY = "out_of_memory"
_LONGEST = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who answered: the model as VLMEvalKit names it, its server where it has one, and whether it asks an API."""

    name: str
    server: str
    is_api: bool

    @property
    def address(self) -> Address:
        """For messages."""
        return Address(url=self.server or f"vlmeval/{self.name}")


def read_reply(reply: Mapping[str, Json], origin: Origin) -> Response | Failure:
    """The answer or the failure. Raises HarnessError if no request will work."""
    seen = as_mapping(reply.get("seen"))
    raised = as_mapping(reply.get("raised")) or as_mapping(seen.get("raised"))
    if raised:
        return _raised_failure(raised)
    status = seen.get("status")
    if isinstance(status, int) and status >= 300:
        return _status_failure(status, seen, origin)
    seconds = float(reply.get("seconds") or 0.0)
    completion = _read_completion(seen, origin, seconds)
    if isinstance(completion, Failure) and completion.reason != "wrong_shape":
        return completion
    if reply.get("failed"):  # a refusal or an empty answer that the class could not read, else an error
        if isinstance(completion, Response) and (not completion.text or "refusal" in completion.flags):
            return completion
        words = dict.fromkeys(str(each).strip() for each in (reply.get("text"), seen.get("log")) if each)
        message = _shorten(": ".join(words))
        return Failure(outcome="error", reason="fail_string", message=message, transient=origin.is_api)
    text = reply.get("text")
    if not isinstance(text, str):
        return Failure(outcome="error", reason="no_answer", message=f"the class gave a {reply.get('type')}")
    said, reasoning = chat.split_think(text)
    if isinstance(completion, Response):  # the class's own text, with what the server said of it
        return replace(completion, text=said, reasoning=completion.reasoning or reasoning)
    return Response(text=said, reasoning=reasoning, seconds=seconds)


def _raised_failure(raised: Mapping[str, Json]) -> Failure:
    if raised.get("kind") == "unreadable":
        said, reason = _shorten(str(raised.get("message"))), str(raised.get("reason"))
        return Failure(outcome="error", reason=reason, message=said, transient=bool(raised.get("transient")))
    kind = str(raised.get("type") or raised.get("kind"))
    message = f"{raised.get('message')} ({raised.get('place')})" if raised.get("place") else str(raised.get("message"))
    passing = any(word in kind for word in _PASSING)
    return Failure(outcome="error", reason=kind, message=_shorten(message), transient=passing and kind != _MEMORY)


def _status_failure(status: int, seen: Mapping[str, Json], origin: Origin) -> Failure:
    headers = {str(name): str(value) for name, value in as_mapping(seen.get("headers")).items()}
    error_body = ApiError.of(redact(str(seen.get("body"))).encode("utf-8", "replace"))
    try:
        return failure(status, headers, error_body, origin.address)
    except HarnessError as error:
        remedy = f"the class of {origin.name} reads its key and address from the environment, or from -M args"
        raise type(error)(error.what, where=error.where, remedy=remedy) from error


def _read_completion(seen: Mapping[str, Json], origin: Origin, seconds: float) -> Response | Failure | None:
    """A body in the form of Chat Completions, read; None where it is something else."""
    try:
        payload: Json = json.loads(str(seen.get("body") or "null"))
    except (ValueError, RecursionError):
        return None
    if "choices" not in as_mapping(payload):
        return None
    return chat.answer(Reply(payload=payload, where=origin.address, seconds=seconds))


def _shorten(message: str) -> str:
    line = " ".join(redact(message).split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
