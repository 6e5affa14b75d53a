"""The rules `choice` and `yesno`: which option an answer names, and whether it says yes or no.

`choice` tries five readings in order; the first that finds anything decides. No letter or several letters is `none`:
the rule never guesses. A target with `several: last` takes the last of several letters, for benchmarks whose own script
does so. `yesno` reads the first word, then the stated answer, then the first sentence; both or neither is `none`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final, cast

from harness import Json, Judge, Response, Rubric, Sample, Verdict

LABELS: Final = ("right", "wrong", "none")
MEANINGS: Final = {
    "right": "The answer names the right option and no other.",
    "wrong": "The answer names another option.",
    "none": "The answer names none, or several.",
}
YESNO_MEANINGS: Final = {
    "right": "The answer names the right one of yes and no.",
    "wrong": "The answer names the other one.",
    "none": "The answer names none, or several.",
}
SEVERAL: Final = ("none", "last")  #: values of a target's `several`: how to read an answer with several letters
Options = Mapping[str, str]  #: letter -> text

_PLAIN: Final = dict.fromkeys(map(ord, "\u2018\u2019\u02bc\u00b4"), "'") | dict.fromkeys(map(ord, "\u201c\u201d"), '"')
_WRITTEN: Final = re.compile(r"\\(?:text|textbf|mathrm|mathbf)\{([^{}]*)\}")

_YES_OR_NO: Final = r"(yes|no)\b(?!\s*(?:/|\||,|or\b|and\b)\s*(?:yes|no)\b)"
_FIRST: Final = re.compile(rf"\W*{_YES_OR_NO}", re.IGNORECASE)
_STATED: Final = re.compile(rf"(?<!</)\banswer(?:\s+is)?[\s:=\"'(>]*{_YES_OR_NO}", re.IGNORECASE)
_SENTENCE: Final = re.compile(r".*?(?:[.!?](?=\s|$)|\n|$)", re.DOTALL)
_NEGATED: Final = re.compile(r"\b(?:no|not|none|cannot)\b|n't\b", re.IGNORECASE)

#: What may be between the word "answer" and the letter; `>` if the word is a tag.
_IS: Final = r"(?:\s+(?:is|was|would be|should be|must be))?[\s:=\"'>]*(?:(?:the\s+)?(?:option|choice|letter)\b[\s:]*)?"
_SAYS: Final = (
    rf"(?<!</)\banswer{_IS}|\b(?:correct|right|best)\s+(?:option|choice|letter|one){_IS}|\\boxed\s*|\boption:\s*"
)
_PRAISED: Final = r"[)\]\"']*\s+is\s+(?:the\s+|my\s+)?(?:correct|right|best|answer)\b"
#: A and I are also words: they count as letters in brackets, or before an end, a reason or another letter.
_ENDED: Final = (
    r"(?=\s*(?:$|[\n)\]}}<>.,:;!?\"'=(/|\u2013\u2014-]|because\b|since\b"
    r"|(?:or|and|not|and not|but not)\s+[(\[]?[{letters}](?![\w'])))"
)


def strip_decoration(text: str) -> str:
    """The text without decoration: Unicode-normalised, no Markdown stars, underscores or ticks, no TeX fonts, one
    kind of quotation mark; lines and letters stay."""
    whole = unicodedata.normalize("NFKC", text).translate(_PLAIN)
    return re.sub(r"[*_`$#]", "", _WRITTEN.sub(r"\1", whole)).strip()


def normalise_words(text: str) -> str:
    """The text, ready to compare: one case, single spaces, no punctuation at its ends."""
    return " ".join(strip_decoration(text).casefold().split()).strip(" .,:;!?\"'()[]")


def get_target(sample: Sample) -> dict[str, Json]:
    """The sample's target; empty if its task set none."""
    target: Json = sample.target
    return cast("dict[str, Json]", target) if isinstance(target, dict) else {}


def find_letters(text: str, options: Options) -> tuple[tuple[str, ...], str]:
    """The letters an answer names, and which reading found them; only a single letter is an answer."""
    answer, letters = strip_decoration(text), "".join(options)
    readings: tuple[tuple[str, Callable[[], list[str]]], ...] = (
        ("the answer is nothing else", lambda: _find_alone(answer, options)),
        ("the last one it states", lambda: _compile_stated(letters).findall(answer)[-1:]),
        ("the answer begins with it", lambda: _find_begun(answer, letters)),
        ("the only letter in it", lambda: _compile_lone(letters).findall(answer)),
        ("the only option whose text is in it", lambda: _find_quoted(answer, options)),
    )
    for how, reading in readings:
        if found := tuple(dict.fromkeys(letter.upper() for letter in reading())):
            return found, how
    return (), ""


def _find_alone(answer: str, options: Options) -> list[str]:
    """A letter in any case, or an option's text."""
    said = re.sub(r"^(?:option|choice|letter|answer)[\s:]+", "", normalise_words(answer))
    return [letter for letter, text in options.items() if said in {letter.casefold(), normalise_words(text)} - {""}]


def _find_begun(answer: str, letters: str) -> list[str]:
    """`B. …`, `B) …`, `(B) …` or a first line of `B`; nothing if another letter also begins so (a list)."""
    signed = re.findall(rf"(?<![\w'])[{letters}](?=[.):\]](?!\w)|\s*$|\s*\n)", answer)
    return signed[:1] if len(set(signed)) == 1 and re.match(rf"[(\[]?{signed[0]}\W", answer) else []


