"""What is known of public sets: under which licence each is, and whether it is there to test models.

A set is known by its layout, or by a name: its own, those of its files, of its repository. Names are compared as whole
names, without case and signs: `MIS_Test` is `mis-test`, and `mis-like` is neither.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol

from harness_builder.licence_names import UNKNOWN

Use = Literal["train", "test", "unknown"]
_CACHE: Final = "datasets--"  # the hub client's: datasets--OWNER--NAME/snapshots/COMMIT


class Source(Protocol):
    """What licences ask of a source of seeds."""

    @property
    def name(self) -> str:
        """As the user, and the records, call it."""
        ...

    @property
    def path(self) -> Path:
        """The user's copy."""
        ...

    @property
    def layout(self) -> str:
        """What it is a copy of."""
        ...

    @property
    def licence(self) -> str:
        """As the user states it; empty if they do not."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is known of a public set.

    Attributes:
        licence: as `licence_names` has it, or UNKNOWN.
        use: `train` if its authors publish data for training, `test` if they or this harness use it to test alone,
            UNKNOWN if that is not known.
        why: where that is from.
        names: that it goes by next to its own: of files, of folders, of repositories without their owners.
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
    """A name as it is compared: its letters and digits, small."""
    return "".join(each for each in unicodedata.normalize("NFKC", name).casefold() if each.isalnum())


_BY_LETTERS: Final[Mapping[str, Terms]] = {
    _letters(name): terms for own, terms in KNOWN.items() for name in (own, *terms.names)
}


def find_terms(source: Source) -> Terms | None:
    """What is known of the set that a source is a copy of; None for the user's own."""
    return KNOWN.get(source.layout) or find_public_set(source.name)


def find_public_set(name: str) -> Terms | None:
    """What is known of the public set of this name."""
    return _BY_LETTERS.get(_letters(name))


def is_test_set(name: str) -> bool:
    """Whether a set that is there to test models goes by this name."""
    found = find_public_set(name)
    return found is not None and found.use == "test"


def find_test_reason(source: Source) -> str:
    """Why a source is taken for a test, by its name or that of its path; empty if nothing says so."""
    known = find_terms(source)
    if known is not None and known.use == "test":
        return known.why
    name = next(filter(is_test_set, _list_names(source.path)), "")
    return name and f"it lies under the name {name}"


def _list_names(path: Path) -> Iterator[str]:
    """The names that a path gives what is there: its own, that of what it links to, the hub's in its client's cache."""
    for each in (path.absolute(), Path(os.path.realpath(path))):
        yield from (each.name, each.stem, each.name.partition(".")[0])  # an archive may have two endings
        yield from (part.rpartition("--")[2] for part in each.parts if part.startswith(_CACHE))
