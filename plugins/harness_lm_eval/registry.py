"""lm-eval's model types: finds them by name, opens them with their arguments, and lists their abilities.

A request becomes lm-eval's: a context, its pictures, and sampling settings.
"""

from __future__ import annotations

import gc
import importlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from harness import BadImage, Failure, Generation, HarnessError, Json, Message, Request, Settings, Text, UnknownName
from harness.extras import Untyped, install_command
from harness.fingerprint import hash_folder
from harness.images import decode
from harness.settings import nearest

models: Untyped = importlib.import_module("lm_eval.models")
registry: Untyped = importlib.import_module("lm_eval.api.registry")
utils: Untyped = importlib.import_module("lm_eval.utils")
#: pictures: images in the context; words: text alone; chat: OpenAI's messages to a server; completions: raw text to one
Kind = Literal["pictures", "words", "chat", "completions"]
_KEYS = frozenset({"api_key", "auth_token", "header", "headers", "key", "password", "token"})
_OWN_MESSAGES = "AnthropicChat"  # has the same base class, but takes no images in OpenAI's form


@dataclass(frozen=True, slots=True, kw_only=True)
class LmEvalType:
    """An open lm-eval model.

    Attributes:
        lm: lm-eval's object.
        kind: how to ask it.
        arguments: parsed arguments.
        system: whether its chat template takes a system message; None without a chat template.
    """

    lm: Untyped
    kind: Kind
    arguments: Mapping[str, Any]
    system: bool | None

    @property
    def remote(self) -> bool:
        """Whether another process answers."""
        return self.kind in ("chat", "completions")

    @property
    def fingerprint(self) -> dict[str, Json]:
        """The type, and hashes of a local folder's files; empty if another process answers."""
        folder = Path(str(self.arguments.get("pretrained", ""))).expanduser()
        if self.remote or not self.arguments.get("pretrained") or not folder.is_dir():
            return {}
        return {"type": type(self.lm).__name__, **hash_folder(folder)}


def open_type(name: str, settings: Settings) -> LmEvalType:
    """Find and open `lm-eval/NAME`. Blocking.

    Raises:
        UnknownName: lm-eval has no such type.
        HarnessError: it does not open with these arguments.
    """
    names = sorted({*models.MODEL_MAPPING, *registry.model_registry})
    if name not in names:
        raise UnknownName(f"lm-eval has no model type {name!r}", remedy=nearest(name, names))
    try:
        arguments: dict[str, Any] = utils.simple_parse_args_string(settings["model_args"])
        # settings are recorded; `token=True` is not a key
        if held := sorted(name for name, value in arguments.items() if name in _KEYS and isinstance(value, str)):
            variable = "the environment variable that lm-eval reads, such as OPENAI_API_KEY or HF_TOKEN"
            raise HarnessError(
                f"-M model_args must not hold {', '.join(held)}: settings are recorded",
                remedy=f"put the key into {variable}",
            )
        kind = registry.get_model(name)
        # the engine handles retries and limits concurrent calls
        remote = "TemplateAPI" in _base_names(kind)
        usual = {"batch_size": 1, "num_concurrent": 1, "max_retries": 1}
        defaults = usual if remote else {"batch_size": settings["batch_size"]}
        lm = kind.create_from_arg_obj(defaults | arguments, {"device": settings["device"]})
    except ImportError as error:
        raise HarnessError(
            f"lm-eval/{name} needs a missing package: {error}", remedy=install_command("lm-eval")
        ) from error
    except HarnessError:
        raise
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        remedy = "check -M model_args=…, which are lm-eval's own --model_args"
        raise HarnessError(f"lm-eval/{name} cannot be opened: {said[:500]}", remedy=remedy) from error
    bases = _base_names(lm.__class__)
    how: Kind = "pictures" if getattr(lm, "MULTIMODAL", False) and hasattr(lm, "max_images") else "words"
    if "TemplateAPI" in bases:
        how = "completions"
    if "LocalChatCompletion" in bases and _OWN_MESSAGES not in bases:
        how = "chat"
    return LmEvalType(lm=lm, kind=how, arguments=arguments, system=_takes_system(lm))


def _base_names(kind: Untyped) -> set[str]:
    mro: tuple[type, ...] = kind.__mro__
    return {base.__name__ for base in mro}


def _takes_system(lm: Untyped) -> bool | None:
    """Whether its chat template takes a system message; None if there is no chat template."""
    turns = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    for system, history in ((True, turns), (False, turns[1:])):
        try:
            lm.apply_chat_template([dict(turn) for turn in history])
        except Exception:  # noqa: BLE001, S112 - a template may raise anything
            continue
        return system
    return None


def release(model: LmEvalType) -> None:
    """Free a model's memory, unless something else holds it."""
    model.lm.__dict__.clear()
    gc.collect()
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


instances: Untyped = importlib.import_module("lm_eval.api.instance")
MARK = "<image>"  #: where lm-eval's contexts have a picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One request in lm-eval's form.

    Attributes:
        text: the context, with a mark or the model's own token for each picture.
        pictures: decoded pictures, in order.
        choices: continuations to score; empty to generate an answer.
        sampling: lm-eval's `gen_kwargs`.
    """

    text: Untyped
    pictures: tuple[Untyped, ...] = field(default=(), repr=False)
    choices: tuple[str, ...] = ()
    sampling: dict[str, Any] = field(default_factory=dict[str, Any])

    def instances(self) -> list[Untyped]:
        """lm-eval's instances: one, or one per choice."""
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
        seeded: whether a request can carry a seed.
    """

    def __init__(self, model: LmEvalType) -> None:
        self.seeded = _takes_seed(model)
        self._model = model

    def build(self, request: Request) -> Context | Failure:
        """The context, or why the model cannot answer this."""
        if (why := self._find_refusal(request)) is not None:
            return Failure(outcome="error", reason="unsupported_request", message=why)
        try:
            pictures = () if self._model.kind == "chat" else tuple(decode(image.opened) for image in request.images)
        except BadImage as fault:
            return Failure(outcome="bad_sample", reason=fault.reason, message=str(fault))
        if request.raw:
            text: Untyped = _text(request.messages)
        elif self._model.kind == "chat":
            turns = [{"role": message.role, "content": _parts(message)} for message in request.messages]
            text = importlib.import_module("lm_eval.models.api_models").JsonChatStr(json.dumps(turns))
        else:
            history = [{"role": message.role, "content": _text((message,))} for message in request.messages]
            text = self._model.lm.apply_chat_template(history)
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
            return "lm-eval scores choices only after text, and only with local models"
        if not request.raw and self._model.system is None:
            return "the model has no chat template"
        if request.raw and self._model.kind == "chat":
            return "a chat server takes no raw prompt"
        texts = [part.text for each in request.messages for part in each.content if isinstance(part, Text)]
        if self._model.kind == "pictures" and request.images and any(MARK in text for text in texts):
            return f"the text holds {MARK}, which lm-eval would take for a picture"
        return None


def _text(messages: Sequence[Message]) -> str:
    """The words of messages, a mark for each image."""
    parts = [part for message in messages for part in message.content]
    return "".join(part.text if isinstance(part, Text) else MARK for part in parts)


def _parts(message: Message) -> Untyped:
    """OpenAI's parts: images keep their place and bytes; lm-eval would put them all first."""
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
    """lm-eval's `gen_kwargs`; the model decides unset values, and is then greedy."""
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
