"""A local server of Anthropic's Messages API, and each good and bad reply of it, in the shape real servers give it.

    async with MessagesServer(lambda call: f"{len(call.images)} images") as server:     # or: with
        …                                                                               # ask server.url

Errors are worded as the vendor's documentation, the types of its SDK and public reports of users have them.
`ROWS` lists the replies by name with the outcome each must lead to, for a model and for a judge.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from harness.http.status import as_list, as_mapping
from harness.types import Json

from .faults import MODEL, Reply, Row, json_reply, not_json, passing, row
from .server import ChatServer, SeenPart, image_part


class MessagesServer(ChatServer):
    """See the module; `calls` and `play` are those of `harness.testing.server.ChatServer`."""

    path = "/v1/messages"

    @property
    def url(self) -> str:
        """For `-M base_url=`; the server must be open."""
        return self.base_url.removesuffix("/v1")

    def read(self, body: bytes) -> tuple[str, tuple[SeenPart, ...], Mapping[str, Json]]:
        """Model, parts and parameters of a body; the system's words are parts of the role `system`."""
        payload = dict(as_mapping(json.loads(body)))
        if "max_tokens" not in payload:
            raise ValueError("max_tokens: Field required")
        turns = [as_mapping(turn) for turn in as_list(payload.pop("messages", None))]
        words = _read_parts("system", payload.pop("system", []))
        parts = [part for turn in turns for part in _read_parts(str(turn.get("role")), turn.get("content"))]
        return str(payload.pop("model", "")), (*words, *parts), payload

    def make_answer(self, text: str) -> Reply:
        """A message of one text."""
        return message(text)

    def make_error(self, status: int, message: str) -> Reply:
        """An error body."""
        return error(status, message)


def _read_parts(role: str, content: Json) -> Iterator[SeenPart]:
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else map(as_mapping, as_list(content))
    for block in blocks:
        source = as_mapping(block.get("source"))
        if block.get("type") == "text":
            yield SeenPart(role=role, kind="text", value=str(block.get("text")))
        elif block.get("type") == "image" and source.get("type") == "base64":
            yield image_part(role, str(source.get("data")), str(source.get("media_type")))
        else:
            raise ValueError(f"block of type {block.get('type')} is neither text nor a base64 image")


def message(
    *texts: str,
    stop: Json = "end_turn",
    thinking: str | None = None,
    tool: Json = None,
    details: Json = None,
    usage: Mapping[str, Json] | None = None,
    model: str = MODEL,
) -> Reply:
    """A message: 12 tokens in, 7 out.

    Args:
        texts: one text block each; none gives no content.
        stop: the stop reason.
        thinking: a thinking block before the texts; empty where the server keeps the words to itself.
        tool: the tool `answer` is called with this.
        details: of a refusal.
        usage: more counts.
        model: the name the server reports.
    """
    thought = [] if thinking is None else [{"type": "thinking", "thinking": thinking, "signature": "c2ln"}]
    called = [] if tool is None else [{"type": "tool_use", "id": "toolu_1", "name": "answer", "input": tool}]
    return json_reply({
        "id": "msg_1", "type": "message", "role": "assistant", "model": model,
        "content": [*thought, *({"type": "text", "text": text} for text in texts), *called],
        "stop_reason": stop, "stop_sequence": None, "stop_details": details,
        "usage": {"input_tokens": 12, "output_tokens": 7} | dict(usage or {}),
    })  # fmt: skip


