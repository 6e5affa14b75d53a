"""How a model is prompted, and what ends its answers: from its template, its family, a profile and the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from harness import Settings
from harness.contracts import Ability
from harness.local import Chat, PromptFormat, study
from harness_hf.loading import Loaded


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What a family's model folders do not say.

    Attributes:
        max_images: most images that it was made for; None where its template says enough.
        turn: its prompt where it has no chat template, see `harness.local.PromptFormat`.
        note: what a reader of its numbers should know.
    """

    max_images: int | None = None
    turn: str = ""
    note: str = ""


#: By the model type of the configuration.
FAMILIES: Final = {
    "paligemma": Family(max_images=1, turn="{images}answer en {question}"),
    "blip-2": Family(max_images=1, turn="Question: {question} Answer:"),
    "instructblip": Family(max_images=1, turn="{question}"),
    "mllama": Family(
        note="Llama 3.2 Vision was trained on one image a prompt: more are all given to it, in order, "
        "but what it makes of them is no measure of others"
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptStyle:
    """How a model is prompted.

    Attributes:
        chat: how its template renders; None where it has none.
        form: how images and questions are written, where not by the template alone.
        ends: ids of tokens that end an answer, beside those of its own generation settings.
        max_tokens: of an answer, whatever a request allows; None where there is no such limit.
        max_images: most images one request may hold; None where there is no limit.
        can: what may be asked.
        notes: what a person should read.
    """

    chat: Chat | None
    form: PromptFormat
    ends: frozenset[int]
    max_tokens: int | None
    max_images: int | None
    can: frozenset[Ability]
    notes: tuple[str, ...]


def find_style(loaded: Loaded, settings: Settings) -> PromptStyle:
    """How a loaded model is prompted. Raises HarnessError where template or settings are unusable."""
    frontend, profile = loaded.frontend, loaded.profile
    family = FAMILIES.get(loaded.model.config.model_type, Family())
    chat = study(frontend, thinking=settings["thinking"])
    if settings["prompt_format"] is not None:
        form = PromptFormat.parse(settings["prompt_format"])
    elif profile is not None:
        form = profile.form
    else:
        form = PromptFormat() if frontend.template else PromptFormat(turn=family.turn)

    ends = [chat.end] if chat and chat.end else []
    ends += (profile.ends.value or ()) if profile else ()

    max_images: int | None = 0
    if frontend.vlm:
        max_images = chat.max_images if chat is not None and form == PromptFormat() else None
        max_images = max_images if family.max_images is None else family.max_images
        max_images = max_images if settings["max_images"] is None else settings["max_images"]

    can: set[Ability] = {"raw", "choices", "prefill"}
    if max_images != 0:
        can.add("images")
    if chat and chat.system and not form.turn:
        can.add("system")
    return PromptStyle(
        chat=chat,
        form=form,
        ends=frozenset(frontend.find_ids(ends)),
        max_tokens=profile.max_tokens.value if profile else None,
        max_images=max_images,
        can=frozenset(can),
        notes=tuple(filter(None, (family.note, loaded.note, profile.describe() if profile else ""))),
    )
