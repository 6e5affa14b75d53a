"""Chat messages and answers in the form of OpenAI's Chat Completions, for every provider that speaks it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.http.client import Reply, data_url
from harness.http.status import Complaint, as_list, as_mapping, failure
from harness.types import Failure, Generation, Image, Json, Message, Request, Response, Text, Usage

_THINK = ("<think>", "</think>")
_FILTERED = frozenset({"content_filter", "sensitive"})  # the latter: GLM
_BROKEN = frozenset({"error", "network_error", "insufficient_system_resource"})  # OpenRouter, GLM, DeepSeek


def messages(request: Request, *, detail: str = "") -> list[Json]:
    """The turns of a request, for `harness.http.encode`: parts stay in their order, images are spliced in.

    Args:
        request: with its images opened.
        detail: how closely the server should look at images; empty leaves it to the server.
    """
    return [_message(message, detail) for message in request.messages]


def _message(message: Message, detail: str) -> Json:
    parts = message.content
    if len(parts) == 1 and isinstance(parts[0], Text):
        return {"role": message.role, "content": parts[0].text}  # servers without vision take nothing else
    return {"role": message.role, "content": [_part(part, detail) for part in parts]}


def _part(part: Text | Image, detail: str) -> Json:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    url: dict[str, Json] = {"url": data_url(part.opened)}
    return {"type": "image_url", "image_url": url | ({"detail": detail} if detail else {})}


def sampling(settings: Generation) -> dict[str, Json]:
    """Generation settings under their usual names; those that are not set are left out."""
    given: dict[str, Json] = {
        "temperature": settings.temperature,
        "max_tokens": settings.max_tokens,
        "top_p": settings.top_p,
        "seed": settings.seed,
        "stop": list(settings.stop) or None,
    }
    return {name: value for name, value in given.items() if value is not None}


def response_format(schema: Mapping[str, Json]) -> Json:
    """The parameter that asks for structured output by a JSON Schema, strictly."""
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}


def answer(reply: Reply, *, think_tags: bool = True, notes: tuple[str, ...] = ()) -> Response | Failure:
    """Read a chat completion.

    `finish_reason` content_filter is `output_blocked` with its partial text; length is flagged `truncated`; a refusal
    field is the text, flagged `refusal`; no text is an empty Response. JSON of another shape is an error worth another
    try, since gateways give it when the server behind them failed.

    Args:
        reply: the parsed body.
        think_tags: split `<think>…</think>` at the start of the text off as reasoning.
        notes: go into the Response.

    Raises:
        HarnessError: the body holds an error that no request will escape; Forbidden as `harness.http.status.failure`.
    """
    payload = as_mapping(reply.payload)
    choice = as_mapping(next(iter(as_list(payload.get("choices"))), None))
    for holder in (payload, choice):
        if holder.get("error"):
            return _upstream(Complaint.read(holder), reply)
    said = _Said.of(payload, choice, think_tags=think_tags)
    return said if isinstance(said, Failure) else said.outcome(reply.seconds, notes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """One choice of a completion, read but not yet judged by how it ended."""

    text: str
    reasoning: str
    refusal: str
    finish: str
    usage: Usage
    model: str

    @staticmethod
    def of(payload: Mapping[str, Json], choice: Mapping[str, Json], *, think_tags: bool) -> _Said | Failure:
        finish = _string(choice.get("finish_reason"))
        message = as_mapping(choice.get("message"))
        content = _text(message.get("content"))
        if content is None or not (message or finish in _FILTERED):
            return _misshapen("no text in choices[0].message.content")
        text, thought = split_think(content) if think_tags else (content, "")
        return _Said(
            text=text,
            reasoning=reasoning(message) or thought,
            refusal=_string(message.get("refusal")),
            finish=finish,
            usage=usage(payload.get("usage")),
            model=_string(payload.get("model")),
        )

    def outcome(self, seconds: float, notes: tuple[str, ...]) -> Response | Failure:
        if self.finish in _FILTERED:
            return Failure(
                outcome="output_blocked",
                reason="content_filter",
                text=self.text,
                usage=self.usage,
                model=self.model,
            )
        if self.finish in _BROKEN:
            return Failure(
                outcome="error",
                reason="upstream",
                message=f"finish reason {self.finish}",
                transient=True,
                usage=self.usage,
                model=self.model,
            )
        return Response(
            text=self.refusal or self.text,
            reasoning=self.reasoning,
            flags=self._flags(),
            usage=self.usage,
            model=self.model,
            seconds=seconds,
            notes=notes,
        )

    def _flags(self) -> frozenset[str]:
        flags = {"truncated": self.finish == "length", "refusal": bool(self.refusal)}
        return frozenset(name for name, is_set in flags.items() if is_set)


def _upstream(complaint: Complaint, reply: Reply) -> Failure:
    """An error inside a good status, as gateways give it when the server behind them failed."""
    code = next((int(code) for code in complaint.codes if code.isdecimal() and 400 <= int(code) < 600), 500)
    return failure(code, {}, complaint, reply.where)


def _misshapen(what: str) -> Failure:
    return Failure(outcome="error", reason="wrong_shape", message=f"not a chat completion: {what}", transient=True)


def _text(content: Json) -> str | None:
    """Content as text: a string, nothing, or typed parts of which those that think are left out."""
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        return None
    parts = [part for part in map(as_mapping, as_list(content)) if part.get("type") in ("text", "output_text")]
    return "".join(_string(part.get("text")) for part in parts)


def reasoning(message: Mapping[str, Json]) -> str:
    """Thinking a server returns apart, under either of the names in use."""
    return _string(message.get("reasoning_content")) or _string(message.get("reasoning"))


def split_think(text: str) -> tuple[str, str]:
    """A text and the `<think>…</think>` at its start; without the closing tag all of it is thinking."""
    opening, closing = _THINK
    if not text.lstrip().startswith(opening):
        return text, ""
    thought, _, rest = text.lstrip()[len(opening) :].partition(closing)
    return rest.lstrip(), thought.strip()


def usage(counts: Json) -> Usage:
    """Tokens as the server counts them."""
    inside = as_mapping(counts)
    details = as_mapping(inside.get("completion_tokens_details"))
    return Usage(
        input_tokens=_count(inside.get("prompt_tokens")),
        output_tokens=_count(inside.get("completion_tokens")),
        reasoning_tokens=_count(details.get("reasoning_tokens")),
    )


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _string(value: Json) -> str:
    return value if isinstance(value, str) else ""
