"""From a request to the prompt that a local model reads, and from its text to the answer.

Chat templates differ in what content they take (text or parts) and in what they do with a system message or a second
image. Some drop what they do not know, without an error. So `study` lets each template render a few conversations once,
at the start, and what does not come back in the rendered text is not offered.

A prompt is one text with a place for each image, and the images. No image is ever dropped unnoticed: the text must hold
exactly as many places as the request holds images. A message that spells out a control token could fake such a place,
or the end of its own turn (an answer under judgement might). So these spellings are broken up by a space, unless
`control_tokens=control` asks for the token itself.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final, Literal

from harness.errors import BadImage, HarnessError
from harness.images import decode
from harness.types import Failure, Generation, Message, Request, Text

if TYPE_CHECKING:
    from PIL.Image import Image

Conversation = list[dict[str, Any]]  # as chat templates take it: role, and content as text or as parts
Style = Literal["parts", "plain"]
_WORD: Final = "Zq7"  # in no template
_OTHER_WORD: Final = "Xk4"
_THINKING_SWITCH: Final = "enable_thinking"
IMAGE: Final = "{image}"
IMAGES: Final = "{images}"
NUMBER: Final = "{i}"
QUESTION: Final = "{question}"
BROKEN_UP: Final = "control tokens spelled out in a message were broken up"
_OPEN_THINKING: Final = re.compile(r"<think>\s*$")
_THINK, _END_THINK = "<think>", "</think>"


def counts_area(image_processor: Any) -> bool:
    """Whether an image processor limits an image's area by `max_pixels`, as those of Qwen-VL do."""
    return "max_pixels" in getattr(getattr(image_processor, "valid_kwargs", None), "__annotations__", ())


