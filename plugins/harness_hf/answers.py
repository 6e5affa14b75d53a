"""From new tokens to a Response: where the answer ends, whether it was cut off, and what of it is reasoning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness import Response, Usage
from harness.local import Frontend, Prompt, before, split_reasoning


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What the model wrote after one prompt.

    Attributes:
        tokens: with the end token, and with what fills the row up after it.
        read: tokens of the prompt.
        most: how many tokens were allowed.
    """

    tokens: Sequence[int]
    read: int
    most: int


class Reader:
    """Reads what a model wrote.

    Args:
        frontend: decodes.
        ends: tokens that end an answer.
        name: of the model, put into each response.
    """

    def __init__(self, frontend: Frontend, ends: frozenset[int], name: str) -> None:
        self._frontend = frontend
        self._ends = ends
        self._name = name

    def __call__(self, prompt: Prompt, written: Written, seconds: float) -> Response:
        """The response; `truncated` when neither an end token nor a stop text came within the allowed tokens."""
        tokens, ended = self._cut(written.tokens)
        text, stopped = before(self._frontend.decode(tokens), prompt.settings.stop)
        reasoning, text = split_reasoning(text, prompt)
        truncated = not stopped and len(tokens) >= written.most  # an end token leaves room for one less
        usage = Usage(
            input_tokens=written.read,
            output_tokens=len(tokens) + ended,
            reasoning_tokens=self._frontend.count(reasoning) if reasoning else 0,
        )
        return Response(
            text=text,
            reasoning=reasoning,
            flags=frozenset({"truncated"} if truncated else ()),
            usage=usage,
            model=self._name,
            seconds=seconds,
            notes=prompt.notes,
        )

    def _cut(self, tokens: Sequence[int]) -> tuple[list[int], bool]:
        """The tokens before the end token, and whether there was one."""
        for at, token in enumerate(tokens):
            if token in self._ends:
                return list(tokens[:at]), True
        kept = list(tokens)
        while kept and kept[-1] == self._frontend.pad_token_id:
            kept.pop()
        return kept, False
