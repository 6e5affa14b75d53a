"""The quality of a built set: near-duplicates, overlap with tests, and balance."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness import HarnessError
from harness_builder.quality.contamination import ComparedTest, Contamination, References, Wording
from harness_builder.quality.duplicates import ImageIndex, ImageMark, NearDuplicate, PairIndex, TextIndex, mark_image
from harness_builder.steps.probing import Part, Probe, ProbeResult, Rates, build_probes, compute_rates, read_probe

__all__ = [
    "Balance",
    "ComparedTest",
    "Contamination",
    "ImageIndex",
    "ImageMark",
    "NearDuplicate",
    "PairIndex",
    "Part",
    "Probe",
    "ProbeResult",
    "Rates",
    "References",
    "TextIndex",
    "Wording",
    "build_probes",
    "compute_rates",
    "mark_image",
    "read_probe",
    "select_balanced",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """Which items stay.

    Attributes:
        kept: their keys, in the order the items came.
        dropped: keys of the others.
        missing: category -> how many are missing.
    """

    kept: tuple[str, ...]
    dropped: tuple[str, ...]
    missing: Mapping[str, int]


def select_balanced(
    items: Iterable[tuple[str, str]], target: int | Mapping[str, int], seed: int = 0, *, categories: Iterable[str] = ()
) -> Balance:
    """Choose by a hash of seed and key: neither the order of the items nor the other categories change the choice.

    Args:
        items: key and category of each; keys are unique.
        target: how many of each category; or by category, and all of a category that is not named.
        seed: another one makes another choice.
        categories: wanted even without items, if the target is one number.

    Raises:
        HarnessError: a number is below 0.
    """

    def rank(key: str) -> bytes:
        return hashlib.sha256(f"{seed}/{key}".encode("utf-8", "surrogatepass")).digest()

    found = list(items)
    by_category: defaultdict[str, list[str]] = defaultdict(list)
    for key, category in found:
        by_category[category].append(key)
    wanted = dict.fromkeys((*categories, *by_category), target) if isinstance(target, int) else target
    if bad := [category for category, number in wanted.items() if number < 0]:
        raise HarnessError(f"{wanted[bad[0]]} items of {bad[0]!r} cannot be kept", remedy="give 0 or more")
    chosen: set[str] = set()
    for category, keys in by_category.items():
        chosen.update(sorted(keys, key=rank)[: wanted.get(category)])
    missing = {category: number - len(by_category.get(category, ())) for category, number in wanted.items()}
    return Balance(
        kept=tuple(key for key, _ in found if key in chosen),
        dropped=tuple(key for key, _ in found if key not in chosen),
        missing={category: number for category, number in missing.items() if number > 0},
    )
