"""From a request to what the model reads (one text with a place for each image, and the images), and back.

No image is ever dropped unnoticed: the text must hold exactly as many places as the request holds images. A message
that spells out a control token could fake such a place, or the end of its own turn (an answer under judgement might).
So these spellings are broken up by a space, unless `control_tokens=control` asks for the token itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from harness.errors import BadImage, HarnessError
from harness.images import decode
from harness.local.chat import Chat, Frontend
from harness.types import Failure, Generation, Message, Request, Text

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGE: Final = "{image}"
IMAGES: Final = "{images}"
NUMBER: Final = "{i}"
QUESTION: Final = "{question}"
BROKEN_UP: Final = "control tokens spelled out in a message were broken up"
_OPEN_THINKING: Final = re.compile(r"<think>\s*$")
_THINK, _END_THINK = "<think>", "</think>"


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptFormat:
    """How images and questions are written; the empty format leaves both to the chat template.

    Attributes:
        line: what stands for one image: `{image}` is its place, `{i}` its number, from 1.
        turn: the whole prompt, used in place of the chat template: `{images}` is all lines, `{question}` all texts.
    """

    line: str = ""
    turn: str = ""

    @classmethod
    def parse(cls, prompt_format: str) -> PromptFormat:
        """The format of `-M prompt_format=…`. Raises HarnessError where it has no place for the question."""
        if QUESTION not in prompt_format:
            raise HarnessError(
                "-M prompt_format has no place for the question",
                remedy=f"write {QUESTION}, and {IMAGES} where the images go",
            )
        return cls(turn=prompt_format.replace("\\n", "\n"))

    def write_image(self, number: int, mark: str) -> str:
        """What stands for the image of a number, from 1; `mark` is its place."""
        return (self.line or IMAGE).replace(IMAGE, mark).replace(NUMBER, str(number))


OWN_FORMAT: Final = PromptFormat()  #: the chat template's own


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What the model reads.

    Attributes:
        text: with a place for each image.
        images: in order.
        settings: how to sample.
        choices: continuations to score in place of an answer.
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


class PromptBuilder:
    """Builds the prompts of requests.

    Args:
        frontend: renders and encodes.
        chat: how to render; None for a model without a chat template.
        escape: whether control tokens in messages are broken up.
        form: how images and questions are written, where not by the chat template alone.
    """

    def __init__(self, frontend: Frontend, chat: Chat | None, *, escape: bool, form: PromptFormat = OWN_FORMAT) -> None:
        self._frontend = frontend
        self._chat = chat
        self._form = form
        own = next(iter(frontend.placeholders), "")
        self._mark = own if chat is None or (form != OWN_FORMAT and not chat.mark) else chat.mark
        self._place = re.compile(re.escape(self._mark).replace(re.escape(NUMBER), r"\d+") or r"(?!)")
        tokens = sorted(frontend.control_tokens(), key=len, reverse=True) if escape else []
        self._control = re.compile("|".join(map(re.escape, tokens)) or r"(?!)")

    def __call__(self, request: Request) -> Prompt | Failure:
        """The prompt of one request, its images decoded, or why there can be none.

        Raises:
            HarnessError: the model has no chat template and the request needs one.
        """
        if request.raw:
            prompt = _build_raw(request)
        elif self._form.turn:
            prompt = self._fill_format(request)
        else:
            prompt = self._render_chat(request)
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

    def _fill_format(self, request: Request) -> Prompt | Failure:
        """The prompt by the format alone: its images first, then its texts, one a line."""
        if [message.role for message in request.messages] != ["user"]:
            message = "the prompt format takes one question, without a system message or earlier turns"
            return Failure(outcome="error", reason="prompt_format", message=message)
        lines = "".join(self._form.write_image(number, self._mark) for number in range(1, 1 + len(request.images)))
        texts = [self._escape(part.text) for part in request.messages[0].content if isinstance(part, Text)]
        before, _, after = self._form.turn.partition(QUESTION)
        text = before.replace(IMAGES, lines) + "\n".join(texts) + after.replace(IMAGES, lines)
        return Prompt(text=text + self._escape(request.prefill), raw=True, notes=self._notes(request))

    def _render_chat(self, request: Request) -> Prompt | Failure:
        chat, messages = self._chat, request.messages
        if chat is None:
            raise HarnessError(
                "the model has no chat template, so it can only answer raw requests",
                remedy="name an instruction-tuned model, or put a chat_template.jinja into its folder",
            )
        if chat.system is None and any(message.role == "system" for message in messages):
            return Failure(
                outcome="error", reason="system_message", message="the model's chat template takes no system message"
            )
        escape: Callable[[str], str] = self._escape
        if self._form.line:
            messages, escape = self._flatten(messages), str  # flattened texts are escaped already
        try:
            text = self._frontend.render(
                [{"role": each.role, "content": chat.format_content(each, escape)} for each in messages], chat.options
            )
        except Exception as error:  # noqa: BLE001 - a template refuses by raising whatever it likes
            return Failure(outcome="error", reason="chat_template", message=str(error)[:300])
        return Prompt(
            text=text + self._escape(request.prefill),
            reasons=chat.reasons,
            thinking=chat.reasons and _OPEN_THINKING.search(text) is not None and _END_THINK not in request.prefill,
            notes=self._notes(request),
        )

    def _flatten(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        """The messages as one text each, with every image written as its line, in the order of their parts."""
        flat: list[Message] = []
        number = 0
        for message in messages:
            text = ""
            for part in message.content:
                if isinstance(part, Text):
                    text += self._escape(part.text)
                else:
                    number += 1
                    text += self._form.write_image(number, self._mark)
            flat.append(replace(message, content=(Text(text=text),)))
        return tuple(flat)

    def _escape(self, text: str) -> str:
        return self._control.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)

    def _notes(self, request: Request) -> tuple[str, ...]:
        texts = [part.text for message in request.messages for part in message.content if isinstance(part, Text)]
        return (BROKEN_UP,) if any(map(self._control.search, (request.prefill, *texts))) else ()


def _build_raw(request: Request) -> Prompt | Failure:
    texts = [part.text for message in request.messages for part in message.content if isinstance(part, Text)]
    if len(texts) != 1:
        message = f"a raw request holds one text, this one holds {len(texts)}"
        return Failure(outcome="error", reason="raw_request", message=message)
    return Prompt(text=texts[0] + request.prefill, raw=True)


def cut_at_stop(text: str, stops: Sequence[str]) -> tuple[str, bool]:
    """The text before the first stop text, and whether there was one."""
    found = [at for stop in stops if (at := text.find(stop)) >= 0]
    return (text[: min(found)], True) if found else (text, False)


def split_reasoning(text: str, prompt: Prompt) -> tuple[str, str]:
    """Reasoning and answer, where the model reasons; reasoning without an end leaves no answer."""
    if not prompt.reasons:
        return "", text
    thought, closed, after = text.partition(_END_THINK)
    if closed:
        return thought.strip().removeprefix(_THINK).strip(), after.strip()
    if prompt.thinking or text.lstrip().startswith(_THINK):
        return text.strip().removeprefix(_THINK).strip(), ""
    return "", text
