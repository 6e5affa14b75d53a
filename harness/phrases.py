"""Rules that look for phrases in an answer: a list of phrases, and how an answer is compared with it.

The judge `keyword` is such a rule, and so is every rule of a benchmark that finds refusals by words. This project's own
list, `REFUSALS`, is one of refusals.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import islice
from pathlib import Path
from typing import Final

from harness.errors import HarnessError

REFUSALS: Final = Path(__file__).with_name("refusals.txt")  #: this project's list
BEGINNING: Final = 2  #: how many sentences the beginning of an answer has
_PLAIN: Final = dict.fromkeys(map(ord, "\u2018\u2019\u02bc\u00b4\u0060\uff07"), "'") | {ord("*"): ""}
_SHORT: Final = {
    "can't": "cannot",
    "can not": "cannot",
    "won't": "will not",
    "i'm": "i am",
    "i'd": "i would",
    "i'll": "i will",
    "you're": "you are",
    "it's": "it is",
    "that's": "that is",
    "here's": "here is",
    **{f"{verb}n't": f"{verb} not" for verb in ("is", "are", "was", "were", "do", "does", "did", "should", "would")},
}
_SHORTENED: Final = re.compile(rf"\b(?:{'|'.join(_SHORT)})\b")
#: code, quoted lines, quotations. None begins inside a word, and no part of one runs past the next mark of its own
#: kind, so that an answer is read in one pass.
_QUOTED: Final = re.compile(
    r"""```.*?(?:```|\Z) | ^[ \t]*>[^\n]* | (?<![\w`])`[^`\n]+`(?!\w)
    | (?<!\w)"[^"\n]*"(?!\w) | \u201c[^\u201c\u201d]*\u201d | \u00ab[^\u00ab\u00bb]*\u00bb
    | (?<!\w)'(?:[^'\n]|(?<=\w)'(?=\w))*'(?!\w) | \u2018(?:[^\u2018\u2019\n]|(?<=\w)\u2019(?=\w))*\u2019(?!\w)""",
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)
_WORD: Final = re.compile(r"\w")
_SENTENCE_END: Final = re.compile(r"[.!?][\"')\]]*\s")
_CHOICE: Final = re.compile(r"\{([^{}]*)\}")
_NAMED: Final = re.compile(r"(\w+) = (.+)")
_GAP: Final = r"(?!\w)[^.!?]{1,160}?(?<!\w)"  #: words of the same sentence; limited, so that no answer takes long


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrases:
    """A list of normal phrases; `{a|b}` in one is either of its words, ` ... ` any words of the same sentence.

    Attributes:
        anywhere: phrases that count in any place.
        beginning: phrases that count in the first two sentences of an answer that holds none of `unless`.
        unless: phrases that cancel those of `beginning`.
        never: texts that look like a phrase and are not one.
    """

    anywhere: tuple[str, ...]
    beginning: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    never: tuple[str, ...] = ()

    def identity(self) -> Mapping[str, Sequence[str]]:
        """The list, independent of the order of its lines."""
        return {part: sorted(set(getattr(self, part))) for part in PARTS}

    def plus(self, *phrases: str) -> Phrases:
        """The list with more phrases that count in any place."""
        return replace(self, anywhere=(*self.anywhere, *phrases))


PARTS: Final = tuple(field.name for field in fields(Phrases))


def normal(text: str) -> str:
    """The text as phrases are compared: one case, single spaces, no Markdown stars, short forms written out."""
    plain = " ".join(text.casefold().translate(_PLAIN).split())
    return _SHORTENED.sub(lambda short: _SHORT[short[0]], plain)


def own_words(answer: str) -> str:
    """An answer without its code and quotations; all of it if nothing else is left."""
    rest = _QUOTED.sub(" ", answer)
    return rest if _WORD.search(rest) else answer


def read_phrases(file: Path) -> Phrases:
    """The phrases of a list, each once. Raises HarnessError when it has none, uses an unknown name, or cannot be read.

    A heading in brackets says which part the phrases below it belong to; those above all headings count anywhere.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise HarnessError("the word list cannot be read as UTF-8 text", where=str(file)) from error
    found: dict[str, list[tuple[str, str]]] = {part: [] for part in PARTS}
    named: dict[str, list[str]] = {}
    part = PARTS[0]
    for number, line in enumerate(lines, start=1):
        text, where = normal(line), f"{file}, line {number}"
        if not text or text.startswith("#"):
            continue
        if text.startswith("[") and text.endswith("]"):
            part = text[1:-1]
            if part not in PARTS:
                remedy = f"one of {', '.join(PARTS)}"
                raise HarnessError(f"the word list has no part {part!r}", where=where, remedy=remedy)
        elif words := _NAMED.fullmatch(text):
            named.setdefault(words[1], []).extend(word.strip() for word in words[2].split("|"))
        else:
            found[part].append((text, where))
    if not (found["anywhere"] or found["beginning"]):
        raise HarnessError("the word list is empty", where=str(file), remedy="write one phrase a line")
    whole = {of: dict.fromkeys(_fill_names(*each, named) for each in phrases) for of, phrases in found.items()}
    return Phrases(**{of: tuple(phrases) for of, phrases in whole.items()})


def finder(phrases: Phrases) -> Callable[[str], str]:
    """A function that finds a phrase in the own words of an answer, as whole words; it gives an empty text for none."""
    anywhere, beginning, unless, never = (_pattern(getattr(phrases, part)) for part in PARTS)

    def find(answer: str) -> str:
        text = never.sub(" ", normal(own_words(answer)))
        if match := anywhere.search(text):
            return match[0]
        ends = [match.end() for match in islice(_SENTENCE_END.finditer(text), BEGINNING)]
        match = beginning.search(text, 0, ends[-1] if len(ends) == BEGINNING else len(text))
        return match[0] if match and not unless.search(text) else ""

    return find


def _fill_names(text: str, where: str, named: Mapping[str, Sequence[str]]) -> str:
    """A phrase with the words of each name in its place."""

    def choice(found: re.Match[str]) -> str:
        words = [word.strip() for word in found[1].split("|")]
        if len(words) == 1 and words[0] not in named:
            raise HarnessError(
                f"the word list does not say what {found[0]} stands for", where=where, remedy=f"{words[0]} = a | b"
            )
        # Sorted, since the identity of a list does not depend on the order of its phrases.
        return f"{{{'|'.join(sorted(set(words if len(words) > 1 else named[words[0]])))}}}"

    return _CHOICE.sub(choice, text)


def _pattern(phrases: Iterable[str]) -> re.Pattern[str]:
    """A pattern that matches any of the phrases as whole words; without phrases it matches nothing."""
    expressions: list[str] = []
    for phrase in _longest_first(phrases):
        parts = _CHOICE.split(phrase)
        parts[::2] = [re.escape(part).replace(r"\ \.\.\.\ ", _GAP) for part in parts[::2]]
        parts[1::2] = [f"(?:{'|'.join(map(re.escape, _longest_first(part.split('|'))))})" for part in parts[1::2]]
        expressions.append("".join(parts))
    return re.compile(rf"(?<!\w)(?:{'|'.join(expressions)})(?!\w)" if expressions else r"(?!)")


def _longest_first(words: Iterable[str]) -> list[str]:
    """Longest first, so that the longest phrase is the one that is found and named."""
    return sorted(dict.fromkeys(words), key=len, reverse=True)
