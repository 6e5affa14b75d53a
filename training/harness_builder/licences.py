"""Decides whether a data set may be made of these sources, and under which licence.

Licences are ordered by what they ask of those who share a derived set; the output has the most restrictive one of its
sources. A licence that forbids derived works, or that is not in the table, stops the build, unless the user allows that
one source. A test set is refused for training, whatever the user says: it can no longer test a model that was trained
on it.

A licence has SPDX's spelling, in small letters; ODC-By, PDDL and ODbL are spelled as in the table. Clear variants are
normalized; any other text stays unchanged and counts as unknown.

A public set is recognised by its layout, or by a name: its own, those of its files, of its repository. Whole names are
compared, without case and signs: `MIS_Test` is `mis-test`, and `mis-like` is neither.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal, Protocol

from harness import HarnessError
from harness.text import one_line

# ---- names -----------------------------------------------------------------------------------------------------------

UNKNOWN: Final = "unknown"

#: From the least to the most restrictive; the table of docs/build-safety.md.
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
#: with another sign a name may mean something else, such as a negation
_PLAIN: Final = re.compile(r"[a-z0-9\s.,()/'\"-]*")
_WORD: Final = re.compile(r"[a-z]+|\d+(?:\.\d+)*")
_IDLE: Final = re.compile(
    r"the|an?|v|version|licen[sc]e|licensed|under|international|unported|universal|generic|deed"  # they say nothing
)
#: Creative Commons' names of its parts -> their letters
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
    """A licence as the table spells it; any other one in small letters; empty for no licence.

    Creative Commons licences are recognised by name or page, others by a common name.
    """
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
    """The table's licence nearest to an unknown one; empty if none is near."""
    import difflib

    words = _find_words(licence)
    if found := _BY.fullmatch(words):
        return "" if found[2] else f"{licence}-4.0"
    return next(iter(difflib.get_close_matches("-".join(words.split()) or licence, _NAMES, n=1, cutoff=0.7)), "")


def _find_words(plain: str) -> str:
    """Words and numbers alone, without meaningless ones; empty if a sign may change the meaning."""
    plain = plain.translate(_DASHES)
    if not _PLAIN.fullmatch(plain):
        return ""
    words = " ".join(word for word in _WORD.findall(plain) if not _IDLE.fullmatch(word))
    for pattern, instead in _PARTS:
        words = pattern.sub(instead, words)
    return words


# ---- public sets -----------------------------------------------------------------------------------------------------


Use = Literal["train", "test", "unknown"]
_CACHE: Final = "datasets--"  # the hub client's: datasets--OWNER--NAME/snapshots/COMMIT


class Source(Protocol):
    """A source of seeds or photographs, as the licence check sees it."""

    @property
    def name(self) -> str:
        """Its name in the config and the records."""
        ...

    @property
    def path(self) -> Path:
        """The user's copy."""
        ...

    @property
    def layout(self) -> str:
        """The layout of the set that it copies."""
        ...

    @property
    def licence(self) -> str:
        """As the user states it; empty if not stated."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is known about a public set.

    Attributes:
        licence: as in the table of licences, or UNKNOWN.
        use: `train` if its authors publish data for training; `test` if they or this harness only test with it; else
            UNKNOWN.
        why: the reason for `use`.
        names: its other names: of files, of folders, of repositories without their owners.
    """

    licence: str
    use: Use = "unknown"
    why: str = ""
    names: tuple[str, ...] = ()


_ELEMENTS: Final = "published as a test; MIS took elements from it, so its training data and that test are no strangers"
_TEST: Final = "a test of this harness"

