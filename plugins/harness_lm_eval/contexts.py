"""From our requests to what lm-eval's models are asked: a context, its pictures, and how to sample."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from harness import BadImage, Failure, Generation, Image, Message, Request, Text
from harness.images import decode

from .untyped import Untyped, instances, module
from .zoo import Made

MARK = "<image>"  #: where lm-eval's contexts have a picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One request as theirs.

    Attributes:
        text: with a mark, or the model's own token, for each picture.
        pictures: decoded, in order.
        choices: continuations to weigh; empty where an answer is to be written.
        sampling: their `gen_kwargs`.
    """

    text: Untyped
    pictures: tuple[Untyped, ...] = field(default=(), repr=False)
    choices: tuple[str, ...] = ()
    sampling: dict[str, Any] = field(default_factory=dict[str, Any])

    def instances(self) -> list[Untyped]:
        """Theirs: one, or one for each choice."""
        if self.choices:
            asked = [("loglikelihood", (self.text, choice)) for choice in self.choices]
        else:
            pictures = ({"visual": list(self.pictures)},) if self.pictures else ()
            asked = [("generate_until", (self.text, dict(self.sampling), *pictures))]
        return [
            instances.Instance(request_type=kind, doc={}, arguments=arguments, idx=at)
            for at, (kind, arguments) in enumerate(asked)
        ]


class Contexts:
    """Makes contexts for one model. Blocking: it decodes images.

    Attributes:
        seeded: whether a seed can be given with a request.
    """

    def __init__(self, made: Made) -> None:
        self.seeded = _takes_seed(made)
        self._made = made

    def __call__(self, request: Request) -> Context | Failure:
        """The context, or why the model cannot be asked this."""
        if (why := self._refusal(request)) is not None:
            return Failure(outcome="error", reason="unsupported_request", message=why)
        try:
            pictures = () if self._made.kind == "chat" else tuple(decode(image.opened) for image in request.images)
        except BadImage as fault:
            return Failure(outcome="bad_sample", reason=fault.reason, message=str(fault))
        text = _text(request.messages) if request.raw else self._conversation(request.messages)
        return Context(
            text=text, pictures=pictures, choices=request.choices, sampling=sampling(request.settings, self._made)
        )

    def _refusal(self, request: Request) -> str | None:
        if request.schema is not None or request.prefill:
            return "lm-eval's models have no structured output and no prefill"
        if request.choices and (request.images or self._made.remote):
            return "lm-eval weighs choices only after text, and only of models in this process"
        if not request.raw and self._made.system is None:
            return "the model has no chat template"
        if request.raw and self._made.kind == "chat":
            return "a chat server takes no raw prompt"
        if self._made.kind == "pictures" and request.images and _spells_mark(request.messages):
            return f"the text holds {MARK}, which lm-eval would take for a picture"
        return None

    def _conversation(self, messages: Sequence[Message]) -> Untyped:
        if self._made.kind == "chat":
            turns = [{"role": message.role, "content": _parts(message)} for message in messages]
            return module("lm_eval.models.api_models").JsonChatStr(json.dumps(turns))
        history = [{"role": message.role, "content": _text((message,))} for message in messages]
        return self._made.lm.apply_chat_template(history)


def _spells_mark(messages: Sequence[Message]) -> bool:
    return any(isinstance(part, Text) and MARK in part.text for message in messages for part in message.content)


def _text(messages: Sequence[Message]) -> str:
    """The words of messages, a mark for each image."""
    parts = [part for message in messages for part in message.content]
    return "".join(part.text if isinstance(part, Text) else MARK for part in parts)


def _parts(message: Message) -> Untyped:
    """OpenAI's parts: images stay in their place and byte for byte, where lm-eval would put them all in front."""
    if len(message.content) == 1 and isinstance(message.content[0], Text):
        return message.content[0].text
    return [_part(part) for part in message.content]


def _part(part: Text | Image) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    seen = part.opened
    return {"type": "image_url", "image_url": {"url": f"data:{seen.mime};base64,{seen.encoded.decode()}"}}


def sampling(settings: Generation, made: Made) -> dict[str, Any]:
    """Their `gen_kwargs`; what is not given is left to the model, which is greedy then."""
    samples = bool(settings.temperature)
    given: dict[str, Any] = {
        "max_gen_toks": settings.max_tokens,
        "temperature": settings.temperature,
        "do_sample": samples if settings.temperature is not None else None,
        "top_p": settings.top_p if samples or made.remote else None,
        "seed": settings.seed if _takes_seed(made) else None,
    }
    return {"until": list(settings.stop)} | {name: value for name, value in given.items() if value is not None}


def _takes_seed(made: Made) -> bool:
    return made.remote or type(made.lm).__name__.startswith("VLLM")
