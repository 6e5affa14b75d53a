"""How a model wants to be spoken to, found out by trying its chat template.

Templates differ in what content they take (text or parts) and in what they do with a system message or a second image;
some drop what they do not know without a word. So each is asked to render a few conversations once, at start, and what
does not come back in the rendered text is not offered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from harness.errors import HarnessError
from harness.local.frontend import Conversation, Frontend
from harness.types import Message, Text

Style = Literal["parts", "plain"]
_WORD: Final = "Zq7"  # found in no template
_OTHER: Final = "Xk4"
_SWITCH: Final = "enable_thinking"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """How to render a conversation.

    Attributes:
        style: content of user and assistant messages.
        system: content of system messages; None where the template takes none.
        mark: stands in the rendered text once for each image; empty where images have no place.
        max_images: most images that the template places in one message; None where there is no limit.
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

    def content(self, message: Message, spell: Callable[[str], str]) -> str | list[dict[str, str]]:
        """The content of one message; `spell` writes its texts."""
        style = self.system if message.role == "system" else self.style
        if style == "plain":
            return "\n".join(spell(part.text) for part in message.content if isinstance(part, Text))
        return [
            {"type": "text", "text": spell(part.text)} if isinstance(part, Text) else {"type": "image"}
            for part in message.content
        ]


def study(frontend: Frontend, *, thinking: str) -> Chat | None:
    """How a model wants to be spoken to; None where it has no chat template.

    Raises:
        HarnessError: the template renders no user message, or has no switch for thinking and one is asked for.
    """
    if not frontend.template:
        return None
    options = _options(frontend.template, thinking)
    style = _first_style(frontend, options, lambda content: [_user(content)])
    if style is None:
        raise HarnessError("the model's chat template does not render a question", remedy="mend its chat_template")
    word = _word(style)
    system = _first_style(frontend, options, lambda content: [{"role": "system", "content": content}, _user(word)])
    mark, most = _images(frontend, options) if frontend.vlm and style == "parts" else ("", 0)
    return Chat(
        style=style,
        system=system,
        mark=mark,
        max_images=most,
        options=options,
        reasons="</think>" in frontend.template,
        end=_end(frontend, options, style),
    )


def _options(template: str, thinking: str) -> dict[str, bool]:
    if thinking == "auto":
        return {}
    if _SWITCH not in template:
        raise HarnessError("the model's chat template has no switch for thinking", remedy="leave out -M thinking")
    return {_SWITCH: thinking == "on"}


def _user(content: object) -> dict[str, Any]:
    return {"role": "user", "content": content}


def _word(style: Style) -> object:
    return _OTHER if style == "plain" else [{"type": "text", "text": _OTHER}]


def _first_style(
    frontend: Frontend, options: Mapping[str, Any], conversation: Callable[[object], Conversation]
) -> Style | None:
    tries: dict[Style, object] = {"parts": [{"type": "text", "text": _WORD}], "plain": _WORD}
    for style in tries if frontend.vlm else reversed(tries):
        text = _try(frontend, conversation(tries[style]), options)
        if _WORD in text and f"'{_WORD}'" not in text:  # the second: a list written out as Python writes it
            return style
    return None


def _images(frontend: Frontend, options: Mapping[str, Any]) -> tuple[str, int | None]:
    """What stands for an image in a rendered text, and the most of them in one message."""
    none, one, two = (
        _try(frontend, [_user([*[{"type": "image"}] * n, {"type": "text", "text": _WORD}])], options) for n in range(3)
    )
    for mark in (*frontend.placeholders, _inserted(none, one)):
        if mark and none.count(mark) == 0 and one.count(mark) == 1:
            return mark, None if two.count(mark) == 2 else 1
    return "", 0


def _end(frontend: Frontend, options: Mapping[str, Any], style: Style) -> str:
    answer = _WORD if style == "plain" else [{"type": "text", "text": _WORD}]
    text = _try(frontend, [_user(_word(style)), {"role": "assistant", "content": answer}], options)
    after = text.partition(_WORD)[2].lstrip()
    return max((token for token in frontend.control_tokens() if after.startswith(token)), key=len, default="")


def _inserted(without: str, with_one: str) -> str:
    """The piece that is in one text and not in the other."""
    start = next((at for at, pair in enumerate(zip(without, with_one, strict=False)) if len(set(pair)) > 1), 0)
    return with_one[start : start + len(with_one) - len(without)]


def _try(frontend: Frontend, conversation: Conversation, options: Mapping[str, Any]) -> str:
    """The rendered text, or none: a template refuses by raising whatever it likes."""
    try:
        return frontend.render(conversation, options)
    except Exception:  # noqa: BLE001
        return ""
