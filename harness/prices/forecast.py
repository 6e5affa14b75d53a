"""What calls will take before they are made: tokens, dollars and time, each as a range, and what it rests on.

Measured calls come first: an earlier run's answers, then its probe. Without them the range is what the vendor publishes
about images (not checked against its servers), the length of the texts, and at most `max_tokens` of output.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from harness.limits.endpoints import Policy
from harness.prices.book import NoPrice, PriceBook, Seller, now
from harness.types import Usage

Range = tuple[float, float]  #: least and most
MOST_CALLS: Final = 100  #: at once to one endpoint; fewer at the start
_ERRORS: Final = 2.0  #: standard errors around a mean
_ALONE: Final = 0.5  #: how far a single measured call may be off, either way


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSize:
    """What one call takes.

    Attributes:
        input_tokens: least and most.
        output_tokens: least and most.
        seconds: least and most; None if nothing was measured.
        cached: share of the input tokens that were read from a cache; the next ones may be, or may not.
        rests_on: what these numbers come from.
    """

    input_tokens: Range
    output_tokens: Range
    cached: float = 0.0
    seconds: Range | None = None
    rests_on: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What the calls to one model will take.

    Attributes:
        calls: that are still to be made, least and most.
        input_tokens: least and most.
        output_tokens: least and most.
        usd: least and most; None if the price is unknown, or if nobody sells the calls.
        usd_why: why `usd` is None; else empty.
        seconds: least and most; None if unknown.
        rests_on: what the numbers come from.
    """

    calls: tuple[int, int]
    input_tokens: tuple[int, int]
    output_tokens: tuple[int, int]
    usd: Range | None
    usd_why: str
    seconds: Range | None
    rests_on: str


def measure_calls(calls: Sequence[tuple[float, float, float, float]], rests_on: str) -> CallSize | None:
    """The size of a call by measured ones: their means, within two standard errors; None without any.

    Args:
        calls: (input tokens, output tokens, seconds, cached tokens) of each; 0 seconds is unknown.
        rests_on: in words.
    """
    if not calls:
        return None
    into, out = (_spread([call[place] for call in calls]) for place in (0, 1))
    timed = [call[2] for call in calls if call[2] > 0]
    return CallSize(
        input_tokens=into,
        output_tokens=out,
        cached=sum(call[3] for call in calls) / sum(call[0] for call in calls),
        seconds=_spread(timed) if timed else None,
        rests_on=rests_on,
    )


def _spread(values: Sequence[float]) -> Range:
    """A range around the mean of some values."""
    mean = sum(values) / len(values)
    if len(values) == 1:
        return mean * (1 - _ALONE), mean * (1 + _ALONE)
    variance = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
    wide = _ERRORS * math.sqrt(variance / len(values))
    return max(0.0, mean - wide), mean + wide


def forecast_calls(
    size: CallSize,
    calls: tuple[int, int],
    *,
    book: PriceBook,
    ref: str,
    seller: Seller,
    policy: Policy,
    batch: bool = False,
    local: bool = False,
    pace: float | None = None,
) -> Forecast:
    """What some calls will take.

    Args:
        size: of one call.
        calls: least and most.
        book: finds the price.
        ref: `SCHEME/NAME` of the model.
        seller: who answers.
        policy: how many calls run at once, and how many start a minute.
        batch: whether they are asked through a batch API, which has no time.
        local: whether it runs on this machine, where only `pace` says how long calls take.
        pace: seconds for one call of a local model, all calls together; None if unknown.
    """
    into, out = (
        (math.floor(calls[0] * each[0]), math.ceil(calls[1] * each[1]))
        for each in (size.input_tokens, size.output_tokens)
    )
    ends: list[float] = []
    why = ""
    for place in (0, 1):
        rates = book.find_price(ref, seller, at=now(), batch=batch, tokens=size.input_tokens[place])
        if isinstance(rates, NoPrice):
            why = f"not priced: {rates.why}" if rates.own else rates.why
        else:
            cached = 0 if place else math.floor(into[0] * size.cached)
            usage = Usage(input_tokens=into[place], output_tokens=out[place], cache_read_tokens=cached)
            ends.append(float(rates.cost(usage)))
    seconds: Range | None = None
    if size.seconds is not None and not local and not batch:
        most, start = policy.cap or MOST_CALLS, min(policy.start, policy.cap or policy.start)
        low = max(calls[0] * size.seconds[0] / most, _wait(policy, calls[0], into[0] + out[0]))
        high = max(calls[1] * size.seconds[1] / start, _wait(policy, calls[1], into[1] + out[1]))
        seconds = (round(low, 1), round(high, 1))
    if pace is not None and local:
        seconds = (round(calls[0] * pace * 0.7, 1), round(calls[1] * pace * 1.5, 1))
    return Forecast(
        calls=calls,
        input_tokens=into,
        output_tokens=out,
        usd=None if why else (round(ends[0], 6), round(ends[1], 6)),
        usd_why=why,
        seconds=seconds,
        rests_on=size.rests_on,
    )


def _wait(policy: Policy, calls: int, tokens: int) -> float:
    """Seconds that `--rpm` and `--tpm` need for so many calls and tokens."""
    return max(60 * calls / policy.rpm if policy.rpm else 0.0, 60 * tokens / policy.tpm if policy.tpm else 0.0)


def add_ranges(ranges: Iterable[Range]) -> Range:
    """The sum of several ranges."""
    low, high = 0.0, 0.0
    for least, most in ranges:
        low, high = low + least, high + most
    return low, high