KNOWN: Final[dict[str, Terms]] = {
    "mm-safetybench": Terms(licence="cc-by-nc-4.0", why=_ELEMENTS),
    "mm-safetybench-images": Terms(licence="cc-by-nc-4.0", why=_ELEMENTS),
    "vlsbench": Terms(licence=UNKNOWN, why=_ELEMENTS),
    "vlsafe": Terms(licence=UNKNOWN, why=_ELEMENTS),
    "spa-vl": Terms(licence="cc-by-4.0", use="train", why="its authors publish a training split"),
    "ch3ef": Terms(licence=UNKNOWN, why=_ELEMENTS),
    "rtvlm": Terms(licence=UNKNOWN, why=_ELEMENTS),
    "advbench": Terms(licence="mit", why=_ELEMENTS),
    "harmbench": Terms(licence="mit", why="published as a test"),
    "harmbench-multimodal": Terms(licence="mit", why="published as a test"),
    "mis": Terms(
        licence="apache-2.0",
        use="test",
        why=_TEST,
        names=("mis_test", "mis_easy", "mis_hard", "mis_real", "mis_test_real"),
    ),
    "mis-train": Terms(licence="apache-2.0", use="train", why="its authors publish it to train on"),
    "mssbench": Terms(licence=UNKNOWN, use="test", why=_TEST),
    "figstep": Terms(licence="mit", use="test", why=_TEST, names=("figstep-pro", "safebench", "safebench-tiny")),
    "jailbreakv": Terms(
        licence="mit", use="test", why=_TEST, names=("jailbreakv_28k", "mini_jailbreakv_28k", "redteam_2k")
    ),
    "siuo": Terms(licence="cc-by-nc-4.0", use="test", why=_TEST, names=("siuo_gen", "siuo_mcqa", "siuo-images")),
    "mossbench": Terms(licence="cc-by-sa-4.0", use="test", why="its authors allow it for tests only"),
    "xstest": Terms(
        licence="cc-by-4.0",
        use="test",
        why=_TEST,
        names=("xstest_prompts", "xstest_v2_prompts", "xstest-v2-copy", "exaggerated-safety"),
    ),
    "strongreject": Terms(
        licence="mit", use="test", why=_TEST, names=("strongreject_dataset", "strongreject_small_dataset")
    ),
}


def _letters(name: str) -> str:
    return "".join(each for each in unicodedata.normalize("NFKC", name).casefold() if each.isalnum())


_BY_LETTERS: Final[Mapping[str, Terms]] = {
    _letters(name): terms for own, terms in KNOWN.items() for name in (own, *terms.names)
}


def find_terms(source: Source) -> Terms | None:
    """What is known about the set that a source copies; None for the user's own."""
    return KNOWN.get(source.layout) or _BY_LETTERS.get(_letters(source.name))


def is_test_set(name: str) -> bool:
    """Whether a test set has this name."""
    found = _BY_LETTERS.get(_letters(name))
    return found is not None and found.use == "test"


def find_test_reason(source: Source) -> str:
    """Why a source counts as a test, by its name or that of its path; empty if it does not."""
    known = find_terms(source)
    if known is not None and known.use == "test":
        return known.why
    # its own name, that of its link target, and its name in the hub client's cache
    for path in (source.path.absolute(), Path(os.path.realpath(source.path))):
        names = [path.name, path.stem, path.name.partition(".")[0]]  # an archive may have two endings
        names += [part.rpartition("--")[2] for part in path.parts if part.startswith(_CACHE)]
        if name := next(filter(is_test_set, names), ""):
            return f"it lies under the name {name}"
    return ""


# ---- rules -----------------------------------------------------------------------------------------------------------


_TABLE: Final = "docs/build-safety.md"
_SAME, _PAID, _SAME_UNPAID, _UNKNOWN, _FORBIDDEN = 3, 4, 5, 6, 7


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputLicence:
    """The licence of the built set.

    Attributes:
        name: the most restrictive of its sources'; UNKNOWN if the user accepted a source whose terms are unknown,
            forbid it, or conflict with another's.
        sources: the licence of each source.
        accepted: sources whose terms, alone or with the others', would have stopped the build.
        tests: sources that test models elsewhere: do not score a model trained on the output on them.
    """

    name: str
    sources: dict[str, str]
    accepted: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """The set's terms in a line, with the sources used in spite of their terms."""
        if not self.accepted:
            return self.name
        return f"{self.name}; used in spite of their terms: {', '.join(map(one_line, self.accepted))}"


def check_licences(sources: Iterable[Source], accepted: Iterable[str] = (), *, training: bool = True) -> OutputLicence:
    """The licence of what is built from these sources.

    Args:
        sources: of seeds or of photographs.
        accepted: names of sources that the user allows in spite of their licence; ignored if not needed.
        training: the output holds data to train on; if false, test sets are allowed.

    Raises:
        HarnessError: there is no source, or two of one name; an accepted one is not among them; a licence is unknown
            or forbids it and was not accepted; two licences conflict; a test would be trained on.
    """
    found, allowed = list(sources), set(accepted)
    check_names(found, allowed)
    for source in found:
        check_source(source, allowed, training=training)
    licences = {source.name: _licence(source) for source in found}
    if clash := _find_clash({name: licence for name, licence in licences.items() if name not in allowed}):
        first, second = clash
        raise HarnessError(
            f"no licence satisfies both {licences[first]} of {first!r} and {licences[second]} of {second!r}",
            remedy=f"leave one out, or if you may combine them: --accept-licence {first}",
        )
    name = combine(licences.values())
    tests = (source.name for source in found if (known := find_terms(source)) and known.use != "train")
    # the accepted sources that need acceptance, alone or with the others
    needed = {each.name for each in found if _find_contradicted_licence(each) or _rank(licences[each.name]) >= _UNKNOWN}
    kept = {name: licence for name, licence in licences.items() if name not in allowed}
    for each in (name for name in licences if name in allowed and name not in needed):
        together = {**kept, each: licences[each]}
        if _find_clash(together):
            needed.add(each)
        else:
            kept = together
    return OutputLicence(
        name=UNKNOWN if _rank(name) >= _UNKNOWN else name,
        sources=licences,
        accepted=tuple(sorted(needed)),
        tests=tuple(sorted(tests)),
    )


