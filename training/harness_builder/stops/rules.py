"""A hard stop, which holds nothing of what it stopped.

The words the rules look for, in the files of `words/`; a name stands for itself.

They are what a reader needs to see what the rules cover, and no more: general words of the larger languages, none of
them graphic; for weapons the names of classes and of the agents that treaties list, and no detail of any. A `*` stands
for any ending and `_` for a space or a hyphen; a word in a script without spaces is found anywhere. Ages and titles are
patterns, and stand here.

One spelling for what is written in many, so that a word is found however it is dressed up.

Width, case, accents, invisible characters, digits and signs for letters, letters of another alphabet that look the
same, letters with spaces or dots between them, letters drawn out: each form is looked through beside the others, since
what undoes one disguise can undo a plain word.

The text rules: what a text says is stopped before anything is drawn, by words alone.

They look for words that stand in one text together, not for meaning, and err to the safe side: a text about how to
speak with children about sexuality is stopped too. What they cannot do is named in the docs: other languages than those
of the lists, hints without a word, a real person without a title. The check by a model is there for these.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
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
        kind: why; all that is kept of it.
    """

    kind: StopKind


_FOLDER: Final = Path(__file__).with_name("words")

AGES: Final = r"""
    (?<![\w.,])(?:[1-9]|1[0-7])[\s-]*(?:(?:years?|yrs?)[\s-]*(?:old|of\s+age)|yo|y/o)(?!\w)
    |(?<![\w.,])(?:[1-9]|1[0-7])[\s-]*(?:jahrig\w*|jahre\s+alt|ans|anos|anni|лет|岁|歲|歳|才|살)(?![^\W\d_])
    |(?<!\w)(?:aged?|age\s+of)\s+(?:[1-9]|1[0-7])(?!\d)
    |(?<!\w)(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six|seven)teen)
        [\s-]+years?[\s-]+old
    |(?<!\w)(?:elementary|primary|middle|junior\s+high|high)[\s-]+school
"""
TITLE: Final = (
    r"(?:mr|mrs|ms|dr|prof|sen|gov|rev)\.?|president|prime minister|chancellor|minister|king|queen|prince|princess|"
    r"pope|senator|governor|congress(?:man|woman)|mayor|ambassador|sir|dame|lord|lady|miss|professor|judge|justice|"
    r"general|colonel|imam|rabbi|sheikh|ayatollah|actor|actress|singer|rapper|footballer|politician|celebrity|"
    r"influencer|youtuber|herr|frau|monsieur|madame|señora?|don|doña"
)
SHOWN: Final = "(?:photo|photograph|picture|portrait|image|deepfake|face|video|likeness|voice|statue) of|named|called"


