"""An answer, and what it is compared with, as both rules read them."""

from __future__ import annotations

import re
import unicodedata
from typing import Final, cast

from harness import Json, Sample

_PLAIN: Final = dict.fromkeys(map(ord, "\u2018\u2019\u02bc\u00b4"), "'") | dict.fromkeys(map(ord, "\u201c\u201d"), '"')
_WRITTEN: Final = re.compile(r"\\(?:text|textbf|mathrm|mathbf)\{([^{}]*)\}")


def plain(text: str) -> str:
    """The text without what only decorates it: one form of each character, no Markdown stars, underscores or ticks,
    no TeX fonts, one kind of quotation mark; lines and letters stay."""
    whole = unicodedata.normalize("NFKC", text).translate(_PLAIN)
    return re.sub(r"[*_`$#]", "", _WRITTEN.sub(r"\1", whole)).strip()


def words(text: str) -> str:
    """The text as words are compared: one case, single spaces, no punctuation at its ends."""
    return " ".join(plain(text).casefold().split()).strip(" .,:;!?\"'()[]")


def target_of(sample: Sample) -> dict[str, Json]:
    """What the sample's answer is compared with; empty where its task gave nothing of the kind."""
    target: Json = sample.target
    return cast("dict[str, Json]", target) if isinstance(target, dict) else {}
