"""Names of licences: the table of those that the builder knows, by what each asks, and how people spell them.

A licence has SPDX's spelling, in small letters; ODC-By, PDDL and ODbL as the table has them. What people write becomes
that if there is no doubt; all else stays as they wrote it, and is unknown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

UNKNOWN: Final = "unknown"

#: From what asks least to what asks most; the table of docs/build-safety.md.
RANKS: Final[tuple[tuple[str, ...], ...]] = (
    ("cc0-1.0", "unlicense", "pddl-1.0"),
    ("mit", "bsd-2-clause", "bsd-3-clause", "apache-2.0", "odc-by", "cdla-permissive-2.0"),
    ("cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0"),
    ("cc-by-sa-2.0", "cc-by-sa-2.5", "cc-by-sa-3.0", "cc-by-sa-4.0", "odbl-1.0"),
    ("cc-by-nc-2.0", "cc-by-nc-2.5", "cc-by-nc-3.0", "cc-by-nc-4.0"),
    ("cc-by-nc-sa-2.0", "cc-by-nc-sa-2.5", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0"),
    (UNKNOWN,),
    tuple(f"cc-by-{kind}-{version}" for kind in ("nd", "nc-nd") for version in ("2.0", "2.5", "3.0", "4.0")),
)
_NAMES: Final = tuple(name for names in RANKS for name in names if name != UNKNOWN)

_UNSAID: Final = frozenset({"", "?", "-", "n/a", "none", "null", "nan", "unlicensed"})
_PAGE: Final = re.compile(r"creativecommons\.org/(?:licenses/([a-z-]+)/(\d\.\d)|publicdomain/(zero)/1\.0)")
_DASHES: Final = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212_", "-"))
#: with another sign a name may say something else, such as that it is not this one
_PLAIN: Final = re.compile(r"[a-z0-9\s.,()/'\"-]*")
_WORD: Final = re.compile(r"[a-z]+|\d+(?:\.\d+)*")
_IDLE: Final = re.compile(
    r"the|an?|v|version|licen[sc]e|licensed|under|international|unported|universal|generic|deed"  # they say nothing
)
#: how Creative Commons writes its parts out -> their letters
_PARTS: Final = (
    (re.compile(r"\bcreative commons\b"), "cc"),
    (re.compile(r"^ccby\b"), "cc by"),
    (re.compile(r"^attribution\b"), "cc by"),
    (re.compile(r"\battribution\b"), "by"),
    (re.compile(r"\bnon ?commercial\b"), "nc"),
    (re.compile(r"\bno ?deriv(?:ative)?s\b"), "nd"),
    (re.compile(r"\bshare ?alike\b"), "sa"),
    (re.compile(r" (?:public|legal code|public domain dedication)$"), ""),
)
_BY: Final = re.compile(r"cc by((?: (?:nc|nd|sa))*)(?: (\d(?:\.\d)?))?")
_ZERO: Final = re.compile(r"cc (?:0|zero)(?: 1(?:\.0)?)?")
_OTHERS: Final[Mapping[str, str]] = {
    spelling: name
    for name, spellings in {
        "unlicense": ("unlicense",),
        "pddl-1.0": ("pddl", "pddl 1.0", "odc pddl", "odc pddl 1.0", "public domain dedication and"),
        "mit": ("mit", "mit mit", "expat"),
        "bsd-2-clause": ("bsd 2 clause", "2 clause bsd", "bsd 2", "simplified bsd", "freebsd"),
        "bsd-3-clause": ("bsd 3 clause", "3 clause bsd", "bsd 3", "new bsd", "revised bsd", "modified bsd"),
        "apache-2.0": ("apache 2.0", "apache 2", "apache software 2.0", "asl 2.0"),
        "odc-by": ("odc by", "odc by 1.0", "open data commons by", "open data commons by 1.0"),
        "cdla-permissive-2.0": ("cdla permissive 2.0", "cdla permissive 2"),
        "odbl-1.0": ("odbl", "odbl 1.0", "odc odbl", "odc odbl 1.0", "open database", "open database 1.0"),
    }.items()
    for spelling in spellings
}


@lru_cache(maxsize=4096)
def normalize_licence(licence: str) -> str:
    """A licence as the table spells it, if it is one of Creative Commons by its name or its page, or another of the
    table's by a common name; as it is written, in small letters, if it is none; empty for one that is not stated."""
    plain = " ".join(licence.split()).casefold()
    if plain in _UNSAID:
        return ""
    if page := _PAGE.search(plain):
        return "cc0-1.0" if page[3] else f"cc-{page[1]}-{page[2]}"
    words = _find_words(plain)
    if _ZERO.fullmatch(words):
        return "cc0-1.0"
    if found := _BY.fullmatch(words):
        version = f"-{found[2]}" if found[2] else ""
        return "-".join(["cc-by", *sorted(set(found[1].split()))]) + (f"{version}.0" if len(version) == 2 else version)
    return _OTHERS.get(words, plain)


def suggest_licence(licence: str) -> str:
    """The nearest of the table to one that is not in it; empty if none is near, and for a licence of Creative Commons
    without its version."""
    import difflib

    words = _find_words(licence)
    if found := _BY.fullmatch(words):
        return "" if found[2] else f"{licence}-4.0"
    return next(iter(difflib.get_close_matches("-".join(words.split()) or licence, _NAMES, n=1, cutoff=0.7)), "")


def _find_words(plain: str) -> str:
    """Words and numbers alone, without those that say nothing; empty if there is a sign that may say something."""
    plain = plain.translate(_DASHES)
    if not _PLAIN.fullmatch(plain):
        return ""
    words = " ".join(word for word in _WORD.findall(plain) if not _IDLE.fullmatch(word))
    for pattern, instead in _PARTS:
        words = pattern.sub(instead, words)
    return words
