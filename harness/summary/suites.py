"""What results.json says of suites: their parts, and the unweighted mean of those that have one.

The mean is of main numbers, each with one weight whatever its size, and null while one of them is missing: a mean of
four is not the mean of five. Its parts are of different data, so their intervals are squared and added.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any

from harness.types import Json

Ends = tuple[float, float]


def suite_results(parts: Sequence[str], mean: Sequence[str], tasks: Mapping[str, Mapping[str, Any]]) -> dict[str, Json]:
    """One suite of results.json.

    Args:
        parts: titles of all its splits.
        mean: titles whose main numbers have a mean; empty for none.
        tasks: of results.json, by displayed name.
    """
    found = {title: _split(title, tasks) for title in dict.fromkeys((*parts, *mean))}
    return {
        "splits": list(parts),
        "missing": [title for title in parts if found[title] is None],
        "mean": _mean({title: found[title] for title in mean}) if mean else None,
    }


def _split(title: str, tasks: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any] | None:
    task, _, split = title.rpartition(":")
    splits: Mapping[str, Mapping[str, Any]] = tasks.get(task, {}).get("splits", {})
    return splits.get(split)


def _main(split: Mapping[str, Any] | None) -> tuple[str, Mapping[str, Any]] | None:
    """The name and the body of a split's main metric, where it has a value."""
    metrics: Mapping[str, Mapping[str, Any]] = {} if split is None else split["metrics"]
    found = ((name, body) for name, body in metrics.items() if body.get("main") and body["value"] is not None)
    return next(found, None)


def _mean(splits: Mapping[str, Mapping[str, Any] | None]) -> dict[str, Json]:
    mains = {title: main for title, split in splits.items() if (main := _main(split)) is not None}
    kinds = {(body["unit"], body["better"]) for _, body in mains.values()}
    there = len(mains) == len(splits) and len(kinds) == 1
    unit, better = next(iter(kinds)) if len(kinds) == 1 else (None, None)
    return {
        **(_numbers([body for _, body in mains.values()]) if there else _NOTHING),
        "unit": unit,
        "better": better,
        "of": {title: {"metric": name, "value": body["value"]} for title, (name, body) in mains.items()},
        "missing": [title for title in splits if title not in mains],
        "complete": there and all(split and _is_whole(split) for split in splits.values()),
    }


def _is_whole(split: Mapping[str, Any]) -> bool:
    """All of it was resolved: no subset, and no copy that holds another number of samples than is published."""
    return bool(split["complete"]) and split["subset"] is None and split["n_expected"] in (None, split["n"])


_NOTHING: Mapping[str, Json] = {"value": None, "ci95": None, "bounds": None, "ci95_worst": None}


def _numbers(bodies: Sequence[Mapping[str, Any]]) -> dict[str, Json]:
    points = [(body["value"], body["value"]) for body in bodies]
    bounds = _every(bodies, "bounds")
    (value, _), between = _means(points), None if bounds is None else _means(bounds)
    return {
        "value": round(value, 10),
        "ci95": _around(points, _every(bodies, "ci95")),
        "bounds": None if between is None else [round(end, 10) for end in between],
        "ci95_worst": None if bounds is None else _around(bounds, _every(bodies, "ci95_worst")),
    }


def _every(bodies: Sequence[Mapping[str, Any]], name: str) -> list[Ends] | None:
    """One pair of ends of each; None where one has none."""
    pairs = [body[name] for body in bodies]
    return None if any(pair is None or None in pair for pair in pairs) else [(low, high) for low, high in pairs]


def _means(pairs: Sequence[Ends]) -> Ends:
    return sum(low for low, _ in pairs) / len(pairs), sum(high for _, high in pairs) / len(pairs)


def _around(centres: Sequence[Ends], ends: Sequence[Ends] | None) -> list[float] | None:
    """The mean's interval: how far each end lies from its own centre, squared and added (MOVER, independent parts)."""
    if ends is None:
        return None
    low, high = _means(centres)
    below = sqrt(sum((centre - end) ** 2 for (centre, _), (end, _) in zip(centres, ends, strict=True)))
    above = sqrt(sum((end - centre) ** 2 for (_, centre), (_, end) in zip(centres, ends, strict=True)))
    return [round(low - below / len(ends), 10), round(high + above / len(ends), 10)]
