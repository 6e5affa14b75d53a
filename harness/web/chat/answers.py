"""From an answer to a chat completion: whole, or as the one sequence of events that a stream is."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Mapping

from harness.types import Failure, Json, Response, Usage
from harness.web.chat.refused import of_failure


def completion(result: Response | Failure, model: str) -> dict[str, Json]:
    """A chat completion.

    A block of the answer is finish reason `content_filter` with the partial text, a token limit is `length`, and the
    model's own refusal stands in `refusal` as well as in `content`, for clients that read only that.

    Raises:
        Refused: there is no completion: the failure is another than `output_blocked`.
    """
    if isinstance(result, Failure) and result.outcome != "output_blocked":
        raise of_failure(result)
    return {
        "id": f"chatcmpl-{secrets.token_hex(12)}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [{"index": 0, "message": _message(result), "logprobs": None, "finish_reason": _finish(result)}],
        "usage": _usage(result.usage),
    }


def _message(result: Response | Failure) -> dict[str, Json]:
    message: dict[str, Json] = {"role": "assistant", "content": result.text, "refusal": None}
    if isinstance(result, Response):
        if "refusal" in result.flags:
            message["refusal"] = result.text
        if result.reasoning:
            message["reasoning_content"] = result.reasoning
    return message


def _finish(result: Response | Failure) -> str:
    if isinstance(result, Failure):
        return "content_filter"
    return "length" if "truncated" in result.flags else "stop"


def _usage(usage: Usage) -> dict[str, Json]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def events(whole: Mapping[str, Json], *, usage: bool) -> Iterator[bytes]:
    """A completion as server-sent events: the message, how it ended, the tokens where they are asked for, the end."""
    head = {name: whole[name] for name in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    choice = whole["choices"][0]
    delta = {name: value for name, value in choice["message"].items() if value is not None}
    yield _event(head | {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}]})
    ended: dict[str, Json] = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": choice["finish_reason"]}
    yield _event(head | {"choices": [ended]})
    if usage:
        yield _event(head | {"choices": [], "usage": whole["usage"]})
    yield b"data: [DONE]\n\n"


def encoded(payload: Json) -> bytes:
    """JSON in ASCII: an answer may hold what is no text in any encoding, such as half of a surrogate pair."""
    return json.dumps(payload, allow_nan=False).encode("ascii")


def _event(payload: Json) -> bytes:
    return b"data: " + encoded(payload) + b"\n\n"
