"""What can be seen of a run's files without its plugins: counts that must add up, and lines that must be whole."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from harness.types import BLOCKED

_CLOSE: Final = 1e-9  # figures are rounded at the tenth decimal


def sums(split: Mapping[str, Any]) -> Iterator[str]:
    """What does not add up in one split of results.json, under each of its judges.

    Raises:
        KeyError, TypeError, AttributeError, ValueError: it is not a split of results.json.
    """
    outcomes: Mapping[str, int] = split["outcomes"]
    records: int = split["records"]
    if sum(outcomes.values()) != records:
        yield f"outcomes sum to {sum(outcomes.values())}, not to the {records} records"
    if not 0 <= split["n"] <= records:
        yield f"{split['n']} samples in {records} records"
    views: dict[str, Mapping[str, Any]] = {split.get("judge") or "": split, **(split.get("other_judges") or {})}
    for judge, view in views.items():
        for fault in (
            *_judged(view, outcomes, records),
            *_metrics(view["metrics"]),
            *_check_groups(view.get("by") or {}),
        ):
            yield f"{judge}: {fault}" if len(views) > 1 else fault


def check_pairs(paired: Mapping[str, Any]) -> Iterator[str]:
    """What does not add up in a task's comparisons of its own splits: one as it is, or several by name.

    Raises as `sums`.
    """
    for body in [paired] if "pairs" in paired else paired.values():
        for name, side in body.items():
            if isinstance(side, Mapping):
                found = cast("Mapping[str, Any]", side)
                yield from _check_within(f"{name}, difference", found["difference"], found["bounds"])


def _judged(view: Mapping[str, Any], outcomes: Mapping[str, int], records: int) -> Iterator[str]:
    """A record is labelled where it was scored or blocked, or empty without having been cut off."""
    verdicts, answered = sum(view["verdicts"].values()), outcomes.get("answered", 0)
    if verdicts != answered:
        yield f"verdicts sum to {verdicts}, not to the {answered} answers"
    labels = sum(view["labels"].values())
    least = view["verdicts"].get("scored", 0) + sum(outcomes.get(name, 0) for name in BLOCKED)
    most = least + outcomes.get("empty", 0)
    if not least <= labels <= most:
        told = str(least) if least == most else f"{least} to {most}"
        yield f"{labels} labels, where {told} records are scored, blocked or empty"
    coverage = labels / records if records else None
    if not _equal(view["coverage"], coverage):
        yield f"coverage is {view['coverage']}, where {labels} of {records} records are labelled"


def _metrics(metrics: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, body in metrics.items():
        value, bounds = body["value"], body.get("bounds")
        numerator, denominator = body.get("numerator"), body.get("denominator")
        full = 100 if body["unit"] == "%" else 1
        if value is None:
            continue
        plain = "estimator" not in body  # else its lines alone can tell
        if plain and numerator is not None and denominator and not _equal(value, full * numerator / denominator):
            yield f"{name} is {value}, where {numerator:g}/{denominator:g} stands beside it"
        yield from _check_within(name, value, bounds)


def _check_groups(breakdowns: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for by, groups in breakdowns.items():
        for group, part in groups.items():
            yield from (f"{by} {group}: {fault}" for fault in _metrics(part["metrics"]))


def _check_within(name: str, value: float | None, bounds: Sequence[float] | None) -> Iterator[str]:
    if value is not None and bounds is not None and not bounds[0] - _CLOSE <= value <= bounds[1] + _CLOSE:
        yield f"{name} is {value}, outside its bounds {bounds[0]} to {bounds[1]}"


def _equal(one: float | None, other: float | None) -> bool:
    return one is other if one is None or other is None else math.isclose(one, other, rel_tol=_CLOSE, abs_tol=_CLOSE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """What a file of JSON lines looks like.

    Attributes:
        torn: bytes behind its last whole line: an invocation was killed while it wrote, or writes now.
        broken: numbers of whole lines that are no lines of a run, from 1.
        newest: when the last one was written, ISO 8601; empty where none says so.
    """

    torn: int = 0
    broken: tuple[int, ...] = ()
    newest: str = ""


def scan(path: Path) -> Lines:
    """Look at each line of a file."""
    torn, broken, newest = 0, list[int](), ""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                torn = len(line)
            elif (read := _line(line)) is None:
                broken.append(number)
            else:
                newest = max(newest, str(read.get("at") or ""))
    return Lines(torn=torn, broken=tuple(broken), newest=newest)


def _line(line: bytes) -> dict[str, Any] | None:
    try:
        loaded: object = json.loads(line)
    except ValueError:
        return None
    if not isinstance(loaded, dict):
        return None
    read = cast("dict[str, Any]", loaded)
    return read if read.keys() >= {"id", "split", "epoch", "key"} else None
