"""Dollars of a run, counted from its lines.

Tokens are summed for each rate and priced once, so neither the order of lines nor their folders change a digit. What is
not known stays out of a sum and is named beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, cast

from harness.limits.tokens import MOST_TOKENS
from harness.prices.book import NoPrice, PriceBook, Rates, Seller, table_name
from harness.types import Json, Usage

MODEL: Final = "model"  #: name of the model among the sellers of a run; a judge has its id
UNRECORDED: Final = NoPrice("this run was made by a version that does not record who answered")
_NO_TOKENS: Final = "the provider reported no tokens"


class CostSum:
    """What the calls of one model cost.

    Args:
        book: finds the prices.
        ref: `SCHEME/NAME` of the model.
        seller: who answers; None if the run does not say.
    """

    def __init__(self, book: PriceBook, ref: str, seller: Seller | None) -> None:
        self._book, self._ref, self._seller = book, ref, seller
        self._tokens: dict[Rates, list[int]] = {}
        self._unknown = Counter[NoPrice]()

    def add(self, line: Mapping[str, Any], calls: int, *, reported: str, answered: bool) -> None:
        """Count the calls of one line.

        Args:
            line: of an answer or a verdict.
            calls: how many there were; a price that depends on a request's size takes their mean.
            reported: the model's name as the provider reports it.
            answered: whether the model gave a text, so that tokens must have been used.
        """
        usage = line["usage"]
        into = usage["input_tokens"]
        if self._seller is None:
            self._unknown[UNRECORDED] += calls
            return
        found = self._book.find_price(
            self._ref,
            self._seller,
            at=line["at"],
            batch=usage.get("batch", False),
            tokens=into / calls if calls > 1 else into,
            reported=reported,
        )
        most = MOST_TOKENS * calls
        if isinstance(found, Rates) and ((answered and not into) or max(into, usage["output_tokens"]) > most):
            found = NoPrice(_NO_TOKENS)
        if isinstance(found, NoPrice):
            self._unknown[found] += calls
            return
        sums = self._tokens.get(found)
        if sums is None:
            sums = self._tokens[found] = [0, 0, 0, 0]
        read = min(usage.get("cache_read_tokens", 0), into)  # of each line: too many must not make another one cheaper
        sums[0] += into
        sums[1] += usage["output_tokens"]
        sums[2] += read
        sums[3] += min(usage.get("cache_write_tokens", 0), into - read)

    @property
    def known(self) -> Decimal | None:
        """Dollars of the calls whose price is known; None if there is no such call."""
        if not self._tokens:
            return None
        return sum(
            (
                rates.cost(Usage(input_tokens=into, output_tokens=out, cache_read_tokens=read, cache_write_tokens=new))
                for rates, (into, out, read, new) in self._tokens.items()
            ),
            Decimal(),
        )

    @property
    def unknown(self) -> Mapping[NoPrice, int]:
        """Why calls have no price -> their number."""
        return self._unknown

    def as_json(self) -> dict[str, Json]:
        """`cost_usd`, and if it is null why, with the dollars of the calls whose price is known."""
        known = self.known
        if not self._unknown:
            return {"cost_usd": None if known is None else to_number(known)}
        return {
            "cost_usd": None,
            **({} if known is None else {"known_usd": to_number(known)}),
            "cost_why": explain(self._unknown),
        }


def explain(unknown: Mapping[NoPrice, int]) -> str:
    """Why calls have no price, the most frequent reason first."""
    reasons = sorted(unknown.items(), key=lambda each: (-each[1], each[0].why))
    parts = [f"not priced: {found.why}" if found.own else found.why for found, _ in reasons]
    if len(reasons) == 1:
        return parts[0]
    return "; ".join(f"{part} ({count} calls)" for part, (_, count) in zip(parts, reasons, strict=True))


def to_number(dollars: Decimal) -> float:
    """Dollars as JSON holds them, to a millionth of a cent."""
    return float(round(dollars, 8))


def cost_json(
    book: PriceBook,
    model: CostSum,
    judges: Mapping[str, CostSum],
    samples: int,
    unanswered: Decimal = Decimal(),
) -> dict[str, Json]:
    """The dollars of a whole run, for `usage` of results.json.

    `cost_usd` is what all calls cost that somebody sells; it is null if the price of one is unknown, or if none is
    sold. Calls on machines of the user's are not in it, and neither are those without an answer (`unanswered`).
    """
    parts = {MODEL: model, **judges}
    known = [dollars for part in parts.values() if (dollars := part.known) is not None]
    total = sum(known, Decimal())
    unknown = {
        who: {found: count for found, count in part.unknown.items() if not found.own} for who, part in parts.items()
    }
    why = [f"{who}: {explain(found)}" for who, found in unknown.items() if found]
    whole = bool(known) and not why
    if not known and not why and any(part.unknown for part in parts.values()):
        why = ["not priced: nobody sells these calls"]
    return {
        "cost_usd": to_number(total) if whole else None,
        **({"known_usd": to_number(total)} if known and not whole else {}),
        **({"cost_why": "; ".join(why)} if why else {}),
        **({"usd_per_1000_samples": to_number(1000 * total / samples)} if whole and samples else {}),
        **({"unanswered_usd": to_number(unanswered)} if unanswered else {}),
        **({"prices": describe_book(book)} if book.used_table or book.used else {}),
    }


#: keys of `usage` in results.json that depend on prices
DOLLARS: Final = frozenset({"cost_usd", "known_usd", "cost_why", "usd_per_1000_samples", "unanswered_usd", "prices"})


def remove_dollars(usage: Mapping[str, Json]) -> dict[str, Json]:
    """`usage` of results.json, or a part of it, without what depends on prices."""
    return {
        name: remove_dollars(cast("Mapping[str, Json]", value)) if isinstance(value, Mapping) else value
        for name, value in usage.items()
        if name not in DOLLARS
    }


def describe_book(book: PriceBook) -> dict[str, Json]:
    """Which prices a run's dollars rest on."""
    return {
        **({"table": table_name()} if book.used_table else {}),
        **({"own": {ref: price.as_json() for ref, price in sorted(book.used.items())}} if book.used else {}),
    }


def read_sellers(raw: Mapping[str, Any]) -> dict[str, Seller]:
    """Who answers the model and each judge, from run.json."""
    sellers = cast("Mapping[str, Mapping[str, Any]]", raw.get("sellers") or {})
    return {name: Seller.from_json(each) for name, each in sellers.items()}
