"""Means over suites: one row per run and suite that has one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.board.display import ARROWS, estimate
from harness.board.rows import ends, strategy_name
from harness.board.values import Ends
from harness.contracts import Results
from harness.metrics import Better
from harness.sources import BUILT


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """The unweighted mean of the main numbers of a suite's parts, for one run.

    Attributes:
        suite: its name, with the sets that were built which it was asked on: a mean over those is another one.
        model: how it is shown: the ref, and the strategy that wrapped it.
        ref: as the user wrote it.
        strategy: its name; empty for none.
        value: None while a part is missing.
        ci95: its interval.
        ci95_worst: the interval ranks would use.
        bounds: the mean of the parts' bounds.
        unit: of the parts.
        better: direction of the parts.
        of: title of each part -> (metric, value).
        missing: titles of the parts without a value.
        complete: every part is there, complete, no subset, and as large as published.
    """

    suite: str
    model: str
    ref: str
    strategy: str
    value: float | None
    ci95: Ends
    ci95_worst: Ends
    bounds: Ends
    unit: str
    better: Better | None
    of: Mapping[str, tuple[str, float]]
    missing: tuple[str, ...]
    complete: bool

    @property
    def parts(self) -> int:
        """How many numbers it is the mean of, missing ones too."""
        return len(self.of) + len(self.missing)

    @property
    def told(self) -> str:
        """In one line: `general: mean of 5, 61.3 [60.2, 62.4] ↑`, and what keeps it from being one."""
        arrow = ARROWS[self.better] if self.better else ""
        number = f"{self.suite}: mean of {self.parts}, {estimate(self.value, self.ci95, self.unit)} {arrow}".rstrip()
        if self.missing:
            return f"{number} (missing: {', '.join(self.missing)})"
        return number if self.complete else f"{number} (a part is a subset or incomplete)"


def means(results: Sequence[Results]) -> tuple[Mean, ...]:
    """The means of some results, suite by suite in the order of the results.

    Args:
        results: dicts of results.json, one per run.
    """
    found = [mean for result in results for mean in _means(result)]
    order = list(dict.fromkeys(mean.suite for mean in found))
    return tuple(sorted(found, key=lambda mean: order.index(mean.suite)))


def _sets(titles: Iterable[str]) -> str:
    found = dict.fromkeys(title.partition(BUILT)[2].partition(":")[0] for title in titles if BUILT in title)
    return "".join(f"{BUILT}{name}" for name in found)


def _means(result: Results) -> Iterator[Mean]:
    suites: Mapping[str, Mapping[str, Any]] = result.get("suites") or {}
    ref: str = result["model"]["ref"]
    strategy = strategy_name(result)
    for suite, about in suites.items():
        body = about["mean"]
        if body is not None:
            yield Mean(
                suite=suite + _sets((*body["of"], *body["missing"])),
                model=" + ".join(part for part in (ref, strategy) if part),
                ref=ref,
                strategy=strategy,
                value=body["value"],
                ci95=ends(body["ci95"]),
                ci95_worst=ends(body["ci95_worst"]),
                bounds=ends(body.get("bounds")),
                unit=body["unit"] or "%",
                better=body["better"],
                of={title: (part["metric"], part["value"]) for title, part in body["of"].items()},
                missing=tuple(body["missing"]),
                complete=body["complete"],
            )
