"""From our requests to what lm-eval's models are asked: a context, its pictures, and how to sample."""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from harness import BadImage, Failure, Generation, Message, Request, Text
from harness.extras import Untyped
from harness.images import decode

from .registry import LmEvalType

instances: Untyped = importlib.import_module("lm_eval.api.instance")
MARK = "<image>"  #: where lm-eval's contexts have a picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One request as theirs.

    Attributes:
        text: with a mark, or the model's own token, for each picture.
        pictures: decoded, in order.
        choices: continuations to weigh; empty if an answer is to be written.
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


class ContextBuilder:
    """Makes contexts for one model. Blocking: it decodes images.

    Attributes:
        seeded: whether a seed can be given with a request.
    """

    def __init__(self, model: LmEvalType) -> None:
        self.seeded = _takes_seed(model)
        self._model = model

    def build(self, request: Request) -> Context | Failure:
        """The context, or why the model cannot be asked this."""
        if (why := self._find_refusal(request)) is not None:
            return Failure(outcome="error", reason="unsupported_request", message=why)
        try:
            pictures = () if self._model.kind == "chat" else tuple(decode(image.opened) for image in request.images)
        except BadImage as fault:
            return Failure(outcome="bad_sample", reason=fault.reason, message=str(fault))
        text = _text(request.messages) if request.raw else self._conversation(request.messages)
        return Context(
            text=text,
            pictures=pictures,
            choices=request.choices,
            sampling=build_sampling(request.settings, self._model),
        )

    def _find_refusal(self, request: Request) -> str | None:
        if request.schema is not None or request.prefill:
            return "lm-eval's models have no structured output and no prefill"
        if request.choices and (request.images or self._model.remote):
            return "lm-eval weighs choices only after text, and only of models in this process"
        if not request.raw and self._model.system is None:
            return "the model has no chat template"
        if request.raw and self._model.kind == "chat":
            return "a chat server takes no raw prompt"
        texts = [part.text for each in request.messages for part in each.content if isinstance(part, Text)]
        if self._model.kind == "pictures" and request.images and any(MARK in text for text in texts):
            return f"the text holds {MARK}, which lm-eval would take for a picture"
        return None

    def _conversation(self, messages: Sequence[Message]) -> Untyped:
        if self._model.kind == "chat":
            turns = [{"role": message.role, "content": _parts(message)} for message in messages]
            return importlib.import_module("lm_eval.models.api_models").JsonChatStr(json.dumps(turns))
        history = [{"role": message.role, "content": _text((message,))} for message in messages]
        return self._model.lm.apply_chat_template(history)


def _text(messages: Sequence[Message]) -> str:
    """The words of messages, a mark for each image."""
    parts = [part for message in messages for part in message.content]
    return "".join(part.text if isinstance(part, Text) else MARK for part in parts)


def _parts(message: Message) -> Untyped:
    """OpenAI's parts: images stay in their place and byte for byte; lm-eval would put them all in front."""
    if len(message.content) == 1 and isinstance(message.content[0], Text):
        return message.content[0].text
    parts: list[dict[str, Any]] = []
    for part in message.content:
        if isinstance(part, Text):
            parts.append({"type": "text", "text": part.text})
        else:
            url = f"data:{part.opened.mime};base64,{part.opened.encoded.decode()}"
            parts.append({"type": "image_url", "image_url": {"url": url}})
    return parts


def build_sampling(settings: Generation, model: LmEvalType) -> dict[str, Any]:
    """Their `gen_kwargs`; what is not given is left to the model, which is greedy then."""
    samples = bool(settings.temperature)
    given: dict[str, Any] = {
        "max_gen_toks": settings.max_tokens,
        "temperature": settings.temperature,
        "do_sample": samples if settings.temperature is not None else None,
        "top_p": settings.top_p if samples or model.remote else None,
        "seed": settings.seed if _takes_seed(model) else None,
    }
    return {"until": list(settings.stop)} | {name: value for name, value in given.items() if value is not None}


def _takes_seed(model: LmEvalType) -> bool:
    return model.remote or type(model.lm).__name__.startswith("VLLM")
