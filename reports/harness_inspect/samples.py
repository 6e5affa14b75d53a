"""Items as inspect's samples.

Only what a judge labelled has a score. A block is inspect's `content_filter`; an error and a bad sample are errors; an
answer that a judge did not label is inspect's unscored. So nothing that failed can be counted as a wrong answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from inspect_ai.log import EvalError, EvalSample
from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    Content,
    ContentReasoning,
    ContentText,
    ModelOutput,
    ModelUsage,
    StopReason,
)
from inspect_ai.scorer import Score

from harness.keys import short
from harness.runs.items import Item, Said
from harness.store.folder import file_name
from harness.terminal import plain
from harness.types import BLOCKED, Json

from .shown import Shown

_FAILED = ("error", "bad_sample")
_NO_LINE: Mapping[str, Any] = {"flags": [], "usage": {}, "prompt": [], "model": "", "reason": "no answer is stored"}


def sample(item: Item, *, model: str, by: Sequence[str], shown: Shown) -> EvalSample:
    """One item.

    Args:
        item: as it is stored.
        model: how the evaluated model is called in the log.
        by: tags that the results break down by; the others are only in a revealed log.
        shown: what may be seen of it.
    """
    asked, line = item.answer.asked, item.answer.response or _NO_LINE
    name = _name(asked["id"])
    turns = list(_turns(line["prompt"], f"{name}-{asked['epoch']}", shown))
    answer = _answer(item, line, f"{name}-{asked['epoch']}-answer", shown)
    used = usage(line["usage"])
    return EvalSample(
        id=name,
        epoch=asked["epoch"] + 1,
        input=turns,
        target=shown.value(asked["target"]),
        messages=[*turns, answer],
        output=ModelOutput(
            model=plain(line["model"]) or model,
            choices=[ChatCompletionChoice(message=answer, stop_reason=_stopped(item, line))],
            usage=used,
        ),
        scores={plain(judge): _score(item, said, shown) for judge, said in item.said.items()},
        metadata=_about(item, line, by, shown),
        model_usage={model: used},
        total_time=line.get("seconds"),
        uuid=short(item.item, 22),
        error=_error(item, line, shown),
    )


def usage(tokens: Mapping[str, int]) -> ModelUsage:
    """Tokens of one call in inspect's words; reasoning is among the output there."""
    into, out = tokens.get("input_tokens", 0), tokens.get("output_tokens", 0)
    return ModelUsage(
        input_tokens=into,
        output_tokens=out,
        total_tokens=into + out,
        reasoning_tokens=tokens.get("reasoning_tokens", 0),
    )


def _name(sample: str) -> str:
    """A sample's id, which names a file in the log: one that cannot is told apart by a piece of its hash."""
    safe = file_name(sample)
    return safe if safe == sample else f"{safe}-{short(sample)}"


def _turns(prompt: Sequence[Mapping[str, Any]], name: str, shown: Shown) -> Iterator[ChatMessage]:
    """The messages that were sent; parts that follow each other in one role are one message."""
    parts: list[Content] = []
    images = 0
    for place, part in enumerate(prompt):
        images += "image" in part
        text = shown.text(part["text"]) if "text" in part else shown.image(images, part)
        parts.append(ContentText(text=text))
        if place + 1 == len(prompt) or prompt[place + 1]["role"] != part["role"]:
            yield _turn(part["role"], parts, f"{name}-{place}")
            parts = []


def _turn(role: str, parts: list[Content], name: str) -> ChatMessage:
    if role == "system":
        return ChatMessageSystem(id=name, content=parts)
    if role == "assistant":
        return ChatMessageAssistant(id=name, content=parts)
    return ChatMessageUser(id=name, content=parts)


def _answer(item: Item, line: Mapping[str, Any], name: str, shown: Shown) -> ChatMessageAssistant:
    text = ContentText(text=shown.text(item.answer.text))
    thought = shown.only(line.get("reasoning", ""))
    content: list[Content] = [text] if thought is None else [ContentReasoning(reasoning=thought), text]
    return ChatMessageAssistant(id=name, content=content)


def _stopped(item: Item, line: Mapping[str, Any]) -> StopReason:
    if item.outcome in BLOCKED:
        return "content_filter"
    if "truncated" in line["flags"]:
        return "max_tokens"
    return "unknown" if item.outcome in _FAILED else "stop"


def _error(item: Item, line: Mapping[str, Any], shown: Shown) -> EvalError | None:
    if item.outcome not in _FAILED:
        return None
    told = shown.only(line.get("message", ""))
    message = ": ".join(part for part in (item.outcome, plain(line.get("reason", "")), told) if part)
    return EvalError(message=message, traceback="", traceback_ansi="")


def _score(item: Item, said: Said, shown: Shown) -> Score:
    about: dict[str, Json] = {
        "state": said.state,
        "axes": shown.axes(said.axes),
        "models": [plain(name) for name in said.models],
        **({"raw": [plain(reply) for reply in said.raw]} if shown.reveal else {}),
    }
    told, answer = shown.only(said.reason), shown.only(item.answer.text)
    if said.state != "scored":
        return Score.unscored(reason=said.state, answer=answer, explanation=told, metadata=about)
    return Score(value=plain(said.label), answer=answer, explanation=told, metadata=about)


def _about(item: Item, line: Mapping[str, Any], by: Sequence[str], shown: Shown) -> dict[str, Json]:
    """Who it is, how it ended, and what it counts as."""
    asked = item.answer.asked
    tags: Mapping[str, str] = asked["tags"]
    return {
        "item": plain(item.item),
        "sample": plain(asked["id"]),
        "category": plain(asked["category"]),
        "tags": {plain(name): plain(tag) for name, tag in tags.items() if shown.reveal or name in by},
        "outcome": item.outcome,
        "counts_as": plain(item.label),
        "flags": list(item.flags),
        **({"failure": plain(line["reason"])} if line.get("reason") else {}),
        **(_revealed(asked, line) if shown.reveal else {}),
    }


def _revealed(asked: Mapping[str, Any], line: Mapping[str, Any]) -> dict[str, Json]:
    steps: Mapping[str, str] = line.get("steps", {})
    images = [part for part in line["prompt"] if "image" in part]
    return {
        "cluster": plain(asked["cluster"]),
        "images": [{"path": plain(str(part["image"])), "sha256": part["sha256"]} for part in images],
        **({"steps": {plain(name): plain(text) for name, text in steps.items()}} if steps else {}),
    }
