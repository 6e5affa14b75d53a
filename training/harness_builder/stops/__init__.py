"""The hard stops: content that never enters a built set. No setting lifts a stop.

A stop holds only its kind, and nothing of the stopped content, so that it can be counted and nothing else.

By words: the rules look for words that are together in one text, not for meaning, and err on the safe side: a text on
how to speak with children about sexuality is stopped too. The docs name their limits: other languages than those of the
lists, hints without a word, a real person without a title. The check by a model covers these.

The words are in the files of `words/`; names of persons are found by patterns. The lists show what the rules cover, and
no more: general words of the larger languages, none of them graphic; for weapons the names of classes and of the agents
that treaties list, without details. A `*` is any ending and `_` is a space or a hyphen; a word in a script without
spaces is found anywhere. A word is found in each disguise: width, case, accents, invisible characters, digits and signs
for letters, letters of another alphabet that look the same, letters with spaces or dots between them, repeated letters.
Each form is searched as well as the plain text, since undoing one disguise can change a plain word.

By a model: the check fails closed. A reply that is not exactly the form, a refusal, a filter and a failed call all stop
the item as unchecked. The instructions are a part of the package, and no build can replace them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal, get_args

from harness import Failure, Image, Message, Request, Response, Text, Verdict
from harness.rubric import ReplySchema, fill
from harness.rubric.templates import Marker, draw_marker, fence, random_marker

#: sexual content with minors; a named or recognisable real person; operational detail on weapons that kill many;
#: unchecked content, which counts as the worst
StopKind = Literal["minors", "person", "weapon", "unchecked"]
KINDS: Final[tuple[StopKind, ...]] = get_args(StopKind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Something was stopped.

    Attributes:
        kind: the reason; nothing else is stored.
    """

    kind: StopKind


_FOLDER: Final = Path(__file__).with_name("words")
_AGES: Final = r"""
    (?<![\w.,])(?:[1-9]|1[0-7])[\s-]*(?:(?:years?|yrs?)[\s-]*(?:old|of\s+age)|yo|y/o)(?!\w)
    |(?<![\w.,])(?:[1-9]|1[0-7])[\s-]*(?:jahrig\w*|jahre\s+alt|ans|anos|anni|лет)(?![^\W\d_])
    |(?<![\d.,])(?:[1-9]|1[0-7])[\s-]*(?:岁|歲|歳|才|살)
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
_LIKE: Final = str.maketrans("авеіјкмнорѕстухԁһ", "abeijkmhopsctyxdh")  # Cyrillic letters that look Latin
_SPACED: Final = re.compile(r"(?<!\w)(?:\w[\W_]{1,2}){2,}\w(?!\w)")  # c h i p, c.h.i.p
_SPLIT: Final = re.compile(r"(?<=\w)[^\w\s]+(?=\w)|_")  # ch-ip, ch.ip
_DRAWN_OUT: Final = re.compile(r"(.)\1{2,}")
_LETTER: Final = r"[^\W\d_]"
_NAME: Final = rf"({_LETTER}(?:{_LETTER}|['\u2019.-])*)"
_TITLED: Final = re.compile(rf"(?<!\w)(?i:{_TITLES})[ \t]+{_NAME}")
_DEPICTED: Final = re.compile(rf"(?<!\w)(?i:{_SHOWN})[ \t]+{_NAME}[ \t]+{_NAME}")
_AGE: Final = re.compile(unicodedata.normalize("NFKD", _AGES), re.VERBOSE)  # as `fold_text` writes Hangul
_NO_SPACES: Final = re.compile(r"[ᄀ-ᇿ぀-ヿ㐀-鿿가-힯]")


def stop_text(*texts: str) -> Stop | None:
    """The stop, if the texts of one item, read as one, may not be drawn, asked or stored; else None.

    Args:
        texts: question, objects, image prompts, answer: all texts of the item.
    """
    whole = "\n".join(texts)
    plain = fold_text(whole)
    forms = {plain, plain.translate(_LIKE)}  # the folded text, and its forms without a disguise
    forms |= {form.translate(_LEET) for form in forms}
    forms |= {_SPLIT.sub("", form) for form in forms}
    forms |= {_DRAWN_OUT.sub(r"\1", form) for form in forms}
    translated = (plain, plain.translate(_LEET), plain.translate(_LIKE))
    # words written letter by letter: the run does not show where one ends
    runs = {re.sub(r"[\W_]+", "", run) for form in translated for run in _SPACED.findall(form)}

    ordered = [plain, *(forms - {plain})]

    def found(name: str) -> bool:
        whole_word, anywhere = _compile_words(name)
        return any(whole_word.search(form) for form in ordered) or any(anywhere.search(run) for run in runs)

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


def _names_person(text: str) -> bool:
    """Whether a text has a title with a name, or "a photo of" and two names. In capitals alone no name is found."""
    if text.isupper():
        return False

    def is_name(word: str) -> bool:
        return word[:1].isupper() and len(word) > 1

    text = _drop_invisible(text)
    titled = any(is_name(match[1]) for match in _TITLED.finditer(text))
    return titled or any(is_name(match[1]) and is_name(match[2]) for match in _DEPICTED.finditer(text))


@cache
def _compile_words(name: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Finds the words of a file as whole words, and anywhere in text spelled letter by letter."""
    stems = sorted({fold_text(word) for word in read_words(name)})
    spaced = (stem for stem in stems if not _NO_SPACES.search(stem))
    words = "|".join(re.escape(stem).replace(r"\*", r"\w*").replace("_", r"[\s-]+") for stem in spaced)
    anywhere = [re.escape(stem) for stem in stems if _NO_SPACES.search(stem)]
    bare = (re.escape(stem.replace("_", "").replace("*", "")) for stem in stems)
    whole = "|".join((rf"(?<!\w)(?:{words})(?!\w)", *anywhere))
    return re.compile(whole), re.compile("|".join(bare))


#: the worst first: that one is counted
_ASKED: Final[Mapping[str, StopKind]] = {"minors": "minors", "weapon": "weapon", "person": "person"}
_CLEAR: Final = "clear"
FORM: Final = ReplySchema(
    fields=dict.fromkeys(("minors", "person", "weapon"), ("yes", "no")),
    labels=(*_ASKED, _CLEAR),
    verdict=lambda fields: Verdict(label=next((kind for kind in _ASKED if fields[kind] == "yes"), _CLEAR)),
)


def image_request(*images: Image) -> Request:
    """The question to a vision-language model about the images of one item."""
    return _build_request(*images, Text(text=fill(_read_instructions("image"), form=FORM.describe())))


def text_request(*texts: str, marker: Marker = random_marker) -> Request:
    """The question to a model about the texts of one item, which are between two lines that no text can imitate."""
    whole = "\n".join(texts)
    fenced = fence("text", whole, draw_marker((whole,), marker))
    return _build_request(Text(text=fill(_read_instructions("text"), form=FORM.describe(), item=fenced)))


def read_check(reply: Response | Failure) -> Stop | None:
    """None if the model said no three times, in exactly the form; `unchecked` for an unusable reply."""
    found = None if isinstance(reply, Failure) else FORM.read(reply.text)
    label = found.label if isinstance(found, Verdict) else ""
    return None if label == _CLEAR else Stop(kind=_ASKED.get(label, "unchecked"))


def _build_request(*parts: Image | Text) -> Request:
    return Request(messages=(Message(role="user", content=parts),), schema=FORM.schema)


def _read_instructions(name: str) -> str:
    return Path(__file__).with_name(f"{name}.txt").read_text(encoding="utf-8").strip()
