"""Reading what a model wrote: where a stop text ends it, and what of it is reasoning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from harness.local.prompts import Prompt

_OPEN: Final = "<think>"
_CLOSE: Final = "</think>"


def before(text: str, stops: Sequence[str]) -> tuple[str, bool]:
    """The text before the first stop, and whether there was one."""
    found = [at for stop in stops if (at := text.find(stop)) >= 0]
    return (text[: min(found)], True) if found else (text, False)


def split_reasoning(text: str, prompt: Prompt) -> tuple[str, str]:
    """Reasoning and answer, where the model reasons; reasoning that was never closed leaves no answer."""
    if not prompt.reasons:
        return "", text
    thought, closed, after = text.partition(_CLOSE)
    if closed:
        return thought.strip().removeprefix(_OPEN).strip(), after.strip()
    if prompt.thinking or text.lstrip().startswith(_OPEN):
        return text.strip().removeprefix(_OPEN).strip(), ""
    return "", text