@cache
def words(name: str) -> tuple[str, ...]:
    """All words of one file."""
    lines = (_FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return tuple(word for line in lines if not line.startswith("#") for word in line.split())


_LEET: Final = str.maketrans({"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", "$": "s", "!": "i"})
_LIKE: Final = str.maketrans("авеіјкмнорѕстухԁһ", "abeijkmhopsctyxdh")  # Cyrillic that looks Latin
_SPACED: Final = re.compile(r"(?<!\w)(?:\w[\W_]{1,2}){2,}\w(?!\w)")  # c h i p, c.h.i.p
_SPLIT: Final = re.compile(r"(?<=\w)[^\w\s]+(?=\w)|_")  # ch-ip, ch.ip
_DRAWN_OUT: Final = re.compile(r"(.)\1{2,}")


def visible(text: str) -> str:
    """NFKC, without characters that cannot be seen."""
    if text.isascii():
        return text
    return "".join(each for each in unicodedata.normalize("NFKC", text) if unicodedata.category(each) != "Cf")


def fold_text(text: str) -> str:
    """NFKC and casefold, without accents and invisible characters."""
    if text.isascii():
        return text.casefold()
    wide = unicodedata.normalize("NFKD", visible(text).casefold())
    return "".join(letter for letter in wide if unicodedata.category(letter) != "Mn")


def forms(text: str) -> tuple[str, ...]:
    """The folded text and what it becomes when a disguise is undone; the last ones have no spaces left in them."""
    plain = fold_text(text)
    dressed = dict.fromkeys(_undone(plain.translate(_LIKE)) | _undone(plain))
    return (plain, *sorted(dressed.keys() - {plain}))


def spelled(text: str) -> tuple[str, ...]:
    """Words that were written letter by letter, each run of them as one: where one ends in it nobody can tell."""
    plain = fold_text(text)
    runs = [run for form in (plain, plain.translate(_LEET), plain.translate(_LIKE)) for run in _SPACED.findall(form)]
    return tuple(dict.fromkeys(re.sub(r"[\W_]+", "", run) for run in runs))


def _undone(text: str) -> set[str]:
    letters = {text, text.translate(_LEET)}
    letters |= {_SPLIT.sub("", form) for form in letters}
    return letters | {_DRAWN_OUT.sub(r"\1", form) for form in letters}


_LETTER: Final = r"[^\W\d_]"
_NAME: Final = rf"({_LETTER}(?:{_LETTER}|['\u2019.-])*)"
_TITLED: Final = re.compile(rf"(?<!\w)(?i:{TITLE})[ \t]+{_NAME}")
_DEPICTED: Final = re.compile(rf"(?<!\w)(?i:{SHOWN})[ \t]+{_NAME}[ \t]+{_NAME}")
_AGE: Final = re.compile(AGES, re.VERBOSE)
_NO_SPACES: Final = re.compile(r"[ᄀ-ᇿ぀-ヿ㐀-鿿가-힯]")


def stop_text(*texts: str) -> Stop | None:
    """Whether these texts of one item may not be drawn, asked or kept; they are read as one.

    Args:
        texts: question, objects, image prompts, answer: all that there is of it.
    """
    whole = "\n".join(texts)
    found, runs = forms(whole), spelled(whole)
    if _minors(found, runs):
        return Stop(kind="minors")
    if _any(found, runs, "weapon") and _any(found, runs, "operation"):
        return Stop(kind="weapon")
    return Stop(kind="person") if _named(whole) else None


def _minors(found: tuple[str, ...], runs: tuple[str, ...]) -> bool:
    if _any(found, runs, "minor_sexual"):
        return True
    young = _any(found, runs, "minor") or _AGE.search(found[0]) is not None
    return young and _any(found, runs, "sexual")


def _named(text: str) -> bool:
    """A title with a name, or "a photo of" and two names. All in capitals nobody can tell a name from a word."""
    if text.isupper():
        return False
    text = visible(text)
    titled = any(_is_name(match[1]) for match in _TITLED.finditer(text))
    return titled or any(_is_name(match[1]) and _is_name(match[2]) for match in _DEPICTED.finditer(text))


def _is_name(word: str) -> bool:
    return word[:1].isupper() and len(word) > 1


def _any(found: Iterable[str], runs: Iterable[str], name: str) -> bool:
    whole, inside = _patterns(name)
    return any(whole.search(form) for form in found) or any(inside.search(run) for run in runs)


@cache
def _patterns(name: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Finds the words of a file as words, and anywhere in what was spelled letter by letter."""
    stems = sorted({fold_text(word) for word in words(name)})
    anywhere = [re.escape(stem) for stem in stems if _NO_SPACES.search(stem)]
    words_alone = "|".join(_pattern(stem) for stem in stems if not _NO_SPACES.search(stem))
    bare = (re.escape(stem.replace("_", "").replace("*", "")) for stem in stems)
    whole = "|".join((rf"(?<!\w)(?:{words_alone})(?!\w)", *anywhere))
    return re.compile(whole), re.compile("|".join(bare))


def _pattern(stem: str) -> str:
    return re.escape(stem).replace(r"\*", r"\w*").replace("_", r"[\s-]+")
