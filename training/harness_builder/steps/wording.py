"""Names of objects in texts: finds names, compares them, and checks questions.

A question refers to two images and does not name what they show. It names an object if it holds, as whole words, in any
case, in the singular or plural of English,

- the object's whole name;
- its last word, the main noun in English: "knife" of "bread knife";
- of a name such as "bottle of bleach" or "jar with a lid" also the word before the preposition.

Empty words ("object", "image") are not names, and neither is an adjective alone ("red"), which the question may use
itself. Synonyms are not found here; the template forbids them, and a person or a model sees the question in `sort`.

In English both references must be present. How other languages refer to an image is left to the template.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

_ARTICLE: Final = re.compile(r"^(?:an?|the|some)\s+", re.IGNORECASE)
_UNSPACED: Final = re.compile(r"[ᄀ-ᇿ぀-ヿ㐀-鿿가-힯]")  # scripts without spaces between words
_VAGUE: Final = frozenset({"object", "thing", "item", "one", "image", "picture", "photo", "photograph"})
_SHORTEST: Final = 3  # least letters of a last word that is searched alone
_BEFORE: Final = re.compile(
    r"([^\W\d_]+)\s+(?:of|with|for|in|on|from|de|des|du|di|da|do|mit|von|aus|avec|con|com)\s", re.IGNORECASE
)
_LAST: Final = re.compile(r"([^\W\d_]+)\W*$")
_IMAGE: Final = r"(?:image|picture|photo|photograph)s?"
_FIRST: Final = re.compile(
    rf"\b(?:first|1st)\b(?:\s+(?:and|or)\s+(?:the\s+)?(?:second|2nd))?\s+{_IMAGE}\b", re.IGNORECASE
)
_SECOND: Final = re.compile(rf"\b(?:second|2nd)\s+{_IMAGE}\b", re.IGNORECASE)
_REFERENCE: Final = re.compile(
    r"\b(?:(?:the|this|that|an?)\s+(?:object|item|thing|one)|that|what(?:ever)?(?:\s+is|['\u2019]s))\s+"
    r"(?:(?:that\s+is|which\s+is|shown|seen|depicted|pictured|visible)\s+)*"
    rf"(?:in|from|on|of)\s+(?:the\s+)?(?:(first|1st)|second|2nd)\s+{_IMAGE}\b",
    re.IGNORECASE,
)
_OWN: Final = re.compile(r"^(?:my|your|his|her|its|our|their)\s", re.IGNORECASE)


def names_object(text: str, name: str, *, but: str = "") -> bool:
    """Whether a text holds the name of an object, in any case, singular or plural, without its article.

    Args:
        text: to search.
        name: of the object.
        but: another name; the object's name within it does not count: "knife block" does not name a knife.
    """
    wanted, other = _normalize(name), _normalize(but)
    if not wanted or set(wanted.split()) <= set(other.split()):
        return False
    rest = _word_pattern(other).sub(" ", _normalize(text)) if other else _normalize(text)
    return _word_pattern(wanted).search(rest) is not None


def same_name(one: str, other: str) -> bool:
    """Whether two names are equal except for case, articles, spaces and signs."""
    return _letters(one) == _letters(other)


def alike_names(one: str, other: str) -> bool:
    """Whether two names mean one object: they are equal, or one ends in the other, as "bread knife" in "knife"."""
    if same_name(one, other):
        return True
    short, long = sorted((_normalize(one).split(), _normalize(other).split()), key=len)
    return bool(short) and long[-len(short) :] == short


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionFault:
    """A fault of a question.

    Attributes:
        why: in a few words, for the counts.
        told: in words for the model.
    """

    why: str
    told: str


def find_question_fault(question: str, objects: tuple[str, str], language: str) -> QuestionFault | None:
    """The fault of a question that should refer to two images."""
    if not question:
        return QuestionFault(why="asks no question", told="the question is empty")
    if named := [name for name in objects if question_names(question, name)]:
        listed = " and ".join(repr(name) for name in named)
        return QuestionFault(
            why="names its objects",
            told=f"the question names {listed}, or a part of it; refer to the first and the second image instead",
        )
    english = language.casefold().split()[:1] == ["english"]
    if english and not (_FIRST.search(question) and _SECOND.search(question)):
        return QuestionFault(
            why="does not refer to both images",
            told="the question must speak of both, as the object in the first image and the object in the second image",
        )
    return None


def question_names(question: str, name: str) -> bool:
    """Whether a question names an object, by the module's rule."""
    words = {name.casefold()}
    for match in (_LAST.search(name), *_BEFORE.finditer(name)):
        word = match[1].casefold() if match else ""
        if len(word) >= _SHORTEST:
            words.add(word)
    bare = {_ARTICLE.sub("", word) for word in words} - _VAGUE
    return any(names_object(question, form) for word in bare for form in _both_numbers(word))


def spell_out(question: str, objects: tuple[str, str]) -> str:
    """The question in words alone: the name of its object replaces each reference to an image.

    If a reference has other words, or another language, both names follow the question in brackets:
    "… (1: bread knife; 2: watering can)". Either way it means the same as the question with its images.
    """

    def name(reference: re.Match[str]) -> str:
        of = objects[reference[1] is None]
        whole = of if _OWN.search(of) else f"the {_ARTICLE.sub('', of)}"
        return whole[0].upper() + whole[1:] if reference[0][0].isupper() else whole

    referred = {match[1] is None for match in _REFERENCE.finditer(question)}
    spelled = _REFERENCE.sub(name, question)
    if referred == {False, True} and not _FIRST.search(spelled) and not _SECOND.search(spelled):
        return spelled
    return f"{question} (1: {objects[0]}; 2: {objects[1]})"


def _normalize(text: str) -> str:
    return _ARTICLE.sub("", " ".join(text.casefold().split()))


def _letters(name: str) -> str:
    whole = _normalize(unicodedata.normalize("NFKC", name))
    return "".join(each for each in whole if each.isalnum()) or whole


def _word_pattern(name: str) -> re.Pattern[str]:
    """The name as whole words, in the plural of English too."""
    if _UNSPACED.search(name):
        return re.compile(re.escape(name))
    return re.compile(rf"(?<!\w){re.escape(name)}(?:e?s)?(?!\w)")


def _both_numbers(word: str) -> set[str]:
    """A word, and its other number if its plural is not -s or -es."""
    found = {word}
    if word.endswith("ies"):
        found.add(f"{word[:-3]}y")
    elif word.endswith("ves"):
        found |= {f"{word[:-3]}f", f"{word[:-3]}fe"}
    elif word.endswith("es"):
        found |= {word[:-1], word[:-2]}
    elif word.endswith("s") and not word.endswith("ss"):
        found.add(word[:-1])
    elif word.endswith("y"):
        found.add(f"{word[:-1]}ies")
    elif word.endswith("f"):
        found.add(f"{word[:-1]}ves")
    elif word.endswith("fe"):
        found.add(f"{word[:-2]}ves")
    return {each for each in found if len(each) >= _SHORTEST} or {word}
