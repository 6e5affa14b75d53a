"""Tokens of a request before it is sent: by the length of its text, and by what vendors publish about images.

The rules for images come from the vendors' pages and from other people's measurements. They were not checked against
the servers. A measured number always comes first: see `harness.prices.forecast`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, cast

from harness.types import Image, Request, Text, Usage

Span = tuple[int, int]  #: least and most
Sizes = Callable[[Image], tuple[int, int]]  #: width and height of an image
#: most tokens of an answer without a limit, for an estimate
UNLIMITED: Final = 4096
MOST_TOKENS: Final = 10**9  #: of one call; a larger number is no count
_COUNTS: Final = ("input_tokens", "output_tokens", "reasoning_tokens", "cache_read_tokens", "cache_write_tokens")
_PER_TURN: Final = 8  #: tokens that a turn costs beside its text
_FEWEST_BYTES, _MOST_BYTES = 3, 5  #: of UTF-8 for one token


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRule:
    """How many tokens an image becomes.

    Attributes:
        name: the rule in words, for the user.
        count: (width, height) -> least and most tokens.
    """

    name: str
    count: Callable[[int, int], Span]


def find_image_rule(model: str) -> ImageRule:
    """The published rule for a model's name, `gpt-4o` or `openai/gpt-4o`; if none is known, a wide range."""
    name = model.rpartition("/")[2].lower()
    for pattern, rule in _RULES:
        if re.match(pattern, name):
            return rule
    return _ANY


def clean_usage(usage: Usage) -> Usage:
    """Token counts as a plugin gives them, with 0 for what is no count.

    If the input or the output is no count, neither is known: half of a call has no price.
    """
    counts = {name: _to_count(getattr(usage, name)) for name in _COUNTS}
    if counts["input_tokens"] is None or counts["output_tokens"] is None:
        counts = {}
    return Usage(**{name: count or 0 for name, count in counts.items()}, batch=bool(usage.batch))


def has_counts(usage: Usage) -> bool:
    """Whether the input and the output are numbers of tokens, also 0."""
    return _to_count(usage.input_tokens) is not None and _to_count(usage.output_tokens) is not None


def _to_count(value: object) -> int | None:
    """A number of tokens; None for what cannot be one."""
    try:
        number = value if type(value) is int else int(float(cast("float", value)))
    except (TypeError, ValueError, OverflowError):
        return None
    return number if 0 <= number <= MOST_TOKENS else None


def count_text(texts: Sequence[str]) -> Span:
    """Tokens of turns of text; a letter of a script other than Latin counts by its bytes."""
    size = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
    turns = _PER_TURN * len(texts)
    return math.ceil(size / _MOST_BYTES), math.ceil(size / _FEWEST_BYTES) + turns


def count_request(request: Request, rule: ImageRule, sizes: Sizes | None = None) -> Span:
    """Input tokens of a request: text and images.

    Args:
        request: what is sent.
        rule: for its images.
        sizes: finds an image's size; without it the images must be open.
    """
    texts = [part.text for message in request.messages for part in message.content if isinstance(part, Text)]
    low, high = count_text([*texts, request.prefill])
    for image in request.images:
        size = (1024, 1024) if image.content is None else (image.content.width, image.content.height)
        least, most = rule.count(*(size if sizes is None else sizes(image)))
        low, high = low + least, high + most
    return low, high


def count_output(request: Request) -> int:
    """Most tokens of an answer; a request with choices gets one token."""
    return 1 if request.choices else request.settings.max_tokens or UNLIMITED


def _count_tiles(base: int, tile: int) -> ImageRule:
    def count(width: int, height: int) -> Span:
        scale = min(1.0, 2048 / max(width, height))
        scale *= min(1.0, 768 / (min(width, height) * scale))
        tiles = math.ceil(round(width * scale) / 512) * math.ceil(round(height * scale) / 512)
        return base + tile * tiles, base + tile * tiles

    return ImageRule(name=f"OpenAI: {base} + {tile} for each tile of 512 pixels", count=count)


def _count_patches(factor: float) -> ImageRule:
    def count(width: int, height: int) -> Span:
        patches = min(1536, math.ceil(width / 32) * math.ceil(height / 32))
        return math.ceil(patches * factor), math.ceil(patches * factor)

    return ImageRule(name=f"OpenAI: {factor:g} for each patch of 32 pixels, at most 1,536 patches", count=count)


def _count_claude(longest: int, most: int) -> ImageRule:
    def count(width: int, height: int) -> Span:
        scale = min(1.0, longest / max(width, height))
        patches = math.ceil(width * scale / 28) * math.ceil(height * scale / 28)
        return min(most, patches), min(most, patches)

    return ImageRule(name=f"Claude: 1 for each patch of 28 pixels, at most {most:,}", count=count)


def _count_gemini(width: int, height: int) -> Span:
    tiles = 1 if max(width, height) <= 384 else math.ceil(width / 768) * math.ceil(height / 768)
    return 258, 258 * tiles


def _count_any(width: int, height: int) -> Span:
    patches = math.ceil(width / 28) * math.ceil(height / 28)
    return min(85, patches), max(1600, min(4784, patches))


#: for a count of the texts alone
NO_IMAGES: Final = ImageRule(name="", count=lambda _w, _h: (0, 0))
_ANY: Final = ImageRule(name="no rule is known for this model: 85 to 4,784 for an image", count=_count_any)
_NEW_CLAUDE: Final = _count_claude(2576, 4784)
_OLD_CLAUDE: Final = _count_claude(1568, 1568)
#: the first that matches a name counts
_RULES: Final[Sequence[tuple[str, ImageRule]]] = (
    (r"gpt-4o-mini", _count_tiles(2833, 5667)),
    (r"(gpt-4\.1|gpt-5)-mini", _count_patches(1.62)),
    (r"(gpt-4\.1|gpt-5)-nano", _count_patches(2.46)),
    (r"o4-mini", _count_patches(1.72)),
    (r"gpt-5\.[5-9]", _count_patches(1.2)),
    (r"gpt-5(-|$|-chat)", _count_tiles(70, 140)),
    (r"(gpt-4o|chatgpt-4o|gpt-4\.1|gpt-4\.5|gpt-4-turbo)", _count_tiles(85, 170)),
    (r"o[13](-|$)", _count_tiles(75, 150)),
    (r"claude-([a-z]+-)?(4-[7-9]|[5-9])(-|$)", _NEW_CLAUDE),
    (r"claude", _OLD_CLAUDE),
    (r"gemini-2", ImageRule(name="Gemini 2: 258 for each tile of 768 pixels", count=_count_gemini)),
    (r"gemini-[3-9]", ImageRule(name="Gemini 3: about 1,100 for an image", count=lambda _w, _h: (1000, 1200))),
)