def error(
    status: int,
    words: str,
    kind: str = "invalid_request_error",
    *,
    code: str = "",
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """An error body; `code` is its details' error code."""
    details = {"error_code": code} if code else None
    inside = {"type": kind, "message": words, "details": details}
    return json_reply({"type": "error", "error": inside, "request_id": "req_1"}, status, headers)


def deprecated(name: str) -> Reply:
    """The refusal of a sampling parameter by the newest models."""
    return error(400, f"`{name}` is deprecated for this model.")


def overloaded(seconds: float | None = None) -> Reply:
    """A 529, with Retry-After if it is given."""
    return error(529, "Overloaded", "overloaded_error", headers=_wait(seconds))


def throttled(seconds: float | None = None) -> Reply:
    """A 429, with Retry-After if it is given."""
    words = "This request would exceed your account's rate limit. Please try again later."
    return error(429, words, "rate_limit_error", headers=_wait(seconds))


def wrong_key() -> Reply:
    """A 401."""
    return error(401, "invalid x-api-key", "authentication_error")


def _wait(seconds: float | None) -> dict[str, str]:
    return {} if seconds is None else {"Retry-After": f"{seconds:g}"}


def refusal(*texts: str, thinking: str | None = None) -> Reply:
    """A classifier's stop, before or after something was said."""
    words = "This request was declined because it could enable cyber harm."
    details = {"type": "refusal", "category": "cyber", "explanation": words}
    return message(*texts, stop="refusal", thinking=thinking, details=details)


_CREDIT = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade."
_LIMIT = "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC."
ROWS: tuple[Row, ...] = (
    row("answer", message("A red circle."), "answered"),
    row("prose", message("I think this one is fine."), "answered", "judge_unparsable"),
    row("stop_sequence", message("A red", stop="stop_sequence"), "answered", "judge_unparsable"),
    row("truncated", message("A red", stop="max_tokens"), "answered", "judge_unparsable", "truncated"),
    row(
        "context_full",
        message("A red", stop="model_context_window_exceeded"),
        "answered",
        "judge_unparsable",
        "truncated",
    ),
    row("paused", message("A red", stop="pause_turn"), "answered", "judge_unparsable", "truncated"),
    row("unknown_stop", message("A red", stop="another_reason"), "answered", "judge_unparsable"),
    row("refused_prompt", refusal(), "input_blocked", "judge_blocked"),
    row("refused_answer", refusal("Mix the"), "output_blocked", "judge_blocked"),
    row("refused_thought", refusal(thinking=""), "output_blocked", "judge_blocked"),
    row("filtered_answer", error(400, "Output blocked by content filtering policy"), "output_blocked", "judge_blocked"),
    row("empty", message(""), "empty", "judge_unparsable"),
    row("no_content", message(), "empty", "judge_unparsable"),
    row("uncalled_tool", message(stop="tool_use", tool={"a": 1}), "empty", "judge_unparsable"),
    row("bad_request", error(400, "messages.0.content.0.image.source.base64.data: Could not process image"), "error",
        "judge_error"),
    row("too_long", error(400, "prompt is too long: 208310 tokens > 200000 maximum"), "error", "judge_error"),
    row("too_large", error(413, "Request exceeds the maximum size", "request_too_large"), "error", "judge_error"),
    passing("throttled", throttled(0)),
    passing("ramp", error(429, "Slow down.", "rate_limit_error", code="ramp_limit_exceeded", headers=_wait(0))),
    passing("overloaded", overloaded(0)),
    passing("server_error", error(500, "Internal server error", "api_error")),
    passing("late", error(504, "Timed out", "timeout_error")),
    passing("error_as_200", Reply(body=overloaded().body)),
    passing("dropped", Reply(fault="drop")),
    passing("cut", Reply(fault="cut")),
    passing("garbage", Reply(fault="garbage")),
    passing("stall", Reply(fault="stall")),
    passing("drip", Reply(fault="drip")),
    passing("not_json", not_json()),
    passing("wrong_shape", json_reply({"type": "message", "content": None, "stop_reason": "end_turn"})),
    passing("no_stop", message("A red", stop=None)),
    row("wrong_key", wrong_key(), None),
    row("wrong_key_as_200", Reply(body=wrong_key().body), None),
    row("not_allowed", error(403, "Your API key may not use this.", "permission_error"), None),
    row("no_model", error(404, "model: claude-nothing", "not_found_error"), None),
    row("no_credit", error(400, _CREDIT), None),
    row("own_limit", error(400, _LIMIT), None),
    row("billing", error(402, "Payment required.", "billing_error"), None),
    row("spend_limit", error(429, "Limit.", "rate_limit_error", code="enforced_spend_limit_reached"), None),
    row("on_hold", error(400, "Disabled.", code="organization_on_hold"), None),
)  #: every row  # fmt: skip
