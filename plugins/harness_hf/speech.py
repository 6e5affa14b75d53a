"""How one model is spoken to, and when it is done: from its template, its family, a profile and the settings."""

from __future__ import annotations

from dataclasses import dataclass

from harness import Settings
from harness.contracts import Ability
from harness.local import Chat, Form, study
from harness_hf.loading import Loaded


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """How a model is spoken to.

    Attributes:
        chat: how its template renders; None where it has none.
        form: how images and questions are written, where not by the template alone.
        ends: ids of tokens that end an answer, beside those of its own generation settings.
        most: tokens an answer may get, whatever a request allows; None where there is no such limit.
        max_images: most images one request may hold; None where there is no limit.
        notes: what a person should read.
    """

    chat: Chat | None
    form: Form
    ends: frozenset[int]
    most: int | None
    max_images: int | None
    notes: tuple[str, ...]

    @property
    def can(self) -> frozenset[Ability]:
        """What may be asked."""
        can: set[Ability] = {"raw", "choices", "prefill"}
        if self.max_images != 0:
            can.add("images")
        if self.chat and self.chat.system and not self.form.turn:
            can.add("system")
        return frozenset(can)


def speech_of(loaded: Loaded, settings: Settings) -> Speech:
    """How a model that was just loaded is spoken to. Raises HarnessError where template or settings are unusable."""
    chat = study(loaded.frontend, thinking=settings["thinking"])
    profile = loaded.profile
    form = _form(loaded, settings)
    ends = [chat.end] if chat and chat.end else []
    ends += (profile.ends.value or ()) if profile else ()
    notes = (loaded.known.note, loaded.note, profile.told() if profile else "")
    return Speech(
        chat=chat,
        form=form,
        ends=frozenset(number for token in ends if (number := _id(loaded, token)) is not None),
        most=profile.max_tokens.value if profile else None,
        max_images=_max_images(loaded, chat, form, settings["max_images"]),
        notes=tuple(filter(None, notes)),
    )


def _form(loaded: Loaded, settings: Settings) -> Form:
    asked = settings["prompt_format"]
    if asked is not None:
        return Form.asked(asked)
    if loaded.profile is not None:
        return loaded.profile.form
    return Form() if loaded.frontend.template else Form(turn=loaded.known.turn)


def _id(loaded: Loaded, token: str) -> int | None:
    """The id of a control token; None where the model has no such token."""
    tokenizer = loaded.frontend.tokenizer
    number = tokenizer.convert_tokens_to_ids(token)
    return number if number is not None and number != tokenizer.unk_token_id else None


def _max_images(loaded: Loaded, chat: Chat | None, form: Form, asked: int | None) -> int | None:
    if not loaded.frontend.vlm:
        return 0
    if asked is not None:
        return asked
    if loaded.known.max_images is not None:
        return loaded.known.max_images
    return None if chat is None or form != Form() else chat.max_images
