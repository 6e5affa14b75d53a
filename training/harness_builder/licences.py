"""May a data set be made of these sources, and under which licence.

Licences are ordered by what they ask of whoever passes a derived set on; the output has the most restrictive one of its
sources. A licence that forbids derived works, or that nobody knows, stops the build, unless the user says for that one
source that it may be used. A set that is there to test is refused for training, whatever the user says: what was
trained on it can no longer be tested with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from harness import HarnessError

UNKNOWN: Final = "unknown"
Use = Literal["train", "test", "unknown"]

#: From what asks least to what asks most. A source's licence is looked up without regard to case.
#:
#: | rank | asks | licences |
#: | --- | --- | --- |
#: | 0 | nothing | CC0, the Unlicense, PDDL |
#: | 1 | keep the notice | MIT, BSD, Apache, ODC-By, CDLA-Permissive |
#: | 2 | name the authors | CC BY |
#: | 3 | pass on under the same licence | CC BY-SA, ODbL |
#: | 4 | no commercial use | CC BY-NC |
#: | 5 | no commercial use, same licence | CC BY-NC-SA |
#: | 6 | unknown | all that is not here |
#: | 7 | no derived works | CC BY-ND, CC BY-NC-ND |
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
_SAME, _PAID, _SAME_UNPAID, _UNKNOWN, _FORBIDDEN = 3, 4, 5, 6, 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is known of a public set.

    Attributes:
        licence: in SPDX's spelling, or UNKNOWN.
        use: `train` where its authors publish data for training, `test` where they or this harness use it to test
            alone, UNKNOWN where nobody says.
        why: where that is from.
    """

    licence: str
    use: Use = "unknown"
    why: str = ""


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
    "mis": Terms(licence="apache-2.0", use="test", why=_TEST),
    "mis-train": Terms(licence="apache-2.0", use="train", why="its authors publish it to train on"),
    "mssbench": Terms(licence=UNKNOWN, use="test", why=_TEST),
    "figstep": Terms(licence="mit", use="test", why=_TEST),
    "jailbreakv": Terms(licence="mit", use="test", why=_TEST),
    "siuo": Terms(licence="cc-by-nc-4.0", use="test", why=_TEST),
    "mossbench": Terms(licence="cc-by-sa-4.0", use="test", why="its authors allow it for tests only"),
    "xstest": Terms(licence="cc-by-4.0", use="test", why=_TEST),
    "strongreject": Terms(licence="mit", use="test", why=_TEST),
}


class Source(Protocol):
    """Of a source of seeds: what the records call it, what it is a copy of, and the licence that the user states."""

    @property
    def name(self) -> str:
        """As the user calls it."""
        ...

    @property
    def layout(self) -> str:
        """What it is a copy of."""
        ...

    @property
    def licence(self) -> str:
        """As the user states it; empty where they do not."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputLicence:
    """What the built set is under.

    Attributes:
        name: the most restrictive of its sources'; UNKNOWN where the user accepted a source that decides it and whose
            terms are unknown or forbid it.
        sources: each source's own.
        accepted: sources used because the user said so, whose terms would have stopped the build.
        tests: sources that test models elsewhere: a model trained on the output must not be scored on them.
    """

    name: str
    sources: dict[str, str]
    accepted: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()


def check(sources: Iterable[Source], accepted: Iterable[str] = (), *, training: bool = True) -> OutputLicence:
    """The licence of what is built from these sources.

    Args:
        sources: of seeds or of photographs.
        accepted: names of sources that the user allows in spite of their licence.
        training: the output holds data to train on; without, sets that test are welcome.

    Raises:
        HarnessError: there is no source, or two of one name; one that was accepted is not among them; a licence is
            unknown or forbids it and was not accepted; two licences cannot both be kept; a test would be trained on.
    """
    found, allowed = list(sources), set(accepted)
    if not found:
        raise HarnessError("a set that is built from no source has no licence", remedy="name a source of seeds")
    if len({source.name for source in found}) < len(found):
        raise HarnessError("two sources of this build have one name", remedy="give each its own")
    if strangers := allowed - {source.name for source in found}:
        raise HarnessError(
            f"--accept-licence names no source of this build: {', '.join(sorted(strangers))}",
            remedy=f"its sources are {', '.join(source.name for source in found)}",
        )
    if training:
        _check_training(found)
    licences = {source.name: _licence(source, allowed) for source in found}
    stopped = tuple(name for name, licence in licences.items() if _rank(licence) >= _UNKNOWN)
    _check_acceptance(licences, [name for name in stopped if name not in allowed])
    kept = {name: licence for name, licence in licences.items() if name not in allowed}
    _check_together(kept)
    name = UNKNOWN if stopped else max(licences.values(), key=_rank)
    return OutputLicence(name=name, sources=licences, accepted=tuple(sorted(allowed)), tests=_tests(found))


def fits(licence: str, beside: Iterable[str]) -> bool:
    """Whether works may be derived under a licence, and be passed on together with what is under the others."""
    if _rank(licence) >= _UNKNOWN:
        return False
    try:
        _check_together({each: each for each in (*beside, licence)})
    except HarnessError:
        return False
    return True


def strictest(licences: Iterable[str]) -> str:
    """The one that asks most; raises ValueError where there is none."""
    return max(licences, key=_rank)


def terms(source: Source) -> Terms | None:
    """What is known of what it is a copy of; None for the user's own."""
    return KNOWN.get(source.layout) or KNOWN.get(source.name.casefold())


