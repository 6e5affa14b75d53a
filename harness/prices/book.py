"""Prices of tokens: the table of `genai-prices`, and the user's own prices for what it lacks or gets wrong.

The table comes with its package and is read offline; nothing here opens a connection. An unknown price is a `NoPrice`
with its reason, never 0. Two traps of the table:

- It gives the standard price for a context that it has no rate for. So a call of a batch has a price only if the model
  has batch rates at the time of the call.
- It prices some models by more than tokens of text (images apart, requests). Their calls have no price here, because a
  `Usage` does not say these counts.

`genai_prices` is imported at the first price that needs it: a run of local models never does.
"""

from __future__ import annotations

import importlib.metadata
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, cast

from harness.contracts import Provider
from harness.errors import HarnessError, UnknownName
from harness.http.settings import find_host
from harness.settings import nearest
from harness.types import Json, Usage

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice, TieredPrices
    from genai_prices.types import Provider as TableProvider

TABLE: Final = "genai-prices"
MILLION: Final = 1_000_000
#: schemes that ask their vendor's own server unless an address is set -> the table's name of the vendor
_VENDORS: Final[Mapping[str, str]] = {"openai": "openai", "anthropic": "anthropic", "gemini": "google"}
#: hosts that the table does not know by this name
_HOSTS: Final[Mapping[str, str]] = {"api.together.ai": "together"}
#: prices of the table that say what a Usage tells apart; a model with others has no price here
_TOKENS: Final = frozenset({"input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "cache_write_1h_mtok"})
#: prices that a run's calls never meet
_NOT_MET: Final = re.compile(r".*(audio|video|search|hours).*")
_BATCH: Final = {"processing": "batch"}
_FIELDS: Final = ("input", "output", "cache_read", "cache_write", "batch", "source", "date")
_RATES: Final = ("input", "output", "cache_read", "cache_write")
_DEAREST: Final = 1_000_000  #: dollars per million tokens; a higher price is a slip
_EXAMPLE: Final = (
    "write prices: {openai/NAME: {input: 2.5, output: 10, source: https://…, date: 2026-11-30}}, in dollars per million"
    " tokens"
)


@dataclass(frozen=True, slots=True)
class Rates:
    """Dollars per million tokens, as they hold for some calls."""

    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write: Decimal

    def cost(self, usage: Usage) -> Decimal:
        """Dollars of these tokens. Cached tokens are parts of the input; more of them than input count as all of it."""
        read = min(usage.cache_read_tokens, usage.input_tokens)
        written = min(usage.cache_write_tokens, usage.input_tokens - read)
        fresh = usage.input_tokens - read - written
        total = fresh * self.input + read * self.cache_read + written * self.cache_write
        return (total + usage.output_tokens * self.output) / MILLION


@dataclass(frozen=True, slots=True)
class NoPrice:
    """Why calls have no price.

    Attributes:
        why: a sentence without its full stop.
        own: the calls run on a machine of the user's, so nobody sells them: they are not priced, rather than unknown.
    """

    why: str
    own: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Seller:
    """Who answers a model's calls.

    Attributes:
        scheme: the provider's scheme, or the one that it was made of.
        address: of the server; empty for the vendor's own.
        own: why nobody sells the calls; empty if somebody may.
    """

    scheme: str
    address: str = ""
    own: str = ""

    @staticmethod
    def of(provider: Provider, settings: Mapping[str, Any]) -> Seller:
        """Who answers the calls of a provider's model with these settings."""
        scheme = provider.base or provider.scheme
        if provider.given:
            return Seller(scheme=scheme, own="the data gives the answers")
        if provider.local:
            return Seller(scheme=scheme, own="it runs on this machine")
        address = str(settings.get("azure_endpoint") or settings.get("base_url") or "")
        host = find_host(address)
        bare = "." not in host and ":" not in host  # a name of the own network; an address has either
        local = bare or host.endswith((".localhost", ".local", ".internal", ".lan"))
        own = f"it runs on a server of yours, {host}" if host and (local or _is_private(host)) else ""
        return Seller(scheme=scheme, address=address, own=own)

    @property
    def unsure(self) -> str:
        """A host that counts as the user's by its name alone, so that it may pass calls on to somebody who sells them.

        Empty for an address of this machine or of a private network, and for a model without a server.
        """
        host = find_host(self.address) if self.own else ""
        return "" if not host or host == "localhost" or host.endswith(".localhost") or _is_private(host) else host

    def as_json(self) -> dict[str, Json]:
        """The form in run.json."""
        given = {"scheme": self.scheme, "address": self.address, "own": self.own}
        return {name: value for name, value in given.items() if value}

    @staticmethod
    def from_json(raw: Mapping[str, Any]) -> Seller:
        """Read it again."""
        return Seller(**{name: str(raw.get(name) or "") for name in ("scheme", "address", "own")})


def _is_private(host: str) -> bool:
    """Whether a host is an address of this machine or of a private network."""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnPrice:
    """A price that the user gives for one model.

    Attributes:
        live: the rates.
        batch: the rates of a batch API; None if unknown.
        source: where it was read.
        date: when.
    """

    live: Rates
    batch: Rates | None = None
    source: str
    date: str

    def as_json(self) -> dict[str, Json]:
        """The form in files."""
        batch = {} if self.batch is None else {"batch": _rates_json(self.batch)}
        return {**_rates_json(self.live), **batch, "source": self.source, "date": self.date}


def _rates_json(rates: Rates) -> dict[str, Json]:
    return {name: float(getattr(rates, name)) for name in _RATES}


def read_prices(raw: object, where: str) -> dict[str, OwnPrice]:
    """The user's prices: `SCHEME/NAME` -> dollars per million tokens, with source and date.

    Raises HarnessError for another form, UnknownName for an unknown key; `where` names the file.
    """
    rows = _check_mapping(raw, where)
    return {str(ref): read_price(str(ref), given, f"{where}: prices.{ref}") for ref, given in rows.items()}


def read_price(ref: str, raw: object, where: str) -> OwnPrice:
    """One row of the user's prices. Raises HarnessError, UnknownName; `where` names its file and key."""
    if not all(ref.partition("/")):
        what = f"{ref!r} is not a model"
        raise HarnessError(what, where=where, remedy="name it as --model does, SCHEME/NAME")
    given = _check_mapping(raw, where)
    for key in given:
        if key not in _FIELDS:
            raise UnknownName(f"a price has no key {key!r}", where=where, remedy=nearest(str(key), _FIELDS))
    for key in ("source", "date"):
        if not given.get(key):
            raise HarnessError(f"a price needs its {key}", where=where, remedy=_EXAMPLE)
    day = given["date"]
    try:
        day = day if isinstance(day, date) else date.fromisoformat(str(day))
    except ValueError:
        raise HarnessError(f"date: {day!r} is not a date", where=where, remedy="write it as 2026-11-30") from None
    batch = given.get("batch")
    return OwnPrice(
        live=_read_rates(given, where),
        batch=None if batch is None else _read_rates(_check_mapping(batch, f"{where}.batch"), f"{where}.batch"),
        source=str(given["source"]),
        date=day.isoformat()[:10],
    )


def _read_rates(given: Mapping[str, Any], where: str) -> Rates:
    values: dict[str, Decimal] = {}
    for name in _RATES:
        value = given.get(name, given.get("input") if name.startswith("cache") else None)
        if value is None:
            raise HarnessError(f"a price needs its {name}", where=where, remedy=_EXAMPLE)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not 0 <= value <= _DEAREST:
            what = f"{name}: {value!r:.100} is not a number of dollars per million tokens, from 0 to {_DEAREST:,}"
            raise HarnessError(what, where=where, remedy=_EXAMPLE)
        values[name] = Decimal(str(value))
    return Rates(**values)


def _check_mapping(raw: object, where: str) -> Mapping[str, Any]:
    if not isinstance(raw, Mapping):
        raise HarnessError("prices must be mappings", where=where, remedy=_EXAMPLE)
    return cast("Mapping[str, Any]", raw)


@dataclass(frozen=True, slots=True)
class _Tiers:
    """Prices of one model, some of which depend on the size of a request."""

    prices: tuple[Decimal | TieredPrices, ...]  # in the order of Rates
    starts: tuple[int, ...]  # sizes above which a price changes
    known: dict[int, Rates] = field(default_factory=dict[int, Rates], compare=False)

    def find(self, tokens: float) -> Rates:
        """The rates of a request with so many input tokens."""
        place = sum(tokens > start for start in self.starts)
        if place not in self.known:
            self.known[place] = Rates(*(_pick(price, tokens) for price in self.prices))
        return self.known[place]


def _pick(price: Decimal | TieredPrices, tokens: float) -> Decimal:
    if isinstance(price, Decimal):
        return price
    return next((tier.price for tier in reversed(price.tiers) if tokens > tier.start), price.base)


class PriceBook:
    """Finds the price of calls.

    Args:
        own: the user's prices, by `SCHEME/NAME`; they override the table.

    Attributes:
        used_table: whether the table was looked into.
        used: the user's prices that were looked into, by `SCHEME/NAME`.
    """

    def __init__(self, own: Mapping[str, OwnPrice] | None = None) -> None:
        self.own = dict(own or {})
        self.used_table = False
        self.used: dict[str, OwnPrice] = {}
        self._known: dict[tuple[str, Seller, str, str, bool], _Tiers | NoPrice] = {}

    def find_price(
        self, ref: str, seller: Seller, *, at: str, batch: bool = False, tokens: float = 0, reported: str = ""
    ) -> Rates | NoPrice:
        """The rates of a call, or why they are unknown.

        Args:
            ref: `SCHEME/NAME` of the model.
            seller: who answers.
            at: when the call ended, ISO 8601 with its zone; it decides which price holds.
            batch: whether it was made through a batch API.
            tokens: of its input; some prices depend on them.
            reported: the model's name as the provider reports it; looked up first.
        """
        key = (ref, seller, reported, at[:16], batch)  # some prices hold for some hours of a day
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._find(ref, seller, at, batch, reported)
        return found if isinstance(found, NoPrice) else found.find(tokens)

    def _find(self, ref: str, seller: Seller, at: str, batch: bool, reported: str) -> _Tiers | NoPrice:
        price = self.own.get(ref)
        if price is not None:
            self.used[ref] = price
            rates = price.batch if batch else price.live
            if rates is None:
                return NoPrice(f"your price of {ref} has no batch rates")
            return _Tiers((rates.input, rates.output, rates.cache_read, rates.cache_write), ())
        if seller.own:
            return NoPrice(seller.own, own=True)
        vendor = self._find_vendor(seller)
        if isinstance(vendor, NoPrice):
            return vendor
        from genai_prices.data_snapshot import get_snapshot

        moment = datetime.fromisoformat(at)
        every, name = get_snapshot().providers, ref.partition("/")[2]
        for each in dict.fromkeys(filter(None, (reported, name))):
            # a vendor's names may come with its folders, such as models/gemini-3-pro
            model = vendor.find_model(each.lower(), all_providers=every)
            model = model or vendor.find_model(each.lower().rpartition("/")[2], all_providers=every)
            if model is None:
                continue
            # the rates of a batch are those of its own seller: another vendor's do not hold there
            active = any(
                variant.when == _BATCH and (variant.constraint is None or variant.constraint.active(moment))
                for variant in model.price_variants or ()
            )
            if batch and not (active and model in vendor.models):
                return NoPrice(f"{table_name()} has no batch rates of {each} at {vendor.name} on {moment.date()}")
            return _read_table(model.get_prices(moment, _BATCH if batch else None), each, vendor)
        return NoPrice(f"{table_name()} has no price of {name} at {vendor.name}")

    def _find_vendor(self, seller: Seller) -> TableProvider | NoPrice:
        if not seller.address and seller.scheme not in _VENDORS:
            return NoPrice(f"the scheme {seller.scheme} has no price list")
        from genai_prices.data_snapshot import find_provider_by_id, get_snapshot

        self.used_table = True
        snapshot = get_snapshot()
        host = find_host(seller.address)
        known = _HOSTS.get(host) if seller.address else _VENDORS[seller.scheme]
        if known is not None:
            vendor = find_provider_by_id(snapshot.providers, known)
        else:
            vendor = next((each for each in snapshot.providers if re.match(each.api_pattern, seller.address)), None)
        return vendor or NoPrice(f"{table_name()} has no prices of {host or known or seller.address}")


def table_name() -> str:
    """Name and version of the table, `genai-prices 0.2.3`."""
    return f"{TABLE} {importlib.metadata.version(TABLE)}"


def _read_table(price: ModelPrice, name: str, vendor: TableProvider) -> _Tiers | NoPrice:
    own = {key: value for key, value in vars(price).items() if value is not None}
    odd = sorted(key for key in own if key not in _TOKENS and not _NOT_MET.fullmatch(key))
    if odd:
        return NoPrice(f"{name} at {vendor.name} is not priced by tokens of text alone: {', '.join(odd)}")
    if "input_mtok" not in own or "output_mtok" not in own:
        return NoPrice(f"{table_name()} has no price of the tokens of {name} at {vendor.name}")
    into = own["input_mtok"]
    prices = (into, own["output_mtok"], own.get("cache_read_mtok", into), own.get("cache_write_mtok", into))
    starts = {tier.start for each in prices if not isinstance(each, Decimal) for tier in each.tiers}
    return _Tiers(prices, tuple(sorted(starts)))


def now() -> str:
    """The present moment, as `PriceBook.find_price` takes it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
