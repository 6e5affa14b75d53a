"""How a model in vLLM is spoken to, and when it is done: by its template, by vLLM, by a profile, by the settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness import Settings
from harness.contracts import Ability
from harness.local import Chat, Form, Frontend, Profile, study
from harness_vllm.untyped import Untyped, load

LINES: Final = Form(line="{image}\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """How a model is spoken to.

    Attributes:
        frontend: what stands before it.
        chat: how its template renders; None where it has none.
        form: how images and questions are written, where not by the template alone.
        sees: whether it takes images.
        ends: ids of tokens that end an answer, beside those that vLLM knows of.
        most: tokens an answer may get, whatever a request allows; None where there is no such limit.
        can: what may be asked.
    """

    frontend: Frontend
    chat: Chat | None
    form: Form
    sees: bool
    ends: tuple[int, ...]
    most: int | None
    can: frozenset[Ability]


def speech_of(frontend: Frontend, settings: Settings, profile: Profile | None, *, sees: bool) -> Speech:
    """How a model is spoken to. Raises HarnessError where template or settings are unusable."""
    chat = study(frontend, thinking=settings["thinking"])
    ends = [chat.end] if chat and chat.end else []
    ends += (profile.ends.value or ()) if profile else ()
    form = _form(frontend, chat, settings["prompt_format"], profile, sees=sees)
    can: set[Ability] = {"raw", "choices", "prefill"}
    if sees and (chat is None or form != Form() or chat.max_images != 0):
        can.add("images")
    if chat and chat.system and not form.turn:
        can.add("system")
    if not (chat and chat.reasons and settings["thinking"] != "off"):
        can.add("schema")  # a grammar would hold from the first token of the reasoning on
    return Speech(
        frontend=frontend,
        chat=chat,
        form=form,
        sees=sees,
        ends=tuple(number for token in ends if (number := _id(frontend, token)) is not None),
        most=profile.max_tokens.value if profile else None,
        can=frozenset(can),
    )


def _form(frontend: Frontend, chat: Chat | None, asked: str | None, profile: Profile | None, *, sees: bool) -> Form:
    if asked is not None:
        return Form.asked(asked)
    if profile is not None:
        return profile.form
    if sees and chat is not None and chat.max_images == 0 and frontend.placeholders:
        return LINES  # the template knows no images, but the model does
    return Form()


def _id(frontend: Frontend, token: str) -> int | None:
    """The id of a control token; None where the model has no such token."""
    number: int | None = frontend.tokenizer.convert_tokens_to_ids(token)
    return number if number is not None and number != frontend.tokenizer.unk_token_id else None


def image_mark(model_config: Untyped) -> str:
    """What stands for an image in a text as vLLM reads it, with `{i}` for its number; empty where vLLM does not say."""
    try:
        place = load("vllm.model_executor.model_loader").get_model_cls(model_config).get_placeholder_str
        first, second = place("image", 1), place("image", 2)
    except (AttributeError, ValueError, NotImplementedError):
        return ""
    return (first.replace("1", "{i}") if first != second else first) or ""


def fallback_template(model_config: Untyped) -> str:
    """The chat template that vLLM keeps for a family that comes without one; empty where it keeps none."""
    registry = load("vllm.transformers_utils.chat_templates")
    path: Path | None = registry.get_chat_template_fallback_path(
        model_type=model_config.hf_config.model_type, tokenizer_name_or_path=model_config.tokenizer
    )
    return path.read_text(encoding="utf-8") if path else ""
