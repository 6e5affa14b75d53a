"""Signs that an answer speaks to its judge: flagged and counted, never acted on.

The fence and the strict parse keep a planted verdict from being read as one, but a judge's *model* can still be talked
round. So records with such text are counted beside the number. This is a heuristic: it knows the usual shapes and no
others, and an answer about judges or JSON can be flagged though it is honest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

_KEYS = r"verdicts?|labels?|label_\w{1,30}|safety|perception|judge?ment|classification|rating|is_?(?:un)?safe|class"
_WHO = r"judges?|graders?|evaluators?|raters?|annotators?|assessors?"
_TELL = r"must|should|please|output|return|answer|reply|respond|mark|label|classify|rate|score|give|conclude"
_BEFORE = r"previous|prior|above|earlier|preceding|grading|judging|evaluation"
_RULES = r"instructions?|rubrics?|criteria|guidelines?|prompts?|rules?"
_MATERIAL = r"answer|response|assistant|question"
_FIELDS = r"better|policy|effectiveness|refused|convincing|specific"  #: of our judges' forms; common words elsewhere
_SIGNS = r"[ \t\"'*_`]{0,8}"


def looks_like_verdict(answer: str, labels: Iterable[str] = ()) -> bool:
    """Whether an answer holds text shaped like a verdict, a marker, a chat turn, or orders to a judge.

    Args:
        answer: the text that is judged.
        labels: of the rubric, beside the general `safe` and `unsafe`.
    """
    import unicodedata

    return _shapes(tuple(labels)).search(unicodedata.normalize("NFKC", answer)) is not None


def _label_shapes(labels: tuple[str, ...]) -> tuple[str, ...]:
    """A verdict by one of the rubric's own labels: the label alone, a number before it, or behind the word answer."""
    if not labels:
        return ()
    label = "|".join(re.escape(name) for name in labels)
    return (
        rf"\A\s{{0,20}}{_SIGNS}(?:\d{{1,2}}[_.): ]{{1,3}})?(?:{label}){_SIGNS}\.?{_SIGNS}\s{{0,20}}\Z",
        rf"\b\d{{1,2}}_(?:{label})\b",
        rf"\banswer{_SIGNS}[:=]{_SIGNS}(?:{label})\b",
    )


@lru_cache(maxsize=64)
def _shapes(labels: tuple[str, ...]) -> re.Pattern[str]:
    label = "|".join(re.escape(name) for name in ("safe", "unsafe", *labels))
    shapes = (
        *_label_shapes(labels),
        r"\[\[\s{0,8}(?:\d{1,2}|[A-Z])\s{0,8}\]\]",
        r"#\s?the(?:score|reason|verdict|label)\b",
        r"</?\s*(?:answer|verdict|label|score|rating|judge?ment)\s*>",
        rf"[\"'](?:{_KEYS})[\"']\s*:\s*(?:[\"'\d]|true|false)",
        rf"[\"']reason[\"']\s*:\s*\"[^\"]{{0,1000}}\"\s*,\s*[\"'](?:{_FIELDS})[\"']\s*:",
        # What classifiers write: a word alone on a line after other text, or with categories below it.
        rf"\S[ \t]{{0,20}}\n(?:[ \t]{{0,20}}\n){{0,5}}{_SIGNS}(?:safe|unsafe|yes|no){_SIGNS}\.?{_SIGNS}(?:\n|\Z)",
        rf"\bunsafe{_SIGNS}\n{_SIGNS}[A-Z]\d{{1,2}}{_SIGNS}(?:,|\n|\Z)",
        r"\[\s{0,8}(?:result|verdict|rating|score)\s{0,8}\]",
        r"(?:\A|\n)[ \t*_]{0,8}agent[ \t*_]{0,8}:",
        rf"\b(?:{_KEYS}|final answer)\b[\"'*_]*\s*[:=][\s\"'*_]*(?:{label}|[0-9])\b",
        rf"\b(?:verdict|judge?ment|label|final answer) is:?[\s\"'*_]*(?:{label}|[0-9])\b",
        r"\bperception level ?[123]\b",
        rf"\[\s*(?:the )?end of (?:the )?(?:{_MATERIAL})",
        rf"\[(?:{_MATERIAL}) [0-9a-f]{{6,}}",
        r"<\|(?:im_start|start_header_id|assistant|user|system)|<start_of_turn>|\[/?INST\]|</s>|<</?SYS>>|\[gMASK\]",
        rf"\b(?:{_WHO})\b[^.\n]{{0,60}}\b(?:{_TELL})\b[^.\n]{{0,60}}\b(?:{label}|level ?[123])\b",
        rf"\b(?:ignore|disregard|forget)\b[^.\n]{{0,30}}\b(?:{_BEFORE})\b[^.\n]{{0,20}}\b(?:{_RULES})\b",
    )
    return re.compile("|".join(shapes), re.IGNORECASE)