class Frontend:
    """The processor of a vision-language model or the tokenizer of a text model, behind one interface. Thread-safe.

    Args:
        processor: of transformers: a processor where `vlm`, else a tokenizer.
        vlm: whether the model takes images.
        image: the placeholder of an image in a text, where the processor names none; `{i}` in it is the image's number.

    Attributes:
        processor: as given.
        vlm: as given.
        tokenizer: the processor's tokenizer.
        template: source of the chat template; empty where the model has none.

    Raises:
        HarnessError: the tokenizer has no vocabulary.
    """

    def __init__(self, processor: Any, *, vlm: bool, image: str = "") -> None:
        self.processor = processor
        self._image = image
        self.vlm = vlm
        self.tokenizer: Any = processor.tokenizer if vlm else processor
        # transformers makes a tokenizer without a single word where a folder lacks its files, and raises nothing
        if not self.tokenizer.encode("a", add_special_tokens=False):
            raise HarnessError(
                "the model's tokenizer has no vocabulary: its files are missing",
                where=str(getattr(self.tokenizer, "name_or_path", "")),
                remedy="put the tokenizer's files into the model's folder: tokenizer.json, tokenizer_config.json, …",
            )
        self.template = _find_template(processor) or _find_template(self.tokenizer)
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self._lock = threading.Lock()  # a tokenizer keeps its padding settings in itself, for whoever calls it next

    @property
    def pad_token_id(self) -> int:
        """What shorter rows are padded with."""
        return int(self.tokenizer.pad_token_id)

    @property
    def placeholders(self) -> tuple[str, ...]:
        """Tokens that may stand for an image in a text, the likeliest first."""
        names = ("image_token", "boi_token")
        own = [token for name in names if isinstance(token := getattr(self.processor, name, None), str)]
        return tuple(filter(None, (*own, self._image)))

    def control_tokens(self) -> set[str]:
        """Every text that becomes one token with a meaning of its own, such as the end of a turn."""
        added = self.tokenizer.added_tokens_decoder.values()
        special = {token.content for token in added if token.special} | set(self.tokenizer.all_special_tokens)
        return {token for token in special | set(self.placeholders) if len(token) > 1}

    def find_ids(self, tokens: Sequence[str]) -> list[int]:
        """The ids of control tokens; those that the model does not have are left out."""
        found = [self.tokenizer.convert_tokens_to_ids(token) for token in tokens]
        return [number for number in found if number is not None and number != self.tokenizer.unk_token_id]

    def render(self, conversation: Conversation, options: Mapping[str, Any]) -> str:
        """The text of a conversation up to where the model's answer starts, by the chat template."""
        text: str = self.processor.apply_chat_template(
            conversation, chat_template=self.template, tokenize=False, add_generation_prompt=True, **options
        )
        return text

    def begins(self, text: str, *, raw: bool) -> bool:
        """Whether a text already starts as the model expects, so that no start token is added.

        Args:
            text: of the prompt.
            raw: it did not come from the chat template.
        """
        first: str | None = self.tokenizer.bos_token
        return bool(first and text.startswith(str(first))) or not (raw or self.vlm)

    def encode(self, **arguments: Any) -> dict[str, Any]:
        """What the processor makes of texts and images."""
        with self._lock:
            return dict(self.processor(**arguments))

    def count(self, text: str) -> int:
        """Tokens of a text."""
        with self._lock:
            return len(self.tokenizer.encode(text, add_special_tokens=False))

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of an answer, without control tokens."""
        text: str = self.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text


def _find_template(owner: Any) -> str:
    """The chat template of a processor or tokenizer, which may have several by name."""
    found: str | dict[str, str] | None = getattr(owner, "chat_template", None)
    if isinstance(found, dict):
        return found.get("default") or next(iter(found.values()), "")
    return found or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """How to render a conversation by a model's chat template.

    Attributes:
        style: content of user and assistant messages.
        system: content of system messages; None where the template takes none.
        mark: is in the rendered text once for each image; empty if images have no place.
        max_images: most images that the template places in one message; None for no limit.
        options: variables of the template.
        reasons: the model thinks before it answers.
        end: the control token that the template writes after an answer; empty where it writes none.
    """

    style: Style
    system: Style | None
    mark: str
    max_images: int | None
    options: Mapping[str, Any]
    reasons: bool
    end: str = ""

    def format_content(self, message: Message, escape: Callable[[str], str]) -> str | list[dict[str, str]]:
        """The content of one message, as the template takes it; each text goes through `escape`."""
        style = self.system if message.role == "system" else self.style
        if style == "plain":
            return "\n".join(escape(part.text) for part in message.content if isinstance(part, Text))
        return [
            {"type": "text", "text": escape(part.text)} if isinstance(part, Text) else {"type": "image"}
            for part in message.content
        ]


def study(frontend: Frontend, *, thinking: str) -> Chat | None:
    """Find out what a model's chat template takes and keeps; None if the model has no template.

    Args:
        frontend: with the template.
        thinking: `on`, `off`, or `auto` for the template's default.

    Raises:
        HarnessError: the template renders no user message, or has no switch for thinking and one is wanted.
    """
    if not frontend.template:
        return None
    options: dict[str, Any] = {}
    if thinking != "auto":
        if _THINKING_SWITCH not in frontend.template:
            raise HarnessError("the model's chat template has no switch for thinking", remedy="leave out -M thinking")
        options[_THINKING_SWITCH] = thinking == "on"

    def render(*turns: tuple[str, Any]) -> str:
        try:
            return frontend.render([{"role": role, "content": content} for role, content in turns], options)
        except Exception:  # noqa: BLE001 - a template refuses by raising whatever it likes
            return ""

    def find_style(role: str, *after: tuple[str, Any]) -> Style | None:
        styles: tuple[Style, Style] = ("parts", "plain") if frontend.vlm else ("plain", "parts")
        for style in styles:
            text = render((role, _write(style, _WORD)), *after)
            if _WORD in text and f"'{_WORD}'" not in text:  # the second: a list written out as Python writes it
                return style
        return None

    style = find_style("user")
    if style is None:
        raise HarnessError("the model's chat template does not render a question", remedy="correct its chat_template")
    question = ("user", _write(style, _OTHER_WORD))
    after_answer = render(question, ("assistant", _write(style, _WORD))).partition(_WORD)[2].lstrip()
    ends = (token for token in frontend.control_tokens() if after_answer.startswith(token))
    mark: str = ""
    max_images: int | None = 0
    if frontend.vlm and style == "parts":
        image, words = {"type": "image"}, _write("parts", _WORD)
        none, one, two = (render(("user", [*[image] * count, *words])) for count in range(3))
        start = count_shared([none, one])
        inserted = one[start : start + len(one) - len(none)]
        marks = (*frontend.placeholders, inserted)
        mark = next((each for each in marks if each and none.count(each) == 0 and one.count(each) == 1), "")
        if mark:
            max_images = None if two.count(mark) == 2 else 1
    return Chat(
        style=style,
        system=find_style("system", question),
        mark=mark,
        max_images=max_images,
        options=options,
        reasons="</think>" in frontend.template,
        end=max(ends, key=len, default=""),
    )


def _write(style: Style, word: str) -> Any:
    return word if style == "plain" else [{"type": "text", "text": word}]


def count_shared(rows: Iterable[Sequence[object]]) -> int:
    """How many first elements, letters or tokens, all rows have in common."""
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, zip(*rows, strict=False)))


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
        form: how images and questions are written, if not by the chat template alone.
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
            texts = [part.text for message in request.messages for part in message.content if isinstance(part, Text)]
            if len(texts) != 1:
                message = f"a raw request holds one text, this one holds {len(texts)}"
                return Failure(outcome="error", reason="raw_request", message=message)
            prompt: Prompt | Failure = Prompt(text=texts[0] + request.prefill, raw=True)
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
        """The prompt by the format alone: images first, then texts, each on its own line."""
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


def cut_at_stop(text: str, stops: Sequence[str]) -> tuple[str, bool]:
    """The text before the first stop text, and whether there was one."""
    found = [at for stop in stops if (at := text.find(stop)) >= 0]
    return (text[: min(found)], True) if found else (text, False)


def split_reasoning(text: str, prompt: Prompt) -> tuple[str, str]:
    """Reasoning and answer of a model that reasons; reasoning without an end leaves no answer."""
    if not prompt.reasons:
        return "", text
    thought, closed, after = text.partition(_END_THINK)
    if closed:
        return thought.strip().removeprefix(_THINK).strip(), after.strip()
    if prompt.thinking or text.lstrip().startswith(_THINK):
        return text.strip().removeprefix(_THINK).strip(), ""
    return "", text
