"""What an answer could steer a judge with, broken up by a space: to a reader it says the same.

Control tokens (`<|im_end|>`, `</s>`, `[INST]`, `[gMASK]`) could end a turn in a local judge's prompt or fake an image.
Where a prompt has no random markers around its data, its own heads could end the data as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache, lru_cache


def harmless(text: str) -> str:
    """The same text to a reader; a local judge's tokenizer no longer finds end-of-turn or image tokens in it."""
    whole = text.encode("utf-8", "replace").decode("utf-8")
    return _steering().sub(lambda match: match[0] + " ", whole)


def headless(text: str, heads: Iterable[str]) -> str:
    """The same text to a reader; no line of it begins with one of these heads, whatever the case.

    Args:
        text: stands in a prompt that begins lines of its own with the heads.
        heads: such as `---` or `User:`; emphasis and white space may stand before them and before their colon.
    """
    found = tuple(dict.fromkeys(head for head in heads if head))
    return _opening(found).sub(lambda match: match[0] + " ", text) if found else text


def heads_of(frame: str) -> tuple[str, ...]:
    """The heads in what a prompt says around its data: `Rules:`, `[ANSWER]:`, and lines of nothing but signs."""
    found = (_head().match(line) for line in frame.splitlines())
    return tuple(dict.fromkeys(match[1] for match in found if match))


@cache
def _head() -> re.Pattern[str]:
    return re.compile(r"\s*([^\w\s]?\w[\w ]{1,30}[^\w\s]?:|[^\w\s]{3,}(?=\s*$))")


@cache
def _steering() -> re.Pattern[str]:
    return re.compile(r"<(?=[^\s<>]{1,40}>)|\[(?=/?[a-z]?[A-Z_]{3,20}\])")


@lru_cache(maxsize=64)
def _opening(heads: tuple[str, ...]) -> re.Pattern[str]:
    """A line's start up to the first sign of a head."""
    signs = "|".join(f"{re.escape(head[0])}(?={_rest(head)})" for head in heads)
    return re.compile(
        rf"(?:^|(?<=[\r\v\f\x85\u2028\u2029]))[^\S\n]*+[*_#>]*[^\S\n]*+(?:{signs})", re.IGNORECASE | re.MULTILINE
    )


def _rest(head: str) -> str:
    word = re.escape(head[1:].removesuffix(":"))
    return rf"{word}[*_]*\s*:" if head.endswith(":") else word
