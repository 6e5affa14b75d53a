"""Builds requests for the Messages API and reads its answers: text, thinking, and how it ended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile

from harness import Failure, Image, Json, Message, Request, Response, Text, Usage
from harness.http import ImageBytes, Reply
from harness.http.chat import split_think
from harness.http.status import ApiError, as_count, as_list, as_mapping, as_text, failure

#: stop reasons of an incomplete answer; a paused turn waits for server tools, and none is offered
_CUT = frozenset({"max_tokens", "model_context_window_exceeded", "pause_turn"})
#: error type -> its HTTP status, for an error inside a success status, or of a request in a batch
STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}


def system_text(request: Request) -> str:
    """The text of the leading system messages."""
    texts = (part.text for message in _take_system(request) for part in message.content if isinstance(part, Text))
    return "\n\n".join(text for text in texts if text.strip())


def turns(request: Request) -> list[Json]:
    """The turns, for `harness.http.encode`: parts keep their order, images are not copied.

    Blank texts and empty turns are left out: the API refuses them.

    Args:
        request: its images are open.
    """
    found: list[Json] = []
    for message in request.messages[len(_take_system(request)) :]:
        parts = [part for part in message.content if isinstance(part, Image) or part.text.strip()]
        if len(parts) == 1 and isinstance(parts[0], Text):
            found.append({"role": message.role, "content": parts[0].text})
            continue
        blocks: list[Json] = []
        for part in parts:
            if isinstance(part, Text):
                blocks.append({"type": "text", "text": part.text})
            else:
                seen = part.opened
                source = {"type": "base64", "media_type": seen.mime, "data": ImageBytes("", seen.encoded)}
                blocks.append({"type": "image", "source": source})
        if blocks:
            found.append({"role": message.role, "content": blocks})
    return [*found, {"role": "assistant", "content": request.prefill}] if request.prefill else found


def has_stray_system(request: Request) -> bool:
    """Whether the API cannot take a system message: it is not at the start, or holds an image."""
    leading = _take_system(request)
    later = any(message.role == "system" for message in request.messages[len(leading) :])
    return later or any(isinstance(part, Image) for message in leading for part in message.content)


def has_prefill(request: Request) -> bool:
    """Whether the request ends with the start of an answer."""
    return bool(request.prefill) or request.messages[-1].role == "assistant"


def _take_system(request: Request) -> tuple[Message, ...]:
    return tuple(takewhile(lambda message: message.role == "system", request.messages))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One parsed message; its stop reason is not yet interpreted.

    Attributes:
        text: all text blocks, or the JSON of the tool that replaces structured output.
        reasoning: all thinking blocks; may be empty although the model thought.
        thought: whether there is a thinking block.
        finish: the stop reason.
        why: the details of a refusal.
        usage: token counts.
        model: the name the server reports.
        seconds: duration of the call.
    """

    text: str
    reasoning: str
    thought: bool
    finish: str
    why: str
    usage: Usage
    model: str
    seconds: float

    @property
    def cut(self) -> bool:
        """Whether the answer is incomplete."""
        return self.finish in _CUT

    def outcome(self, notes: tuple[str, ...]) -> Response | Failure:
        """The answer; a classifier's stop blocks the prompt if there is no text yet, else the answer."""
        if self.finish == "refusal":
            return Failure(
                outcome="output_blocked" if self.text or self.thought else "input_blocked",
                reason="refusal",
                message=self.why,
                text=self.text,
                usage=self.usage,
                model=self.model,
            )
        return Response(
            text=self.text,
            reasoning=self.reasoning,
            flags=frozenset({"truncated"}) if self.cut else frozenset(),
            usage=self.usage,
            model=self.model,
            seconds=self.seconds,
            notes=notes,
        )


def read_answer(reply: Reply, *, tool: str = "", think_tags: bool = True) -> Answer | Failure:
    """Read a message.

    JSON of another shape, or without a stop reason, is a transient error: gateways send it when the server behind
    them fails.

    Args:
        reply: the parsed body.
        tool: name of the tool that replaces structured output; empty if none was offered.
        think_tags: split a leading `<think>…</think>` off as reasoning.

    Raises:
        HarnessError: the body holds an error that every request would meet.
    """
    payload = as_mapping(reply.payload)
    if payload.get("type") == "error" or payload.get("error"):
        error = ApiError.read(payload)
        status = next((STATUSES[code] for code in error.codes if code in STATUSES), 500)
        return failure(status, {}, error, reply.where)
    content, finish = payload.get("content"), as_text(payload.get("stop_reason"))
    if not isinstance(content, list) or not finish:
        what = f"not a message: {'no content' if finish else 'no stop_reason'}"
        return Failure(outcome="error", reason="wrong_shape", message=what, transient=True)
    blocks = [as_mapping(block) for block in as_list(content)]
    called = [each for each in blocks if tool and each.get("type") == "tool_use" and each.get("name") == tool]
    said = json.dumps(called[0].get("input"), ensure_ascii=False) if called else _join(blocks, "text")
    text, tagged = split_think(said) if think_tags else (said, "")
    details = as_mapping(payload.get("stop_details"))
    why = ": ".join(filter(None, (as_text(details.get("category")), as_text(details.get("explanation")))))
    return Answer(
        text=text,
        reasoning=_join(blocks, "thinking") or tagged,
        thought=any(block.get("type") in ("thinking", "redacted_thinking") for block in blocks),
        finish=finish,
        why=reply.where.redact(why),
        usage=_read_usage(payload.get("usage")),
        model=as_text(payload.get("model")),
        seconds=reply.seconds,
    )


def _join(blocks: list[Mapping[str, Json]], kind: str) -> str:
    return "".join(as_text(block.get(kind)) for block in blocks if block.get("type") == kind)


def _read_usage(counts: Json) -> Usage:
    """The server's token counts; cache reads and writes count as input."""
    inside = as_mapping(counts)
    inputs = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    return Usage(
        input_tokens=sum(as_count(inside.get(name)) for name in inputs),
        output_tokens=as_count(inside.get("output_tokens")),
        reasoning_tokens=as_count(as_mapping(inside.get("output_tokens_details")).get("thinking_tokens")),
        cache_read_tokens=as_count(inside.get("cache_read_input_tokens")),
        cache_write_tokens=as_count(inside.get("cache_creation_input_tokens")),
    )
