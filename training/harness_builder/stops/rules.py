"""The hard stops by words: a text is stopped by what it says before anything is drawn.

The rules look for words that stand in one text together, not for meaning, and err to the safe side: a text about how to
speak with children about sexuality is stopped too. The docs name what they cannot do: other languages than those of the
lists, hints without a word, a real person without a title. The check by a model is there for these.

The words are in the files of `words/`; names of persons are found by patterns. They are what a reader needs to see what
the rules cover, and no more: general words of the larger languages, none of them graphic; for weapons the names of
classes and of the agents that treaties list, and no detail of any. A `*` stands for any ending and `_` for a space or a
hyphen; a word in a script without spaces is found anywhere.

A word is found in each disguise: width, case, accents, invisible characters, digits and signs for letters, letters of
another alphabet that look the same, letters with spaces or dots between them, letters drawn out. Each form is looked
through next to the others, since what undoes one disguise can undo a plain word.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal, get_args

#: sexual content with minors; a named or recognisable real person; operational detail on weapons that kill many; what
#: the check could not tell, which counts as the worst
StopKind = Literal["minors", "person", "weapon", "unchecked"]
KINDS: Final[tuple[StopKind, ...]] = get_args(StopKind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Something was stopped.

    Attributes:
        kind: the reason; all that is stored of it.
    """

    kind: StopKind


_FOLDER: Final = Path(__file__).with_name("words")
_AGES: Final = r"""
    (?<![\w.,])(?:[1-9]|1[0-7])[\s-]*(?:(?:years?|yrs?)[\s-]*(?:old|of\s+age)|yo|y/o)(?!\w)
    |(?<![\w.,])(?:[1-9]|1[0-7])[\s-]*(?:jahrig\w*|jahre\s+alt|ans|anos|anni|лет|岁|歲|歳|才|살)(?![^\W\d_])
    |(?<!\w)(?:aged?|age\s+of)\s+(?:[1-9]|1[0-7])(?!\d)
    |(?<!\w)(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six|seven)teen)
        [\s-]+years?[\s-]+old
    |(?<!\w)(?:elementary|primary|middle|junior\s+high|high)[\s-]+school
"""
_TITLES: Final = (
    r"(?:mr|mrs|ms|dr|prof|sen|gov|rev)\.?|president|prime minister|chancellor|minister|king|queen|prince|princess|"
    r"pope|senator|governor|congress(?:man|woman)|mayor|ambassador|sir|dame|lord|lady|miss|professor|judge|justice|"
    r"general|colonel|imam|rabbi|sheikh|ayatollah|actor|actress|singer|rapper|footballer|politician|celebrity|"
    r"influencer|youtuber|herr|frau|monsieur|madame|señora?|don|doña"
)
_SHOWN: Final = "(?:photo|photograph|picture|portrait|image|deepfake|face|video|likeness|voice|statue) of|named|called"


_LEET: Final = str.maketrans({"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", "$": "s", "!": "i"})
_LIKE: Final = str.maketrans("авеіјкмнорѕстухԁһ", "abeijkmhopsctyxdh")  # Cyrillic that looks Latin
_SPACED: Final = re.compile(r"(?<!\w)(?:\w[\W_]{1,2}){2,}\w(?!\w)")  # c h i p, c.h.i.p
_SPLIT: Final = re.compile(r"(?<=\w)[^\w\s]+(?=\w)|_")  # ch-ip, ch.ip
_DRAWN_OUT: Final = re.compile(r"(.)\1{2,}")
_LETTER: Final = r"[^\W\d_]"
_NAME: Final = rf"({_LETTER}(?:{_LETTER}|['\u2019.-])*)"
_TITLED: Final = re.compile(rf"(?<!\w)(?i:{_TITLES})[ \t]+{_NAME}")
_DEPICTED: Final = re.compile(rf"(?<!\w)(?i:{_SHOWN})[ \t]+{_NAME}[ \t]+{_NAME}")
_AGE: Final = re.compile(_AGES, re.VERBOSE)
_NO_SPACES: Final = re.compile(r"[ᄀ-ᇿ぀-ヿ㐀-鿿가-힯]")


def stop_text(*texts: str) -> Stop | None:
    """Whether the texts of one item, read as one, may not be drawn, asked or stored.

    Args:
        texts: question, objects, image prompts, answer: all that there is of it.
    """
    whole = "\n".join(texts)
    plain = fold_text(whole)
    forms = _undo_disguises(plain)
    translated = (plain, plain.translate(_LEET), plain.translate(_LIKE))
    # words written letter by letter: where one ends in such a run cannot be told
    runs = {re.sub(r"[\W_]+", "", run) for form in translated for run in _SPACED.findall(form)}

    def found(name: str) -> bool:
        whole_word, anywhere = _compile_words(name)
        return any(whole_word.search(form) for form in forms) or any(anywhere.search(run) for run in runs)

    if found("minor_sexual") or ((found("minor") or _AGE.search(plain)) and found("sexual")):
        return Stop(kind="minors")
    if found("weapon") and found("operation"):
        return Stop(kind="weapon")
    return Stop(kind="person") if _names_person(whole) else None


def fold_text(text: str) -> str:
    """NFKC and casefold, without accents and invisible characters."""
    if text.isascii():
        return text.casefold()
    wide = unicodedata.normalize("NFKD", _drop_invisible(text).casefold())
    return "".join(letter for letter in wide if unicodedata.category(letter) != "Mn")


@cache
def read_words(name: str) -> tuple[str, ...]:
    """All words of one file."""
    lines = (_FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return tuple(word for line in lines if not line.startswith("#") for word in line.split())


def _drop_invisible(text: str) -> str:
    if text.isascii():
        return text
    return "".join(each for each in unicodedata.normalize("NFKC", text) if unicodedata.category(each) != "Cf")


def _undo_disguises(plain: str) -> list[str]:
    """The folded text and what it becomes when a disguise is undone."""
    found = {plain, plain.translate(_LIKE)}
    found |= {form.translate(_LEET) for form in found}
    found |= {_SPLIT.sub("", form) for form in found}
    found |= {_DRAWN_OUT.sub(r"\1", form) for form in found}
    return [plain, *sorted(found - {plain})]


def _names_person(text: str) -> bool:
    """A title with a name, or "a photo of" and two names. In a text of capitals alone a name cannot be told."""
    if text.isupper():
        return False

    def is_name(word: str) -> bool:
        return word[:1].isupper() and len(word) > 1

    text = _drop_invisible(text)
    titled = any(is_name(match[1]) for match in _TITLED.finditer(text))
    return titled or any(is_name(match[1]) and is_name(match[2]) for match in _DEPICTED.finditer(text))


@cache
def _compile_words(name: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Finds the words of a file as words, and anywhere in what was spelled letter by letter."""
    stems = sorted({fold_text(word) for word in read_words(name)})
    spaced = (stem for stem in stems if not _NO_SPACES.search(stem))
    words = "|".join(re.escape(stem).replace(r"\*", r"\w*").replace("_", r"[\s-]+") for stem in spaced)
    anywhere = [re.escape(stem) for stem in stems if _NO_SPACES.search(stem)]
    bare = (re.escape(stem.replace("_", "").replace("*", "")) for stem in stems)
    whole = "|".join((rf"(?<!\w)(?:{words})(?!\w)", *anywhere))
    return re.compile(whole), re.compile("|".join(bare))
