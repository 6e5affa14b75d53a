"""From a request to what the model reads: one text with a place for each image, and the images.

No image is ever dropped in silence: the text must hold exactly as many places as the request holds images. A message
that spells out a control token could otherwise fake such a place, or the end of its own turn (an answer under judgement
might), so these spellings are broken up by a space unless `control_tokens=control` asks for the token itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from harness.errors import BadImage, HarnessError
from harness.images import decode
from harness.local.chat import Chat
from harness.local.forms import NUMBER, Form
from harness.local.frontend import Conversation, Frontend
from harness.types import Failure, Generation, Request, Text

if TYPE_CHECKING:
    from PIL.Image import Image

_OPENED: Final = re.compile(r"<think>\s*$")
PLAIN: Final = Form()
BROKEN_UP: Final = "control tokens spelled out in a message were broken up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What the model reads.

    Attributes:
        text: with a place for each image.
        images: in order.
        settings: how to sample.
        choices: continuations to weigh in place of an answer.
        raw: no chat template was used.
        reasons: the answer may start with reasoning that is to be split off.
        thinking: the text ends inside that reasoning.
        notes: what was changed on the way.
    """

    text: str
    images: tuple[Image, ...] = ()
    settings: Generation = Generation()
    choices: tuple[str, ...] = ()
    raw: bool = False
    reasons: bool = False
    thinking: bool = False
    notes: tuple[str, ...] = ()


class Prompter:
    """Makes prompts.

    Args:
        frontend: renders and encodes.
        chat: how to render; None for a model without a chat template.
        escape: whether control tokens in messages are broken up.
        form: how images and questions are written, where not by the chat template alone.
    """

    def __init__(self, frontend: Frontend, chat: Chat | None, *, escape: bool, form: Form = PLAIN) -> None:
        self._frontend = frontend
        self._chat = chat
        self._form = form
        own = next(iter(frontend.placeholders), "")
        self._mark = own if chat is None or (form != PLAIN and not chat.mark) else chat.mark
        self._place = re.compile(re.escape(self._mark).replace(re.escape(NUMBER), r"\d+") or r"(?!)")
        tokens = sorted(frontend.control_tokens(), key=len, reverse=True) if escape else []
        self._control = re.compile("|".join(map(re.escape, tokens)) or r"(?!)")

    def __call__(self, request: Request) -> Prompt | Failure:
        """The prompt of one request, its images decoded, or why there can be none.

        Raises:
            HarnessError: the model has no chat template and the request needs one.
        """
        make = self._raw if request.raw else self._written if self._form.turn else self._rendered
        prompt = make(request)
        if isinstance(prompt, Failure):
            return prompt
        places = len(self._place.findall(prompt.text))
        if places != len(request.images):
            message = f"the prompt has places for {places} images, the request holds {len(request.images)}"
            return Failure(outcome="error", reason="image_places", message=message)
        try:
            images = tuple(decode(image.opened) for image in request.images)
        except BadImage as error:
            return Failure(outcome="bad_sample", reason=error.reason, message=str(error))
        return replace(prompt, images=images, settings=request.settings, choices=request.choices)

    def _raw(self, request: Request) -> Prompt | Failure:
        texts = [part.text for message in request.messages for part in message.content if isinstance(part, Text)]
        if len(texts) != 1:
            message = f"a raw request holds one text, this one holds {len(texts)}"
            return Failure(outcome="error", reason="raw_request", message=message)
        return Prompt(text=texts[0] + request.prefill, raw=True)

    def _written(self, request: Request) -> Prompt | Failure:
        if [message.role for message in request.messages] != ["user"]:
            message = "the prompt format takes one question, without a system message or earlier turns"
            return Failure(outcome="error", reason="prompt_format", message=message)
        return Prompt(
            text=self._form.prompt(request, self._mark, self._spell) + self._spell(request.prefill),
            raw=True,
            notes=(BROKEN_UP,) if self._spells(request) else (),
        )

    def _rendered(self, request: Request) -> Prompt | Failure:
        chat = self._chat
        if chat is None:
            raise HarnessError(
                "the model has no chat template, so it can only answer raw requests",
                remedy="name an instruction-tuned model, or put a chat_template.jinja into its folder",
            )
        if chat.system is None and any(message.role == "system" for message in request.messages):
            return Failure(
                outcome="error", reason="system_message", message="the model's chat template takes no system message"
            )
        try:
            text = self._frontend.render(self._conversation(request, chat), chat.options)
        except Exception as error:  # noqa: BLE001 - a template refuses by raising whatever it likes
            return Failure(outcome="error", reason="chat_template", message=str(error)[:300])
        return Prompt(
            text=text + self._spell(request.prefill),
            reasons=chat.reasons,
            thinking=chat.reasons and _OPENED.search(text) is not None and "</think>" not in request.prefill,
            notes=(BROKEN_UP,) if self._spells(request) else (),
        )

    def _conversation(self, request: Request, chat: Chat) -> Conversation:
        if not self._form.line:
            return [{"role": each.role, "content": chat.content(each, self._spell)} for each in request.messages]
        flat = self._form.flat(request.messages, self._mark, self._spell)
        return [{"role": each.role, "content": chat.content(each, str)} for each in flat]

    def _spell(self, text: str) -> str:
        return self._control.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)

    def _spells(self, request: Request) -> bool:
        parts = (part for message in request.messages for part in message.content if isinstance(part, Text))
        return any(self._control.search(text) for text in (request.prefill, *(part.text for part in parts)))
