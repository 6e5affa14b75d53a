"""Suites in results.json: which of their splits were run, and the mean of their main numbers.

A mean gives each main number the same weight, and is null while one of them is missing: a mean of four is not the mean
of five. Its parts are of different data, so their intervals are squared and added.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any, Final

from harness.types import Json

_NO_NUMBERS: Final[Mapping[str, Json]] = {"value": None, "ci95": None, "bounds": None, "ci95_worst": None}

Ends = tuple[float, float]


def suite_results(parts: Sequence[str], mean: Sequence[str], tasks: Mapping[str, Mapping[str, Any]]) -> dict[str, Json]:
    """One suite of results.json.

    Args:
        parts: titles of all its splits.
        mean: titles whose main numbers have a mean; empty for none.
        tasks: of results.json, by displayed name.
    """
    found: dict[str, Mapping[str, Any] | None] = {}
    for title in dict.fromkeys((*parts, *mean)):
        task, _, split = title.rpartition(":")
        found[title] = tasks.get(task, {}).get("splits", {}).get(split)
    return {
        "splits": list(parts),
        "missing": [title for title in parts if found[title] is None],
        "mean": _mean_of_splits({title: found[title] for title in mean}) if mean else None,
    }


def _mean_of_splits(splits: Mapping[str, Mapping[str, Any] | None]) -> dict[str, Json]:
    mains: dict[str, tuple[str, Mapping[str, Any]]] = {}  # the name and the body of each main metric that has a value
    for title, split in splits.items():
        for name, body in () if split is None else split["metrics"].items():
            if body.get("main") and body["value"] is not None:
                mains.setdefault(title, (name, body))
    kinds = {(body["unit"], body["better"]) for _, body in mains.values()}
    there = len(mains) == len(splits) and len(kinds) == 1
    unit, better = next(iter(kinds)) if len(kinds) == 1 else (None, None)
    # a subset is not whole, and neither is a copy that holds another number of samples than is published
    is_whole = [
        split and split["complete"] and split["subset"] is None and split["n_expected"] in (None, split["n"])
        for split in splits.values()
    ]
    return {
        **(_mean_of_metrics([body for _, body in mains.values()]) if there else _NO_NUMBERS),
        "unit": unit,
        "better": better,
        "of": {title: {"metric": name, "value": body["value"]} for title, (name, body) in mains.items()},
        "missing": [title for title in splits if title not in mains],
        "complete": there and all(is_whole),
    }


def _mean_of_metrics(bodies: Sequence[Mapping[str, Any]]) -> dict[str, Json]:
    def ends_of_all(name: str) -> list[Ends] | None:  # one pair of ends of each; None where one has none
        pairs = [body[name] for body in bodies]
        return None if any(pair is None or None in pair for pair in pairs) else [(low, high) for low, high in pairs]

    def means(pairs: Sequence[Ends]) -> Ends:
        return sum(low for low, _ in pairs) / len(pairs), sum(high for _, high in pairs) / len(pairs)

    def interval(centres: Sequence[Ends], ends: Sequence[Ends] | None) -> list[float] | None:
        """How far each end lies from its own centre, squared and added (MOVER, independent parts)."""
        if ends is None:
            return None
        low, high = means(centres)
        below = sqrt(sum((centre - end) ** 2 for (centre, _), (end, _) in zip(centres, ends, strict=True)))
        above = sqrt(sum((end - centre) ** 2 for (_, centre), (_, end) in zip(centres, ends, strict=True)))
        return [round(low - below / len(ends), 10), round(high + above / len(ends), 10)]

    points = [(body["value"], body["value"]) for body in bodies]
    bounds = ends_of_all("bounds")
    return {
        "value": round(means(points)[0], 10),
        "ci95": interval(points, ends_of_all("ci95")),
        "bounds": None if bounds is None else [round(end, 10) for end in means(bounds)],
        "ci95_worst": None if bounds is None else interval(bounds, ends_of_all("ci95_worst")),
    }