def check_names(sources: Collection[Source], accepted: Collection[str]) -> None:
    """Raise HarnessError if there is no source, or two have one name, or an accepted one is not among them."""
    names = [source.name for source in sources]
    if not names:
        raise HarnessError("a set without a source has no licence", remedy="name a source of seeds")
    if len(set(names)) < len(names):
        raise HarnessError("two sources of this build have one name", remedy="give each its own")
    if unknown := set(accepted) - set(names):
        raise HarnessError(
            f"--accept-licence names no source of this build: {', '.join(sorted(unknown))}",
            remedy=f"its sources are {', '.join(names)}",
        )


def check_source(source: Source, accepted: Collection[str] = (), *, training: bool = True) -> None:
    """Check whether one source may be used, by itself; arguments as for `check_licences`.

    Raises:
        HarnessError: it is a test set; or it was not accepted, and its licence is unknown, forbids it, or differs
            from the known one.
    """
    name = source.name
    if training and (why := find_test_reason(source)):
        raise HarnessError(
            f"{name!r} is a test set ({why}), so no training set may be built from it",
            remedy="leave it out; no option lifts this",
        )
    if name in accepted:
        return
    if known := _find_contradicted_licence(source):
        raise HarnessError(
            f"the source {name!r} has the known licence {known}, not {normalize_licence(source.licence)}",
            remedy=f"remove its licence, or give --accept-licence {name} if you have it under another one",
        )
    licence = _licence(source)
    if _rank(licence) < _UNKNOWN:
        return
    what, remedy = "has no known licence", "leave it out, state its licence,"
    if _rank(licence) == _FORBIDDEN:
        what, remedy = f"is under {licence}, which forbids derived works", "leave it out,"
    elif licence != UNKNOWN:
        what = f"is under {licence!r}, which is not in the table of licences"
        near = suggest_licence(licence)
        remedy = f"{near and f'did you mean {near}? '}the table is in {_TABLE}; else leave it out,"
    raise HarnessError(f"the source {name!r} {what}", remedy=f"{remedy} or if you may use it: --accept-licence {name}")


def fits(licence: str, others: Iterable[str]) -> bool:
    """Whether a licence allows derived works, and sharing them with works under the others."""
    return _rank(licence) < _UNKNOWN and not _find_clash({each: each for each in (*others, licence)})


def combine(licences: Iterable[str]) -> str:
    """The most restrictive licence, or UNKNOWN if they conflict; raises ValueError if there is none."""
    found = dict.fromkeys(licences)
    return UNKNOWN if _find_clash({each: each for each in found}) else max(found, key=_rank)


def _licence(source: Source) -> str:
    """As the user states it, else the known one."""
    known = find_terms(source)
    return normalize_licence(source.licence) or (UNKNOWN if known is None else known.licence)


def _find_contradicted_licence(source: Source) -> str:
    """The known licence, if the user states another one; else empty."""
    known, stated = find_terms(source), normalize_licence(source.licence)
    return known.licence if known and stated and known.licence not in (UNKNOWN, stated) else ""


def _rank(licence: str) -> int:
    return next((rank for rank, names in enumerate(RANKS) if licence in names), _UNKNOWN)


def _find_clash(licences: dict[str, str]) -> tuple[str, ...]:
    """Two conflicting licences: a set under "the same licence" cannot also be under one for which "the same" is too
    little."""
    ranks = {name: _rank(licence) for name, licence in licences.items()}
    same = {name: licences[name] for name, rank in ranks.items() if rank in (_SAME, _SAME_UNPAID)}
    unpaid = [name for name, rank in ranks.items() if rank == _PAID]
    shared = [name for name, rank in ranks.items() if rank == _SAME]
    if len({licence.rpartition("-")[0] for licence in same.values()}) > 1:
        return tuple(same)[:2]
    return (shared[0], unpaid[0]) if shared and unpaid else ()
