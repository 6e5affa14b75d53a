"""How a question is written where the chat template does not say it, or not as it is wanted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from harness.errors import HarnessError
from harness.types import Message, Request, Text

IMAGE: Final = "{image}"
IMAGES: Final = "{images}"
NUMBER: Final = "{i}"
QUESTION: Final = "{question}"
Spell = Callable[[str], str]  # writes a text of a message


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How images and questions are written; the empty form leaves both to the chat template.

    Attributes:
        line: what stands for one image: `{image}` is its place, `{i}` its number, from 1.
        turn: the whole prompt, used in place of the chat template: `{images}` is all lines, `{question}` all texts.
    """

    line: str = ""
    turn: str = ""

    @classmethod
    def asked(cls, prompt_format: str) -> Form:
        """The form of `-M prompt_format=…`. Raises HarnessError where it has no place for the question."""
        if QUESTION not in prompt_format:
            raise HarnessError(
                "-M prompt_format has no place for the question",
                remedy=f"write {QUESTION}, and {IMAGES} where it sees",
            )
        return cls(turn=prompt_format.replace("\\n", "\n"))

    def flat(self, messages: Sequence[Message], mark: str, spell: Spell) -> list[Message]:
        """The messages with every image written as its line, each as one text, in the order of its parts."""
        numbers = iter(range(1, 1 + sum(len(message.content) for message in messages)))

        def written(message: Message) -> str:
            return "".join(
                spell(part.text) if isinstance(part, Text) else self._line(next(numbers), mark)
                for part in message.content
            )

        return [replace(message, content=(Text(text=written(message)),)) for message in messages]

    def prompt(self, request: Request, mark: str, spell: Spell) -> str:
        """The whole prompt of a request of one user message: images first, then its texts, one a line."""
        lines = "".join(self._line(number, mark) for number in range(1, 1 + len(request.images)))
        texts = [spell(part.text) for part in request.messages[0].content if isinstance(part, Text)]
        before, _, after = self.turn.partition(QUESTION)
        return before.replace(IMAGES, lines) + "\n".join(texts) + after.replace(IMAGES, lines)

    def _line(self, number: int, mark: str) -> str:
        return (self.line or IMAGE).replace(IMAGE, mark).replace(NUMBER, str(number))
