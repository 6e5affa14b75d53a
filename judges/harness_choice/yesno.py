"""The rule `yesno`: whether an answer says yes or no. Both, or neither, is `none`."""

from __future__ import annotations

import re
from typing import Final

from harness import Judge, Response, Rubric, Sample, Verdict

from .choice import get_target, strip_decoration

LABELS: Final = ("right", "wrong", "none")
MEANINGS: Final = {
    "right": "The answer names the right one of yes and no.",
    "wrong": "The answer names the other one.",
    "none": "The answer names none, or several.",
}
_WORD: Final = r"(yes|no)\b(?!\s*(?:/|\||,|or\b|and\b)\s*(?:yes|no)\b)"
_FIRST: Final = re.compile(rf"\W*{_WORD}", re.IGNORECASE)
_STATED: Final = re.compile(rf"(?<!</)\banswer(?:\s+is)?[\s:=\"'(>]*{_WORD}", re.IGNORECASE)
_SENTENCE: Final = re.compile(r".*?(?:[.!?](?=\s|$)|\n|$)", re.DOTALL)
_NEGATED: Final = re.compile(r"\b(?:no|not|none|cannot)\b|n't\b", re.IGNORECASE)


def find_yes_or_no(text: str) -> tuple[str, str]:
    """`yes`, `no` or nothing, and how it was read."""
    answer = strip_decoration(text)
    if first := _FIRST.match(answer):
        return first[1].lower(), "the first word"
    if stated := _STATED.findall(answer):
        return stated[-1].lower(), "the last answer it states"
    sentence = _SENTENCE.match(answer)
    first_sentence = sentence[0] if sentence else ""
    yes, no = bool(re.search(r"\byes\b", first_sentence, re.IGNORECASE)), bool(_NEGATED.search(first_sentence))
    return ("yes" if yes else "no", "the first sentence") if yes != no else ("", "it says neither yes nor no")


def _judge(sample: Sample, response: Response, _replies: object) -> Verdict:
    answer = _read_target(sample)
    said, how = find_yes_or_no(response.text)
    label = "none" if not said else "right" if said == answer else "wrong"
    return Verdict(label=label, axes={"said": said}, reason=how)


def _read_target(sample: Sample) -> str:
    """Raises ValueError unless the target is `{"answer": "yes"}` or `{"answer": "no"}`."""
    answer = get_target(sample).get("answer")
    if answer not in {"yes", "no"}:
        raise ValueError(f"sample {sample.id}: the target must hold yes or no as answer")
    return str(answer)


YESNO: Final = Judge(
    name="yesno",
    version="2",
    description="a rule: yes or no, by the first word, the stated answer or the first sentence; else none",
    open=lambda _settings, _root: Rubric(identity={}, labels=LABELS, read=_judge, meanings=MEANINGS),
)
