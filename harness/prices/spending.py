"""The dollars of a run while it goes: what a call may cost before it starts, and what it did cost.

spending = Spending(book, Budget(Decimal(5)), spent=progress.spent)
Metered(model, endpoints, meter=spending.open_meter("openai/NAME", provider, settings))
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, Protocol

from harness.contracts import Provider
from harness.errors import HarnessError
from harness.limits.quota import Budget, FreeMeter, Load
from harness.limits.tokens import clean_usage, count_output, count_request, find_image_rule, has_counts
from harness.prices.book import NoPrice, PriceBook, Rates, Seller, now
from harness.types import Request, Usage


class Spent(Protocol):
    """Learns what each call took: `harness.progress.Progress.spent`."""

    def __call__(self, usage: Usage, *, cost: float | None = None) -> None:
        """A call used tokens and, where its price is known, dollars."""
        ...


class Spending:
    """What the calls of one invocation cost, and who answers them.

    Args:
        book: finds the prices.
        budget: limits the dollars of the run folder.
        spent: learns what each call took.

    Attributes:
        cost: dollars of this invocation's calls, as far as their price is known; also of tries that failed. With a
            limit, an answer whose tokens nobody knows counts as the most that it can have cost.
        unanswered: the most dollars of its calls that got no answer, though the provider may bill them; not in `cost`.
    """

    def __init__(
        self, book: PriceBook | None = None, budget: Budget | None = None, *, spent: Spent | None = None
    ) -> None:
        self.book = book or PriceBook()
        self.budget = budget or Budget()
        self.cost = Decimal()
        self.unanswered = Decimal()
        self._spent = spent

    def open_meter(self, ref: str, provider: Provider, settings: Mapping[str, Any]) -> PriceMeter:
        """A meter for the calls of a model."""
        return PriceMeter(self, ref, Seller.of(provider, settings))

    def count(self, ref: str, seller: Seller, usage: Usage, reported: str = "") -> Decimal | None:
        """Count what one call took; returns its dollars, None if its price is unknown."""
        usage = clean_usage(usage)
        cost = self.find_cost(ref, seller, usage, reported)
        if self._spent is not None:
            self._spent(usage, cost=None if cost is None else float(cost))
        self.cost += cost or Decimal()
        return cost

    def find_cost(self, ref: str, seller: Seller, usage: Usage, reported: str = "") -> Decimal | None:
        """Dollars of one call that ends now; None if its price is unknown."""
        rates = self.book.find_price(
            ref, seller, at=now(), batch=usage.batch, tokens=usage.input_tokens, reported=reported
        )
        return rates.cost(usage) if isinstance(rates, Rates) else None


class PriceMeter(FreeMeter):
    """Weighs and prices the calls of one model."""

    def __init__(self, spending: Spending, ref: str, seller: Seller) -> None:
        super().__init__(find_image_rule(ref))
        self._spending, self._ref, self._seller = spending, ref, seller
        self._dearest = Decimal()
        self._limited = spending.budget.limit is not None and isinstance(
            spending.book.find_price(ref, seller, at=now()), Rates
        )

    def weigh(self, request: Request, thinking: int = 0) -> Load:
        """Expected tokens, and with a limit the most dollars: its own bound, and no less than the dearest call yet."""
        load = super().weigh(request)
        if not self._limited:
            return load
        return replace(load, dollars=max(self._find_most(request, thinking), self._dearest))

    async def hold(self, load: Load) -> None:
        """Wait until the budget allows the call. Raises BudgetSpent."""
        if self._limited:
            await self._spending.budget.hold(load.dollars)

    def settle(self, load: Load, usage: Usage | None, reported: str = "", *, answered: bool = False) -> None:
        """Count what the call took; with a limit its bound, if the provider does not say."""
        cost = Decimal()
        if usage is not None:
            super().settle(load, clean_usage(usage))
            cost = self._spending.count(self._ref, self._seller, usage, reported) or cost
            if self._limited and not _is_whole(usage, answered=answered):
                self._spending.cost += max(load.dollars - cost, Decimal())
                cost = max(load.dollars, cost)
            self._dearest = max(self._dearest, cost)
        if self._limited:
            self._spending.budget.settle(load.dollars, cost)

    def lose(self, load: Load, request: Request, thinking: int = 0) -> None:
        """Count the most that a call without an answer can have cost."""
        most = max(load.dollars, self._find_most(request, thinking))
        self._spending.unanswered += most
        if self._limited:
            self._spending.budget.unanswered += most
            self._spending.budget.settle(load.dollars, most)

    def miss(self, dollars: Decimal) -> None:
        """Count the most that an answer of a batch can have cost which cannot be read; its queue tells the budget."""
        self._spending.unanswered += dollars

    def _find_most(self, request: Request, thinking: int) -> Decimal:
        """The most dollars of a live call, by its own size; 0 if nobody sells it, or its price is unknown."""
        output = count_output(request) + thinking
        most = Usage(input_tokens=count_request(request, self.rule)[1], output_tokens=output)
        return self._spending.find_cost(self._ref, self._seller, most) or Decimal()

    def bound(self, request: Request, thinking: int = 0) -> Decimal | None:
        """The most dollars of a request in a batch, by batch rates, and no less than the dearest call yet."""
        tokens, output = count_request(request, self.rule)[1], count_output(request) + thinking
        rates = self._spending.book.find_price(self._ref, self._seller, at=now(), batch=True, tokens=tokens)
        if isinstance(rates, NoPrice):
            return Decimal() if rates.own else None
        return max(rates.cost(Usage(input_tokens=tokens, output_tokens=output)), self._dearest)

    def count(self, usage: Usage, reported: str = "", *, answered: bool = False) -> Decimal | None:
        """Count what an answer of a batch took; None also if the provider does not say."""
        cost = self._spending.count(self._ref, self._seller, usage, reported)
        self._dearest = max(self._dearest, cost or Decimal())
        return cost if _is_whole(usage, answered=answered) else None


def _is_whole(usage: Usage, *, answered: bool) -> bool:
    """Whether the tokens of a call are known: they are counts, and an answer has used some of both."""
    return has_counts(usage) and not (answered and not (usage.input_tokens and usage.output_tokens))


def check_prices(book: PriceBook, sellers: Iterable[tuple[str, Seller]], limit: float, *, batch: bool = False) -> None:
    """Refuse a limit in dollars if the price of a model is unknown. Raises HarnessError with the remedy.

    Args:
        book: finds the prices.
        sellers: `SCHEME/NAME` of each model that will be asked, and who answers.
        limit: `--max-usd`.
        batch: whether they are asked through a batch API.
    """
    for ref, seller in sellers:
        found = book.find_price(ref, seller, at=now(), batch=batch)
        if isinstance(found, NoPrice) and (not found.own or seller.unsure):
            why = found.why
            if found.own:
                why = f"{seller.unsure} may be a gateway to models that are sold, and {ref} has no price"
            free = "; if nobody sells it, with input: 0 and output: 0" if found.own else ""
            batches = ", batch: {input: …, output: …}" if batch else ""
            raise HarnessError(
                f"--max-usd {limit:g} cannot be kept: {why}",
                remedy=f"give it in harness.yaml, in dollars per million tokens, as prices: {{{ref}: {{input: …,"
                f" output: …{batches}, source: https://…, date: 2026-11-30}}}}{free}; or leave --max-usd out",
            )
