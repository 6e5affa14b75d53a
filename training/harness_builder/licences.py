"""May a data set be made of these sources, and under which licence.

Licences are ordered by what they ask of whoever passes a derived set on; the output has the most restrictive one of its
sources. A licence that forbids derived works, or that nobody knows, stops the build, unless the user says for that one
source that it may be used. A set that is there to test is refused for training, whatever the user says: what was
trained on it can no longer be tested with it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from harness import HarnessError
from harness.text import one_line
from harness_builder.licence_names import RANKS as RANKS
from harness_builder.licence_names import UNKNOWN as UNKNOWN
from harness_builder.licence_names import normalize_licence, suggest_licence
from harness_builder.public_sets import KNOWN as KNOWN
from harness_builder.public_sets import Source, find_terms, find_test_reason

_TABLE: Final = "docs/build-safety.md"
_SAME, _PAID, _SAME_UNPAID, _UNKNOWN, _FORBIDDEN = 3, 4, 5, 6, 7


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputLicence:
    """What the built set is under.

    Attributes:
        name: the most restrictive of its sources'; UNKNOWN where the user accepted a source whose terms are unknown,
            forbid it, or cannot be kept together with another's.
        sources: each source's own.
        accepted: sources used because the user said so, whose terms alone or beside the others would have stopped it.
        tests: sources that test models elsewhere: a model trained on the output must not be scored on them.
    """

    name: str
    sources: dict[str, str]
    accepted: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """The set's terms in a line, with the sources that are used in spite of theirs."""
        if not self.accepted:
            return self.name
        return f"{self.name}; used in spite of their terms: {', '.join(map(one_line, self.accepted))}"


def check_licences(sources: Iterable[Source], accepted: Iterable[str] = (), *, training: bool = True) -> OutputLicence:
    """The licence of what is built from these sources.

    Args:
        sources: of seeds or of photographs.
        accepted: names of sources that the user allows in spite of their licence; where there was no need to, that
            changes nothing.
        training: the output holds data to train on; without, sets that test are welcome.

    Raises:
        HarnessError: there is no source, or two of one name; one that was accepted is not among them; a licence is
            unknown or forbids it and was not accepted; two licences cannot both be kept; a test would be trained on.
    """
    found, allowed = list(sources), set(accepted)
    check_names(found, allowed)
    for source in found:
        check_source(source, allowed, training=training)
    licences = {source.name: _licence(source) for source in found}
    if clash := _find_clash({name: licence for name, licence in licences.items() if name not in allowed}):
        first, second = clash
        raise HarnessError(
            f"no licence keeps both {licences[first]} of {first!r} and {licences[second]} of {second!r}",
            remedy=f"leave one out, or if you may join them: --accept-licence {first}",
        )
    name = combine(licences.values())
    tests = (source.name for source in found if (known := find_terms(source)) and known.use != "train")
    return OutputLicence(
        name=UNKNOWN if _rank(name) >= _UNKNOWN else name,
        sources=licences,
        accepted=_find_needed(found, allowed),
        tests=tuple(sorted(tests)),
    )


def check_names(sources: Collection[Source], accepted: Collection[str]) -> None:
    """Raise HarnessError where there is no source, or two of one name, or one that was accepted is not among them."""
    names = [source.name for source in sources]
    if not names:
        raise HarnessError("a set that is built from no source has no licence", remedy="name a source of seeds")
    if len(set(names)) < len(names):
        raise HarnessError("two sources of this build have one name", remedy="give each its own")
    if unknown := set(accepted) - set(names):
        raise HarnessError(
            f"--accept-licence names no source of this build: {', '.join(sorted(unknown))}",
            remedy=f"its sources are {', '.join(names)}",
        )


def check_source(source: Source, accepted: Collection[str] = (), *, training: bool = True) -> None:
    """Whether one source may be used, whatever stands beside it; arguments as of `check_licences`.

    Raises:
        HarnessError: it is there to test models; its licence is unknown, forbids it, or is stated as another one than
            it is known to be, and was not accepted.
    """
    name = source.name
    if training and (why := find_test_reason(source)):
        raise HarnessError(
            f"{name!r} is there to test models ({why}), and no set to train on is built from it",
            remedy="leave it out; no option lifts this",
        )
    if name in accepted:
        return
    if known := _contradicted(source):
        raise HarnessError(
            f"the source {name!r} is known to be under {known}, not {normalize_licence(source.licence)}",
            remedy=f"leave its licence out, or give --accept-licence {name} if you hold it under another one",
        )
    licence = _licence(source)
    if _rank(licence) < _UNKNOWN:
        return
    what, remedy = "has a licence that nobody knows", "leave it out, state its licence,"
    if _rank(licence) == _FORBIDDEN:
        what, remedy = f"is under {licence}, which forbids derived works", "leave it out,"
    elif licence != UNKNOWN:
        what = f"is under {licence!r}, which is not in the table of licences"
        near = suggest_licence(licence)
        remedy = f"{near and f'did you mean {near}? '}the table is in {_TABLE}; else leave it out,"
    raise HarnessError(f"the source {name!r} {what}", remedy=f"{remedy} or if you may use it: --accept-licence {name}")


def fits(licence: str, others: Iterable[str]) -> bool:
    """Whether works may be derived under a licence, and be passed on together with what is under the others."""
    return _rank(licence) < _UNKNOWN and not _find_clash({each: each for each in (*others, licence)})


def combine(licences: Iterable[str]) -> str:
    """The licence that asks most, and UNKNOWN where they cannot all be kept; raises ValueError where there is none."""
    found = dict.fromkeys(licences)
    return UNKNOWN if _find_clash({each: each for each in found}) else max(found, key=_rank)


def _licence(source: Source) -> str:
    """As the user states it, else as known."""
    known = find_terms(source)
    return normalize_licence(source.licence) or (UNKNOWN if known is None else known.licence)


def _contradicted(source: Source) -> str:
    """The licence that it is known to be under, where the user states another one; else empty."""
    known, stated = find_terms(source), normalize_licence(source.licence)
    return known.licence if known and stated and known.licence not in (UNKNOWN, stated) else ""


def _find_needed(sources: list[Source], accepted: Collection[str]) -> tuple[str, ...]:
    """Those of the accepted sources without whose acceptance these could not be used together."""
    needed = {each.name for each in sources if _contradicted(each) or _rank(_licence(each)) >= _UNKNOWN}
    kept = {each.name: _licence(each) for each in sources if each.name not in accepted}
    for each in sources:
        if each.name in accepted and each.name not in needed:
            together = {**kept, each.name: _licence(each)}
            if _find_clash(together):
                needed.add(each.name)
            else:
                kept = together
    return tuple(sorted(needed))


def _rank(licence: str) -> int:
    return next((rank for rank, names in enumerate(RANKS) if licence in names), _UNKNOWN)


def _find_clash(licences: dict[str, str]) -> tuple[str, ...]:
    """Two that cannot both be kept: a set under "the same licence" cannot also be under one for which "the same" would
    be too little."""
    ranks = {name: _rank(licence) for name, licence in licences.items()}
    same = {name: licences[name] for name, rank in ranks.items() if rank in (_SAME, _SAME_UNPAID)}
    unpaid = [name for name, rank in ranks.items() if rank == _PAID]
    shared = [name for name, rank in ranks.items() if rank == _SAME]
    if len({licence.rpartition("-")[0] for licence in same.values()}) > 1:
        return tuple(same)[:2]
    return (shared[0], unpaid[0]) if shared and unpaid else ()
