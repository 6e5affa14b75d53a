"""What a test server can answer: each good and bad reply of Chat Completions and of OpenAI's Images API.

They have the shape and the words of real servers, of reports of users and of Azure's documentation. `ROWS` lists those
of Chat Completions by name, with the outcome each must lead to for a model and for a judge.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from harness.types import Json, Outcome, UnscoredState

from .fakes import PIXEL

MODEL = "test-model-2026-01-01"  #: the name the server reports


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer of the server.

    Attributes:
        status: of HTTP.
        body: as sent.
        headers: besides the content type.
        fault: instead of an answer: `drop` closes the connection, `cut` closes it inside the body, `garbage` is not
            HTTP, `stall` says nothing and `drip` sends a blank now and then, both until the client leaves or the server
            is closed.
    """

    status: int = 200
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    fault: Literal["", "drop", "cut", "garbage", "stall", "drip"] = ""


def json_reply(value: Json, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """A reply whose body is this JSON."""
    return Reply(status=status, body=json.dumps(value).encode(), headers=headers or {})


def answer(
    text: Json = "ok",
    *,
    finish: str = "stop",
    refusal: str | None = None,
    reasoning: str = "",
    reasoning_tokens: int = 0,
    model: str = MODEL,
) -> Reply:
    """A completion: 12 tokens in, 7 out."""
    message: dict[str, Json] = {"role": "assistant", "content": text, "refusal": refusal}
    if reasoning:
        message["reasoning_content"] = reasoning
    details = {"reasoning_tokens": reasoning_tokens}
    usage = {"prompt_tokens": 12, "completion_tokens": 7, "total_tokens": 19, "completion_tokens_details": details}
    choice = {"index": 0, "finish_reason": finish, "message": message, "logprobs": None}
    return json_reply(
        {"id": "chatcmpl-1", "object": "chat.completion", "model": model, "choices": [choice], "usage": usage}
    )


def error(
    status: int, message: str, /, *, code: Json = None, kind: str | None = "invalid_request_error", **more: Json
) -> Reply:
    """An error body of OpenAI's shape."""
    return json_reply({"error": {"message": message, "type": kind, "param": None, "code": code} | more}, status)


def filtered_openai() -> Reply:
    """The prompt is refused, as OpenAI says it."""
    words = "Your request was rejected as a result of our safety system."
    return error(400, words, code="content_policy_violation")


def filtered_azure() -> Reply:
    """The prompt is refused, as Azure OpenAI says it."""
    result = {"violence": {"filtered": True, "severity": "medium"}}
    inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": result}
    words = "The response was filtered due to the prompt triggering the content management policy."
    return error(400, words, code="content_filter", kind=None, param="prompt", status=400, innererror=inner)


def flagged_openai() -> Reply:
    """The prompt is refused, as OpenAI says it for reasoning models: only the message tells."""
    words = "Invalid prompt: your prompt was flagged as potentially violating our usage policy. Please try again."
    return error(400, words, code="invalid_prompt")


def bad_request(message: str = "Invalid 'messages': too many images.") -> Reply:
    """A 400 that is no filter's."""
    return error(400, message, code="invalid_value")


def unsupported(name: str, *, value: Json = None) -> Reply:
    """A parameter the model does not take; with a value, that value of it."""
    if value is None:
        words = f"Unsupported parameter: '{name}' is not supported with this model."
        return error(400, words, code="unsupported_parameter", param=name)
    words = f"Unsupported value: '{name}' does not support {value} with this model. Only the default is supported."
    return error(400, words, code="unsupported_value", param=name)


def throttled(seconds: float | None = None) -> Reply:
    """A 429 with Retry-After."""
    reply = error(429, "Rate limit reached for requests.", code="rate_limit_exceeded", kind="requests")
    headers = {} if seconds is None else {"Retry-After": f"{seconds:g}"}
    return Reply(status=429, body=reply.body, headers=headers)


def no_quota() -> Reply:
    """A 429 that no waiting ends."""
    words = "You exceeded your current quota, please check your plan and billing details."
    return error(429, words, code="insufficient_quota", kind="insufficient_quota")


def wrong_key(key: str = "sk-wrong") -> Reply:
    """A 401 that repeats the key, as some servers do."""
    return error(401, f"Incorrect API key provided: {key}.", code="invalid_api_key")


def no_model(name: str = "NAME") -> Reply:
    """A 404 for a model that is not served."""
    return error(404, f"The model `{name}` does not exist or you do not have access to it.", code="model_not_found")


def server_error(status: int = 500) -> Reply:
    """The server's fault."""
    return error(status, "The server had an error while processing your request.", kind="server_error")


def not_json() -> Reply:
    """A proxy's page with a good status."""
    return Reply(body=b"<html><body>Bad gateway</body></html>", headers={"Content-Type": "text/html"})


def wrong_shape() -> Reply:
    """JSON that is no completion."""
    return json_reply({"id": "chatcmpl-1", "choices": None})


def image(data: bytes = PIXEL, *, revised: str = "", **more: Json) -> Reply:
    """One image: 11 tokens in, 272 out."""
    drawn: dict[str, Json] = {"b64_json": base64.b64encode(data).decode()}
    if revised:
        drawn["revised_prompt"] = revised
    usage = {"input_tokens": 11, "output_tokens": 272, "total_tokens": 283}
    return json_reply({"created": 1, "data": [drawn], "usage": usage} | more)


def address_only() -> Reply:
    """An address in place of an image."""
    return json_reply({"created": 1, "data": [{"url": "http://127.0.0.1/gone.png"}]})


def moderated(stage: str = "") -> Reply:
    """Refused, as GPT image models say it; `stage` is `input` or `output` where the server tells."""
    words = "Your request was rejected by the safety system. safety_violations=[violence]."
    more: dict[str, Json] = {"moderation_details": {"moderation_stage": stage}} if stage else {}
    return error(400, words, code="moderation_blocked", kind="image_generation_user_error", **more)


def filtered_by_azure(*, made: bool = False) -> Reply:
    """Refused, as Azure OpenAI says it: the prompt, or the image that was made."""
    prompt = "Your task failed as a result of our safety system."
    words = "Generated image was filtered as a result of our safety system." if made else prompt
    return error(400, words, code="contentFilter", kind=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the table of outcomes.

    Attributes:
        name: for the id of a test.
        reply: what the server answers, each time.
        outcome: of a sample that gets it, after all retries; None if the run must stop with a HarnessError.
        flags: of its response.
        judged: state of a verdict whose judge gets it; None if a judge can read the reply, or if it stops judging.
        transient: whether it is worth another try.
    """

    name: str
    reply: Reply
    outcome: Outcome | None
    flags: frozenset[str] = frozenset()
    judged: UnscoredState | None = None
    transient: bool = False

    @property
    def endless(self) -> bool:
        """Whether only a deadline ends the call."""
        return self.reply.fault in ("stall", "drip")


def row(name: str, reply: Reply, outcome: Outcome | None, judged: UnscoredState | None = None, *flags: str) -> Row:
    """A row that another try does not change."""
    return Row(name=name, reply=reply, outcome=outcome, judged=judged, flags=frozenset(flags))


def passing(name: str, reply: Reply) -> Row:
    """A row that is worth another try."""
    return Row(name=name, reply=reply, outcome="error", judged="judge_error", transient=True)


ROWS: tuple[Row, ...] = (
    row("answer", answer("A red circle."), "answered"),
    row("prose", answer("I think this one is fine."), "answered", "judge_unparsable"),
    row("truncated", answer("A red", finish="length"), "answered", "judge_unparsable", "truncated"),
    row("refusal_field", answer(None, refusal="I can't help."), "answered", "judge_refused", "refusal"),
    row("filtered_openai", filtered_openai(), "input_blocked", "judge_blocked"),
    row("filtered_azure", filtered_azure(), "input_blocked", "judge_blocked"),
    row("flagged_openai", flagged_openai(), "input_blocked", "judge_blocked"),
    row("filtered_answer", answer("Mix the", finish="content_filter"), "output_blocked", "judge_blocked"),
    row("empty", answer(""), "empty", "judge_unparsable"),
    row("null", answer(None), "empty", "judge_unparsable"),
    row(
        "out_of_budget",
        answer("", finish="length", reasoning="Let me think", reasoning_tokens=7),
        "empty",
        "judge_unparsable",
        "truncated",
    ),
    row("bad_request", bad_request(), "error", "judge_error"),
    passing("throttled", throttled(0)),
    passing("server_error", server_error()),
    passing("dropped", Reply(fault="drop")),
    passing("cut", Reply(fault="cut")),
    passing("garbage", Reply(fault="garbage")),
    passing("stall", Reply(fault="stall")),
    passing("drip", Reply(fault="drip")),
    passing("not_json", not_json()),
    passing("wrong_shape", wrong_shape()),
    row("wrong_key", wrong_key(), None),
    row("no_model", no_model(), None),
    row("no_quota", no_quota(), None),
)  #: every row
