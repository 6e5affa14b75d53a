"""What runs cost, as their results.json says it; nothing is priced here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from harness.contracts import Results


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCost:
    """The dollars of one run.

    Attributes:
        model: the evaluated model's ref.
        usd: of all calls that somebody sells; None if the price of one is unknown.
        known_usd: of the calls whose price is known, if others' are not; else None.
        per_1000: dollars for a thousand answers; None if `usd` is.
        model_usd: of the model's own calls; None if unknown, or if nobody sells them.
        why: why `usd` is None; else empty.
        prices: what the dollars rest on.
    """

    model: str
    usd: float | None
    known_usd: float | None
    per_1000: float | None
    model_usd: float | None
    why: str
    prices: str

    def format(self) -> str:
        """In a line, without the model: `$0.66 · $5.50 for 1,000 answers · prices of genai-prices 0.2.3`."""
        if self.usd is None:
            known = "" if self.known_usd is None else f"at least {format_usd(self.known_usd)}, the rest is "
            return f"{known}not known ({self.why})"
        parts = [format_usd(self.usd)]
        if self.per_1000 is not None:
            parts.append(f"{format_usd(self.per_1000)} for 1,000 answers")
        return " · ".join([*parts, *([f"prices of {self.prices}"] if self.prices else [])])


NOT_SOLD: Final = "not sold"  #: in the place of dollars, where nobody sells the calls
UNKNOWN: Final = "?"  #: dollars that nobody knows: never 0


def is_not_sold(why: str) -> bool:
    """Whether `cost_why`, or a forecast's reason, says that nobody sells the calls: then no price is missing."""
    return why.startswith("not priced:")


def format_cost(usd: float | None, why: str) -> str:
    """Dollars in a table's cell, or why there are none: `12.30`, `not sold`, or `?` where nobody knows them."""
    if usd is None:
        return NOT_SOLD if is_not_sold(why) else UNKNOWN
    return f"{usd:.2f}"


def format_usd(dollars: float) -> str:
    """Dollars with as many digits as they need: `$12.30`, `$0.0042`."""
    return (
        f"${dollars:.2f}"
        if dollars >= 1 or not dollars
        else f"${dollars:.{max(2, 1 - math.floor(math.log10(dollars)))}f}"
    )


def list_costs(results: Sequence[Results]) -> list[RunCost]:
    """The cost of each run that says something about dollars; runs whose calls nobody sells are left out."""
    found: list[RunCost] = []
    for each in results:
        usage = _dict(each, "usage")
        usd, known = _number(usage, "cost_usd"), _number(usage, "known_usd")
        why, prices = str(usage.get("cost_why") or ""), _dict(usage, "prices")
        if usd is None and known is None and (not why or is_not_sold(why)):
            continue
        table = str(prices.get("table") or "")
        own = "your own" if prices.get("own") else ""
        found.append(
            RunCost(
                model=str(each["model"]["ref"]),
                usd=usd,
                known_usd=known,
                per_1000=_number(usage, "usd_per_1000_samples"),
                model_usd=_number(_dict(usage, "model"), "cost_usd"),
                why=why,
                prices=" and ".join(filter(None, (table, own))),
            )
        )
    return found


def find_run_cost(run: Results) -> tuple[float | None, float | None]:
    """Dollars of a run, and for a thousand answers; None if unknown."""
    usage = _dict(run, "usage")
    return _number(usage, "cost_usd"), _number(usage, "usd_per_1000_samples")


def _dict(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found: object = body.get(name)
    return cast("Mapping[str, Any]", found) if isinstance(found, Mapping) else {}


def _number(body: Mapping[str, Any], name: str) -> float | None:
    value = body.get(name)
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number and value is not None else None