def _licence(source: Source, allowed: set[str]) -> str:
    """As known, or where nobody knows it as the user states it."""
    known, stated = terms(source), source.licence.strip().casefold()
    if known is None or known.licence == UNKNOWN:
        return stated or UNKNOWN
    if stated and stated != known.licence and source.name not in allowed:
        raise HarnessError(
            f"the source {source.name!r} is known to be under {known.licence}, not {stated}",
            remedy=f"leave its licence out, or give --accept-licence {source.name} if you hold it under another one",
        )
    return stated or known.licence


def _rank(licence: str) -> int:
    return next((rank for rank, names in enumerate(RANKS) if licence in names), _UNKNOWN)


def _check_training(sources: list[Source]) -> None:
    for source in sources:
        known = terms(source)
        if known is not None and known.use == "test":
            raise HarnessError(
                f"{source.name!r} is there to test models ({known.why}), and no set to train on is built from it",
                remedy="leave it out; no option lifts this",
            )


def _check_acceptance(licences: dict[str, str], stopped: list[str]) -> None:
    if not stopped:
        return
    name = stopped[0]
    forbids = _rank(licences[name]) == _FORBIDDEN
    what = f"is under {licences[name]}, which forbids derived works" if forbids else "has a licence that nobody knows"
    if not forbids and licences[name] != UNKNOWN:
        what = f"is under {licences[name]!r}, which is not in the table of licences"
    raise HarnessError(
        f"the source {name!r} {what}",
        remedy=f"leave it out, state its licence, or if you may use it: --accept-licence {name}",
    )


def _check_together(licences: dict[str, str]) -> None:
    """A set under "the same licence" cannot also be under one for which "the same" would be too little."""
    ranks = {name: _rank(licence) for name, licence in licences.items()}
    same = {name: licences[name] for name, rank in ranks.items() if rank in (_SAME, _SAME_UNPAID)}
    unpaid = [name for name, rank in ranks.items() if rank == _PAID]
    shared = [name for name, rank in ranks.items() if rank == _SAME]
    clash = [*same][:2] if len({licence.rpartition("-")[0] for licence in same.values()}) > 1 else []
    clash = clash or ([shared[0], unpaid[0]] if shared and unpaid else [])
    if clash:
        first, second = clash
        raise HarnessError(
            f"no licence keeps both {licences[first]} of {first!r} and {licences[second]} of {second!r}",
            remedy=f"leave one out, or if you may join them: --accept-licence {first}",
        )


def _tests(sources: list[Source]) -> tuple[str, ...]:
    return tuple(sorted(source.name for source in sources if (known := terms(source)) and known.use != "train"))
