"""Whether a text names an object, and whether two names are one.

Questions that refer to two images in place of naming what they show: what is wrong with one, and what it means.

A question names an object where it holds, as whole words, in any case, in the singular or plural of English,

- the object's whole name;
- its last word, which in English says what it is: "knife" of "bread knife";
- of a name such as "bottle of bleach" or "jar with a lid" also the word before the preposition.

Words that say nothing ("object", "image") are no name. An adjective alone ("red") is none either: it may be a word of
the question's own. A synonym is not found here; the template asks for none, and who sorts the item sees the question.

In English both references must be there. How other languages refer to an image is left to the template.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

_ARTICLE: Final = re.compile(r"^(?:an?|the|some)\s+", re.IGNORECASE)
_UNSPACED: Final = re.compile(r"[ᄀ-ᇿ぀-ヿ㐀-鿿가-힯]")  # scripts that put no spaces between words


def names_object(text: str, name: str, *, but: str = "") -> bool:
    """Whether a text names an object, in any case and without its article.

    Args:
        text: to look through.
        name: of the object.
        but: another name, within which the object's is not its own: "knife block" does not name a knife.
    """
    wanted, other = _plain(name), _plain(but)
    if not wanted or set(wanted.split()) <= set(other.split()):
        return False
    rest = _found(other).sub(" ", _plain(text)) if other else _plain(text)
    return _found(wanted).search(rest) is not None


def same_name(one: str, other: str) -> bool:
    """Whether two names are one, whatever their case, articles, spaces and signs."""
    return _letters(one) == _letters(other)


def alike_names(one: str, other: str) -> bool:
    """Whether two names are of one object: they are the same, or one ends in the other, as "bread knife" in "knife"."""
    if same_name(one, other):
        return True
    short, long = sorted((_plain(one).split(), _plain(other).split()), key=len)
    return bool(short) and long[-len(short) :] == short


def _letters(name: str) -> str:
    whole = _plain(unicodedata.normalize("NFKC", name))
    return "".join(each for each in whole if each.isalnum()) or whole


def _plain(text: str) -> str:
    return _ARTICLE.sub("", " ".join(text.casefold().split()))


def _found(name: str) -> re.Pattern[str]:
    """The name as whole words, in the plural of English too."""
    if _UNSPACED.search(name):
        return re.compile(re.escape(name))
    return re.compile(rf"(?<!\w){re.escape(name)}(?:e?s)?(?!\w)")


_VAGUE: Final = frozenset({"object", "thing", "item", "one", "image", "picture", "photo", "photograph"})
_SHORTEST: Final = 3  # letters of a last word that is looked for by itself
_BEFORE: Final = re.compile(r"([^\W\d_]+)\s+(?:of|with|for|in|on|from|de|des|du|di|da|do|mit|von|aus|avec|con|com)\s")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionFault:
    """What is wrong with a question.

    Attributes:
        why: in a few words, as it is counted.
        told: as it is told to the model.
    """

    why: str
    told: str


def find_question_fault(question: str, objects: tuple[str, str], language: str) -> QuestionFault | None:
    """What is wrong with a question that should refer to two images; None for nothing."""
    if not question:
        return QuestionFault(why="asks no question", told="the question is empty")
    if named := [name for name in objects if told(question, name)]:
        listed = " and ".join(repr(name) for name in named)
        return QuestionFault(
            why="names its objects",
            told=f"the question names {listed}, or a part of it; refer to the first and the second image instead",
        )
    if _english(language) and not (_FIRST.search(question) and _SECOND.search(question)):
        return QuestionFault(
            why="does not refer to both images",
            told="the question must speak of both, as the object in the first image and the object in the second image",
        )
    return None


def told(question: str, name: str) -> bool:
    """Whether a question names an object by the rule above."""
    return any(names_object(question, word) for word in _tellers(name))


def spell_out(question: str, objects: tuple[str, str]) -> str:
    """The same question in words alone: each reference to an image is replaced by the name of what it shows.

    A reference that is worded in another way, or in another language, stays, and both names follow the question in
    brackets: "… (1: bread knife; 2: watering can)". Either way it asks the same as the question with its images.
    """
    places = [match[1] is None for match in _REFERENCE.finditer(question)]
    spelled = _REFERENCE.sub(lambda match: _called(objects[match[1] is None], match[0]), question)
    if set(places) == {False, True} and not _FIRST.search(spelled) and not _SECOND.search(spelled):
        return spelled
    return f"{question} (1: {objects[0]}; 2: {objects[1]})"


def _called(name: str, reference: str) -> str:
    whole = name if _OWN.search(name) else f"the {_ARTICLE.sub('', name)}"
    return whole[0].upper() + whole[1:] if reference[0].isupper() else whole


def _tellers(name: str) -> set[str]:
    """The words by which a question would name an object."""
    found = {name.casefold()}
    for match in (_LAST.search(name), *_BEFORE.finditer(name)):
        word = match[1].casefold() if match else ""
        if len(word) >= _SHORTEST:
            found.add(word)
    bare = {_ARTICLE.sub("", word) for word in found} - _VAGUE
    return {form for word in bare for form in _numbers(word)}


def _numbers(word: str) -> set[str]:
    """A word as it is, and in the other number, where a plural is more than -s or -es."""
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


def _english(language: str) -> bool:
    return language.casefold().split()[:1] == ["english"]
