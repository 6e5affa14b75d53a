"""What the Messages API answers: text and thinking apart, and how it ended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from harness import Failure, Json, Response, Usage
from harness.http import Reply
from harness.http.chat import split_think
from harness.http.status import Complaint, as_list, as_mapping, failure

#: an answer that stopped here is not whole; a turn that pauses waits for tools of the server, which are never offered
_CUT = frozenset({"max_tokens", "model_context_window_exceeded", "pause_turn"})
#: error types and the status they come with, for an error inside a good status
_STATUSES = {
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One message, read but not yet judged by how it ended.

    Attributes:
        text: of all text blocks, or the JSON of the tool that stands for structured output.
        reasoning: of all thinking blocks; may be empty although the model thought.
        thought: there is a thinking block.
        finish: the stop reason.
        why: what a refusal's details say.
        usage: tokens.
        model: the name the server reports.
        seconds: the call took.
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
        """Whether the answer ended before it was whole."""
        return self.finish in _CUT

    def outcome(self, notes: tuple[str, ...]) -> Response | Failure:
        """The answer; a classifier's stop is a block: of the prompt where nothing was said yet, else of the answer."""
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


def read(reply: Reply, *, tool: str = "", think_tags: bool = True) -> Said | Failure:
    """Read a message.

    JSON of another shape, or without a stop reason, is an error worth another try: gateways give it when the server
    behind them failed.

    Args:
        reply: the parsed body.
        tool: name of the one that stands for structured output; empty where none was offered.
        think_tags: split `<think>…</think>` at the start of the text off as reasoning.

    Raises:
        HarnessError: the body holds an error that no request will escape.
    """
    payload = as_mapping(reply.payload)
    if payload.get("type") == "error" or payload.get("error"):
        return _upstream(Complaint.read(payload), reply)
    content, finish = payload.get("content"), _string(payload.get("stop_reason"))
    if not isinstance(content, list) or not finish:
        return _misshapen("no content" if finish else "no stop_reason")
    blocks = [as_mapping(block) for block in as_list(content)]
    spoken = _spoken(blocks, tool)
    text, tagged = split_think(spoken) if think_tags else (spoken, "")
    return Said(
        text=text,
        reasoning=_joined(blocks, "thinking") or tagged,
        thought=any(block.get("type") in ("thinking", "redacted_thinking") for block in blocks),
        finish=finish,
        why=reply.where.redact(_why(as_mapping(payload.get("stop_details")))),
        usage=usage(payload.get("usage")),
        model=_string(payload.get("model")),
        seconds=reply.seconds,
    )


def usage(counts: Json) -> Usage:
    """Tokens as the server counts them; what was read from or written to a cache is input too."""
    inside = as_mapping(counts)
    inputs = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    return Usage(
        input_tokens=sum(_count(inside.get(name)) for name in inputs),
        output_tokens=_count(inside.get("output_tokens")),
        reasoning_tokens=_count(as_mapping(inside.get("output_tokens_details")).get("thinking_tokens")),
    )


def _spoken(blocks: list[Mapping[str, Json]], tool: str) -> str:
    """The text; where a tool stands for structured output, the JSON it was called with."""
    for block in blocks:
        if tool and block.get("type") == "tool_use" and block.get("name") == tool:
            return json.dumps(block.get("input"), ensure_ascii=False)
    return _joined(blocks, "text")


def _joined(blocks: list[Mapping[str, Json]], kind: str) -> str:
    return "".join(_string(block.get(kind)) for block in blocks if block.get("type") == kind)


def _why(details: Mapping[str, Json]) -> str:
    return ": ".join(filter(None, (_string(details.get("category")), _string(details.get("explanation")))))


def _upstream(complaint: Complaint, reply: Reply) -> Failure:
    status = next((_STATUSES[code] for code in complaint.codes if code in _STATUSES), 500)
    return failure(status, {}, complaint, reply.where)


def _misshapen(what: str) -> Failure:
    return Failure(outcome="error", reason="wrong_shape", message=f"not a message: {what}", transient=True)


def _count(value: Json) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _string(value: Json) -> str:
    return value if isinstance(value, str) else ""
