"""How a model in vLLM is prompted, and what ends its answers: by its template, by vLLM, a profile and the settings."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from harness import HarnessError, Settings
from harness.contracts import Ability
from harness.local import Chat, Frontend, Origin, Profile, PromptFormat, study

IMAGE_LINES: Final = PromptFormat(line="{image}\n")
PIXELS: Final = ("min_pixels", "max_pixels")


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptStyle:
    """How a model is prompted.

    Attributes:
        frontend: its processor or tokenizer.
        chat: how its template renders; None where it has none.
        form: how images and questions are written, where not by the template alone.
        ends: ids of tokens that end an answer, beside those that vLLM knows of.
        max_tokens: of an answer, whatever a request allows; None where there is no such limit.
        can: what may be asked.
    """

    frontend: Frontend
    chat: Chat | None
    form: PromptFormat
    ends: tuple[int, ...]
    max_tokens: int | None
    can: frozenset[Ability]


def find_style(frontend: Frontend, settings: Settings, profile: Profile | None, *, sees: bool) -> PromptStyle:
    """How a model is prompted.

    Args:
        frontend: its processor or tokenizer.
        settings: of the provider.
        profile: how a paper ran its family; None where none is asked for.
        sees: whether it takes images.

    Raises:
        HarnessError: template or settings are unusable.
    """
    chat = study(frontend, thinking=settings["thinking"])
    form = PromptFormat()
    if settings["prompt_format"] is not None:
        form = PromptFormat.parse(settings["prompt_format"])
    elif profile is not None:
        form = profile.form
    elif sees and chat is not None and chat.max_images == 0 and frontend.placeholders:
        form = IMAGE_LINES  # the template knows no images, but the model does
    ends = [chat.end] if chat and chat.end else []
    ends += (profile.ends.value or ()) if profile else ()
    can: set[Ability] = {"raw", "choices", "prefill"}
    if sees and (chat is None or form != PromptFormat() or chat.max_images != 0):
        can.add("images")
    if chat and chat.system and not form.turn:
        can.add("system")
    if not (chat and chat.reasons and settings["thinking"] != "off"):
        can.add("schema")  # a grammar would hold from the first token of the reasoning on
    return PromptStyle(
        frontend=frontend,
        chat=chat,
        form=form,
        ends=tuple(frontend.find_ids(ends)),
        max_tokens=profile.max_tokens.value if profile else None,
        can=frozenset(can),
    )


def open_frontend(origin: Origin, model_config: Any, settings: Settings) -> Frontend:
    """The model's processor or tokenizer, by transformers and by what vLLM knows of the model.

    Raises:
        HarnessError: transformers cannot open the processor, or it takes no limit of pixels.
    """
    sees = bool(model_config.is_multimodal_model)
    transformers = import_module("transformers")
    options: dict[str, Any] = {"trust_remote_code": settings["trust_remote_code"]}
    if origin.commit:
        options["revision"] = origin.commit
    try:
        kind = transformers.AutoProcessor if sees else transformers.AutoTokenizer
        processor = kind.from_pretrained(origin.place, **options)
    except Exception as error:
        what = f"transformers cannot open the model's processor: {' '.join(str(error).split())[:300]}"
        remedy = "-M trust_remote_code=true, if it comes with code"
        raise HarnessError(what, where=f"vllm/{origin.name}", remedy=remedy) from error
    keywords = getattr(getattr(processor, "image_processor", None), "valid_kwargs", None)
    for name in PIXELS:
        if settings[name] is not None and name not in getattr(keywords, "__annotations__", ()):
            raise HarnessError(f"the model's processor takes no {name}", remedy=f"leave out -M {name}")
    # a model with code of its own may come with a tokenizer alone: vLLM has a processor for it
    whole = sees and hasattr(processor, "tokenizer")
    frontend = Frontend(processor, vlm=whole, image=_find_image_mark(model_config) if sees else "")
    if not frontend.template:  # vLLM keeps templates for some families that come without one
        registry = import_module("vllm.transformers_utils.chat_templates")
        path: Path | None = registry.get_chat_template_fallback_path(
            model_type=model_config.hf_config.model_type, tokenizer_name_or_path=model_config.tokenizer
        )
        frontend.template = path.read_text(encoding="utf-8") if path else ""
    return frontend


def _find_image_mark(model_config: Any) -> str:
    """What stands for an image in a text as vLLM reads it, with `{i}` for its number; empty where vLLM does not say."""
    try:
        place = import_module("vllm.model_executor.model_loader").get_model_cls(model_config).get_placeholder_str
        first, second = place("image", 1), place("image", 2)
    except (AttributeError, ValueError, NotImplementedError):
        return ""
    return (first.replace("1", "{i}") if first != second else first) or ""
