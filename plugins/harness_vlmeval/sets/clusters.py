"""Which samples are resampled together: rotations of a question, a set of HallusionBench, twins, those of one image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .known import Form
from .metrics import FIGURE, GROUP, QUESTION


def twins(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Of the rows that name a counterpart, and of those counterparts: id -> cluster. Naming it once is enough."""
    ids: dict[str, str] = {}
    named: list[tuple[str, str]] = []
    for row in rows:
        own = str(row.get("number") or row["id"])
        ids[own] = str(row["id"])
        if row.get("counterpart"):
            named.append((own, str(row["counterpart"])))
    found: dict[str, str] = {}
    for one, other in named:
        if other in ids:
            pair = found.get(ids[one]) or found.get(ids[other]) or f"twins_{ids[one]}"
            found |= {ids[one]: pair, ids[other]: pair}
    return found


def cluster(row: Mapping[str, Any], form: Form, pairs: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """The cluster of a row, empty where it stands alone, and the tags by which metrics group it.

    Args:
        row: as it was built.
        form: of the questions.
        pairs: id -> cluster, as `twins` says.
    """
    own, group = str(row["id"]), str(row["group"])
    if form == "hallusion":
        return _hallusion(own)
    if group != own:
        return group, {GROUP: group}
    if form == "yesno":
        return str(row.get("pictures", "")), {}
    return pairs.get(own, ""), {}


def _hallusion(index: str) -> tuple[str, dict[str, str]]:
    """The set of `VD_chart_1_0_2_3` (category, subcategory, kind, set, figure, question), its question and figure."""
    parts = index.split("_")
    if len(parts) != 6:
        return "", {}
    category, sub_category, _, group, figure, question = parts
    found = f"{category}_{sub_category}_{group}"
    return found, {QUESTION: f"{found}_q{question}", FIGURE: f"{found}_f{figure}"}