def _find_quoted(answer: str, options: Options) -> list[str]:
    """The options whose text is in the answer as whole words; a text inside a longer option does not count."""
    left, found = normalise_words(answer), list[str]()
    texts = {letter: normalise_words(text) for letter, text in options.items() if normalise_words(text)}
    for text in sorted(set(texts.values()), key=len, reverse=True):
        left, times = re.subn(rf"(?<!\w){re.escape(text)}(?!\w)", "\0", left)
        found += [letter for letter, own in texts.items() if times and own == text]
    return found


@lru_cache(maxsize=64)
def _compile_stated(letters: str) -> re.Pattern[str]:
    """`answer: B`, `the answer is (B)`, `\\boxed{B}`, `B is correct`; not a letter joined to another (`A or B`)."""
    small = rf"[{letters.lower()}](?=[)\]}}.<]|\s*(?:\n|$))"
    after = rf"(?:(?i:{_SAYS})[(\[{{<]?(?=(?:{_letter(letters)}|{small})(?![\w']))"
    before = rf"(?<![\w'])(?=[{letters}]{_PRAISED})"
    beside = rf"(?!\S?\s*(?:/|\||,|or\b|and\b)\s*[(\[]?[{letters}](?![\w']))"
    return re.compile(rf"(?:{after})|{before})([{letters}{letters.lower()}]){beside}")


@lru_cache(maxsize=64)
def _compile_lone(letters: str) -> re.Pattern[str]:
    """A capital letter by itself; not one right after "not" or "n't"."""
    return re.compile(rf"(?<!\bnot )(?<!\bnot \()(?<!n't )(?<![\w'])(?:{_letter(letters)})(?![\w'])")


def _letter(letters: str) -> str:
    ended = _ENDED.format(letters=letters)
    return rf"(?![AI])[{letters}]|(?=[{letters}])(?:(?<=[(\[{{])[AI]|[AI]{ended})"


def _judge_choice(sample: Sample, response: Response, _replies: object) -> Verdict:
    """Raises ValueError unless the target is `{"answer": "B", "options": {"A": "…", "B": "…"}}` and maybe `several`."""
    target = get_target(sample)
    answer, given = str(target.get("answer")), target.get("options")
    if not isinstance(given, dict) or answer not in given:
        raise ValueError(f"sample {sample.id}: the target needs `options`, and as `answer` one of their letters")
    options = {str(letter): str(text) for letter, text in cast("dict[str, Json]", given).items()}
    if odd := [letter for letter in options if not re.fullmatch("[A-Z]", letter)]:
        raise ValueError(f"sample {sample.id}: option {odd[0]!r} is not one capital letter")
    several = str(target.get("several", SEVERAL[0]))
    if several not in SEVERAL:
        raise ValueError(f"sample {sample.id}: several is {several!r}, not one of {', '.join(SEVERAL)}")
    found, how = find_letters(response.text, options)
    if (
        len(found) > 1
        and several == "last"
        and (letters := _compile_lone("".join(options)).findall(strip_decoration(response.text)))
    ):
        found, how = (letters[-1].upper(),), "the last of several letters"
    if len(found) != 1:
        reason = f"it names {', '.join(found)}" if found else "it names no option"
        return Verdict(label="none", axes={"said": ""}, reason=reason)
    return Verdict(label="right" if found[0] == answer else "wrong", axes={"said": found[0]}, reason=how)


CHOICE: Final = Judge(
    name="choice",
    version="3",
    description="a rule: the one option an answer names is right or wrong; none, or several, is none",
    open=lambda _settings, _root: Rubric(identity={}, labels=LABELS, read=_judge_choice, meanings=MEANINGS),
)


def find_yes_or_no(text: str) -> tuple[str, str]:
    """`yes`, `no` or "", and which reading found it."""
    answer = strip_decoration(text)
    if first := _FIRST.match(answer):
        return first[1].lower(), "the first word"
    if stated := _STATED.findall(answer):
        return stated[-1].lower(), "the last answer it states"
    sentence = _SENTENCE.match(answer)
    first_sentence = sentence[0] if sentence else ""
    yes, no = bool(re.search(r"\byes\b", first_sentence, re.IGNORECASE)), bool(_NEGATED.search(first_sentence))
    return ("yes" if yes else "no", "the first sentence") if yes != no else ("", "it says neither yes nor no")


def _judge_yes_or_no(sample: Sample, response: Response, _replies: object) -> Verdict:
    """Raises ValueError unless the target is `{"answer": "yes"}` or `{"answer": "no"}`."""
    answer = get_target(sample).get("answer")
    if answer not in {"yes", "no"}:
        raise ValueError(f"sample {sample.id}: the target's `answer` must be yes or no")
    said, how = find_yes_or_no(response.text)
    label = "none" if not said else "right" if said == answer else "wrong"
    return Verdict(label=label, axes={"said": said}, reason=how)


YESNO: Final = Judge(
    name="yesno",
    version="2",
    description="a rule: yes or no, by the first word, the stated answer or the first sentence; else none",
    open=lambda _settings, _root: Rubric(identity={}, labels=LABELS, read=_judge_yes_or_no, meanings=YESNO_MEANINGS),
)
