"""Chat messages and answers in the form of OpenAI's Chat Completions, for every provider that speaks it."""

from __future__ import annotations

from collections.abc import Mapping

from harness.http.client import Reply, data_url
from harness.http.status import ApiError, as_count, as_list, as_mapping, as_text, failure
from harness.types import Failure, Generation, Json, Request, Response, Text, Usage

_THINK = ("<think>", "</think>")
_FILTERED = frozenset({"content_filter", "sensitive"})  # the latter: GLM
_BROKEN = frozenset({"error", "network_error", "insufficient_system_resource"})  # OpenRouter, GLM, DeepSeek


def messages(request: Request, *, detail: str = "") -> list[Json]:
    """The turns of a request, for `harness.http.encode`: parts keep their order, images are not copied.

    Args:
        request: with its images opened.
        detail: how closely the server should look at images; empty leaves it to the server.
    """
    turns: list[Json] = []
    for message in request.messages:
        parts = message.content
        if len(parts) == 1 and isinstance(parts[0], Text):
            turns.append({"role": message.role, "content": parts[0].text})  # servers without vision take nothing else
            continue
        content: list[Json] = []
        for part in parts:
            if isinstance(part, Text):
                content.append({"type": "text", "text": part.text})
            else:
                url: dict[str, Json] = {"url": data_url(part.opened), **({"detail": detail} if detail else {})}
                content.append({"type": "image_url", "image_url": url})
        turns.append({"role": message.role, "content": content})
    return turns


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

    The `finish_reason` content_filter gives `output_blocked` with its partial text; length gives the flag `truncated`.
    A refusal field is the text, with the flag `refusal`; no text is an empty Response. For JSON of another shape
    another try may help, since gateways send it when the server behind them failed.

    Args:
        reply: the parsed body.
        think_tags: split `<think>…</think>` at the start of the text off as reasoning.
        notes: go into the Response.

    Raises:
        HarnessError: the body holds an error that every request would get; Forbidden as `harness.http.status.failure`.
    """
    payload = as_mapping(reply.payload)
    choice = as_mapping(next(iter(as_list(payload.get("choices"))), None))
    for holder in (payload, choice):
        if holder.get("error"):  # inside a good status, as gateways give it when the server behind them failed
            error = ApiError.read(holder)
            code = next((int(code) for code in error.codes if code.isdecimal() and 400 <= int(code) < 600), 500)
            return failure(code, {}, error, reply.where)
    finish, message = as_text(choice.get("finish_reason")), as_mapping(choice.get("message"))
    content = _read_text(message.get("content"))
    if content is None or not (message or finish in _FILTERED):
        what = "not a chat completion: no text in choices[0].message.content"
        return Failure(outcome="error", reason="wrong_shape", message=what, transient=True)
    text, thought = split_think(content) if think_tags else (content, "")
    tokens, model = usage(payload.get("usage")), as_text(payload.get("model"))
    if finish in _FILTERED:
        return Failure(outcome="output_blocked", reason="content_filter", text=text, usage=tokens, model=model)
    if finish in _BROKEN:
        what = f"finish reason {finish}"
        return Failure(outcome="error", reason="upstream", message=what, transient=True, usage=tokens, model=model)
    refusal = as_text(message.get("refusal"))
    flags = {"truncated": finish == "length", "refusal": bool(refusal)}
    return Response(
        text=refusal or text,
        reasoning=reasoning(message) or thought,
        flags=frozenset(name for name, is_set in flags.items() if is_set),
        usage=tokens,
        model=model,
        seconds=reply.seconds,
        notes=notes,
    )


def _read_text(content: Json) -> str | None:
    """Content as text: a string, nothing, or typed parts, without those of thinking; None for any other value."""
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        return None
    parts = [part for part in map(as_mapping, as_list(content)) if part.get("type") in ("text", "output_text")]
    return "".join(as_text(part.get("text")) for part in parts)


def reasoning(message: Mapping[str, Json]) -> str:
    """The reasoning that a server returns apart from the text, under either of its two usual names."""
    return as_text(message.get("reasoning_content")) or as_text(message.get("reasoning"))


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
    prompt = as_mapping(inside.get("prompt_tokens_details"))
    read = prompt.get("cached_tokens", inside.get("prompt_cache_hit_tokens"))  # the latter: DeepSeek
    return Usage(
        input_tokens=as_count(inside.get("prompt_tokens")),
        output_tokens=as_count(inside.get("completion_tokens")),
        reasoning_tokens=as_count(details.get("reasoning_tokens")),
        cache_read_tokens=as_count(read),
        cache_write_tokens=as_count(prompt.get("cache_write_tokens")),
    )
