"""What calls cost: the table, the user's prices, sums, and the dollars that a run may spend."""

import json
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import genai_prices
import jsonschema
import pytest
import yaml
from genai_prices.data_snapshot import get_snapshot

from harness import plugins
from harness.contracts import ModelInfo
from harness.errors import BudgetSpent, HarnessError, UnknownName
from harness.evaluation.options import Options
from harness.limits import Endpoints, Policy
from harness.limits.metered import Metered
from harness.limits.quota import Budget, Quota
from harness.limits.tokens import clean_usage, count_request, find_image_rule
from harness.models import ModelSpec
from harness.prices import NoPrice, PriceBook, Rates, Seller, read_prices
from harness.prices.costs import CostSum, cost_json, table_name
from harness.prices.spending import PriceMeter, Spending, check_prices
from harness.runs.costs import count_spent
from harness.runs.dry_run import PlannedCalls, dry_run
from harness.runs.merging import merge_async
from harness.runs.verification import verify_run
from harness.store.folder import RunFolder
from harness.testing.fakes import fake_judge, fake_provider, fake_sample, fake_task, host_of
from harness.types import Failure, Request, Response, Usage
from tests.core.carried import Server, go, numbered

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "results.schema.json").read_text(encoding="utf-8"))
OPENAI = Seller(scheme="openai")
AT = "2026-12-01T10:00:00.000+00:00"
OWN = {"seen/x": {"input": 2, "output": 8, "cache_read": 0.5, "source": "https://x.org", "date": date(2026, 11, 30)}}


def own(**changes: Any) -> dict[str, Any]:
    return {"seen/x": {**OWN["seen/x"], **changes}}


def rates_of(found: Rates | NoPrice) -> Rates:
    assert isinstance(found, Rates), found
    return found


def why_of(found: Rates | NoPrice) -> str:
    assert isinstance(found, NoPrice), found
    return found.why


# -- The table ---------------------------------------------------------------------------------------------------------
def listed() -> list[tuple[str, str]]:
    """Every model of some vendors that has a price here."""
    schemes = {"openai": "openai", "anthropic": "anthropic", "google": "gemini"}
    return [
        (schemes[vendor.id], model.id)
        for vendor in get_snapshot().providers
        if vendor.id in schemes
        for model in vendor.models
        if not isinstance(
            PriceBook().find_price(f"{schemes[vendor.id]}/{model.id}", Seller(scheme=schemes[vendor.id]), at=AT),
            NoPrice,
        )
    ]


@pytest.mark.parametrize("batch", [False, True])
def test_each_call_costs_what_the_table_makes_of_it(batch: bool) -> None:
    usage = Usage(input_tokens=250_000, output_tokens=900, cache_read_tokens=1000, cache_write_tokens=500)
    vendors = {"openai": "openai", "anthropic": "anthropic", "gemini": "google"}
    checked = 0
    for scheme, model in listed():
        found = PriceBook().find_price(f"{scheme}/{model}", Seller(scheme=scheme), at=AT, tokens=250_000, batch=batch)
        if isinstance(found, NoPrice):
            assert batch
            continue
        counts = {name: getattr(usage, name) for name in ("input_tokens", "output_tokens", "cache_read_tokens")}
        table = genai_prices.calc_price(
            genai_prices.Usage(**counts, cache_write_tokens=500),
            model,
            provider_id=vendors[scheme],
            genai_request_timestamp=datetime.fromisoformat(AT),
            price_context={"processing": "batch"} if batch else None,
        )
        assert found.cost(usage) == table.total_price, model
        checked += 1
    assert checked > 50


def test_the_time_of_the_call_decides_its_price() -> None:
    book = PriceBook()
    assert "no batch rates" in why_of(book.find_price("openai/gpt-4o", OPENAI, at="2026-10-01T00:00:00Z", batch=True))
    later = rates_of(book.find_price("openai/gpt-4o", OPENAI, at=AT, batch=True))
    assert later.input * 2 == rates_of(book.find_price("openai/gpt-4o", OPENAI, at=AT)).input


def test_a_model_without_batch_rates_has_no_price_in_a_batch_though_it_has_one_alone() -> None:
    book, xai = PriceBook(), Seller(scheme="openai", address="https://api.x.ai/v1")
    assert rates_of(book.find_price("xai/grok-4", xai, at=AT)).input
    assert "no batch rates of grok-4" in why_of(book.find_price("xai/grok-4", xai, at=AT, batch=True))


@pytest.mark.parametrize(
    ("ref", "seller", "why"),
    [
        ("openai/nope", OPENAI, "has no price of nope at OpenAI"),
        ("fake/m", Seller(scheme="fake"), "the scheme fake has no price list"),
        ("me/m", Seller(scheme="openai", address="https://llm.example.org/v1"), "has no prices of llm.example.org"),
        ("openai/gpt-image-1", OPENAI, "not priced by tokens of text alone: "),
    ],
)
def test_an_unknown_price_says_why(ref: str, seller: Seller, why: str) -> None:
    assert why in why_of(PriceBook().find_price(ref, seller, at=AT))


@pytest.mark.parametrize(
    ("settings", "changes", "mine"),
    [
        ({}, {"local": True}, True),
        ({}, {"given": True}, True),
        ({"base_url": "http://127.0.0.1:8000/v1"}, {}, True),
        ({"base_url": "http://gpu7:8000/v1"}, {}, True),
        ({"base_url": "http://10.0.0.7/v1"}, {}, True),
        ({"base_url": "http://[fd00::7]:8000/v1"}, {}, True),
        ({"base_url": "http://[2606:4700:4700::1111]/v1"}, {}, False),
        ({"base_url": "https://api.together.ai/v1"}, {}, False),
        ({"azure_endpoint": "https://me.openai.azure.com"}, {}, False),
        ({}, {}, False),
    ],
)
def test_calls_to_a_machine_of_the_users_are_not_priced(
    settings: dict[str, str], changes: dict[str, Any], mine: bool
) -> None:
    seller = Seller.of(replace(fake_provider("no"), scheme="openai", **changes), settings)
    assert bool(seller.own) == mine
    assert Seller.from_json(json.loads(json.dumps(seller.as_json()))) == seller


def test_a_deployment_is_priced_by_the_name_that_the_server_reports() -> None:
    azure, book = Seller(scheme="openai", address="https://me.openai.azure.com"), PriceBook()
    assert isinstance(book.find_price("openai/mine", azure, at=AT), NoPrice)
    assert rates_of(book.find_price("openai/mine", azure, at=AT, reported="gpt-4o-2024-11-20")).output == 10


def test_a_preset_whose_address_the_table_does_not_know_is_found() -> None:
    seller = Seller(scheme="openai", address="https://api.together.ai/v1")
    vendor = PriceBook()._find_vendor(seller)
    assert not isinstance(vendor, NoPrice)
    assert vendor.id == "together"


# -- The user's prices -------------------------------------------------------------------------------------------------
def test_the_users_price_holds_for_its_model_alone_and_before_the_table() -> None:
    given = read_prices(yaml.safe_load("openai/gpt-4o: {input: 1, output: 2, source: me, date: 2026-11-30}"), "x")
    book = PriceBook(given)
    assert rates_of(book.find_price("openai/gpt-4o", OPENAI, at=AT)) == Rates(*map(Decimal, "1211"))
    assert not book.used_table
    assert "no batch rates" in why_of(book.find_price("openai/gpt-4o", OPENAI, at=AT, batch=True))
    assert rates_of(book.find_price("openai/gpt-4o-mini", OPENAI, at=AT)).input == Decimal("0.15")
    assert read_prices({ref: price.as_json() for ref, price in given.items()}, "again") == given


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        ([], "prices must be mappings"),
        ({"seen/x": 3}, "prices must be mappings"),
        ({"gpt": {}}, "'gpt' is not a model"),
        (own(source=""), "a price needs its source"),
        (own(date=None), "a price needs its date"),
        (own(date="soon"), "'soon' is not a date"),
        (own(output=None), "a price needs its output"),
        (own(input=-1), "input: -1 is not a number of dollars"),
        (own(input=1e308), r"input: 1e\+308 is not a number of dollars per million tokens, from 0 to 1,000,000"),
        (own(output=10**400), "output: 10+ is not a number of dollars"),
        (own(input=True), "input: True is not a number of dollars"),
        (own(input=float("nan")), "input: nan is not a number of dollars"),
        (own(batch={"input": 1}), "a price needs its output"),
    ],
)
def test_a_wrong_price_is_refused_with_its_place(raw: Any, what: str) -> None:
    with pytest.raises(HarnessError, match=what) as caught:
        read_prices(raw, "harness.yaml")
    assert caught.value.where.startswith("harness.yaml")
    assert caught.value.remedy


def test_a_misspelled_key_of_a_price_is_refused() -> None:
    with pytest.raises(UnknownName, match="a price has no key 'inputs'"):
        read_prices(own(inputs=1), "harness.yaml")


# -- Sums --------------------------------------------------------------------------------------------------------------
def line(into: int = 10, out: int = 5, at: str = AT, **more: Any) -> dict[str, Any]:
    return {"at": at, "usage": {"input_tokens": into, "output_tokens": out, **more}}


def total(book: PriceBook, *lines: dict[str, Any], ref: str = "seen/x", seller: Seller = OPENAI) -> CostSum:
    made = CostSum(book, ref, seller)
    for each in lines:
        made.add(each, 1, reported="", answered=True)
    return made


def test_cached_tokens_are_parts_of_the_input() -> None:
    found = total(PriceBook(read_prices(OWN, "x")), line(1000, 100, cache_read_tokens=400))
    assert found.as_json() == {"cost_usd": pytest.approx((600 * 2 + 400 * 0.5 + 100 * 8) / 1e6)}


def test_more_cached_tokens_than_input_cost_no_more_than_the_input() -> None:
    book = PriceBook(read_prices(OWN, "x"))
    assert total(book, line(100, 0, cache_read_tokens=400, cache_write_tokens=9)).known == Decimal("0.00005")


def test_cached_tokens_that_one_call_has_too_many_of_make_no_other_call_cheaper() -> None:
    book = PriceBook(read_prices(OWN, "x"))
    lines = line(100, 0), line(100, 0, cache_read_tokens=400)
    each = [total(book, one).known or Decimal() for one in lines]
    assert total(book, *lines).known == sum(each)


def test_an_answer_without_tokens_is_unknown_and_not_free() -> None:
    found = total(PriceBook(read_prices(OWN, "x")), line(), line(0, 0)).as_json()
    assert found == {"cost_usd": None, "known_usd": 0.00006, "cost_why": "the provider reported no tokens"}


def test_a_failed_call_without_tokens_is_free() -> None:
    found = CostSum(PriceBook(read_prices(OWN, "x")), "seen/x", OPENAI)
    found.add(line(0, 0), 1, reported="", answered=False)
    assert found.as_json() == {"cost_usd": 0.0}


def test_a_local_model_with_a_judge_that_is_sold_costs_what_the_judge_costs() -> None:
    book = PriceBook()
    local = total(book, line(), seller=Seller(scheme="hf", own="it runs on this machine"))
    judge = total(book, line(1_000_000, 0), ref="openai/gpt-4o")
    assert local.as_json() == {"cost_usd": None, "cost_why": "not priced: it runs on this machine"}
    found = cost_json(book, local, {"j": judge}, 10)
    assert found == {"cost_usd": 2.5, "usd_per_1000_samples": 250.0, "prices": {"table": table_name()}}
    assert cost_json(PriceBook(), local, {}, 10) == {
        "cost_usd": None,
        "cost_why": "not priced: nobody sells these calls",
    }


def test_an_unknown_part_leaves_the_sum_open_and_the_known_part_said() -> None:
    book = PriceBook()
    judge = total(book, line(400_000, 0), ref="openai/gpt-4o")
    found = cost_json(book, total(book, line(), ref="openai/nope"), {"j": judge}, 1)
    assert found["cost_usd"] is None
    assert found["known_usd"] == 1.0
    assert found["cost_why"] == f"model: {table_name()} has no price of nope at OpenAI"
    assert "usd_per_1000_samples" not in found


# -- Tokens before a call ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("model", "size", "tokens"),
    [
        ("openai/gpt-4o", (1024, 1024), (765, 765)),
        ("openai/gpt-4o", (512, 512), (255, 255)),
        ("openai/gpt-4o-mini-2024-07-18", (512, 512), (8500, 8500)),
        ("openrouter/openai/gpt-5", (512, 512), (210, 210)),
        ("openai/gpt-4.1-mini", (1024, 1024), (1659, 1659)),
        ("openai/gpt-5.6", (1024, 1024), (1229, 1229)),
        ("anthropic/claude-sonnet-4-5", (1024, 1024), (1369, 1369)),
        ("anthropic/claude-opus-4-7", (4000, 4000), (4784, 4784)),
        ("anthropic/claude-3-5-sonnet-20241022", (4000, 4000), (1568, 1568)),
        ("gemini/gemini-2.5-pro", (384, 384), (258, 258)),
        ("gemini/gemini-3-pro", (9000, 20), (1000, 1200)),
        ("together/Qwen/Qwen2.5-VL", (28, 28), (1, 1600)),
    ],
)
def test_an_image_becomes_the_tokens_of_the_published_rule(
    model: str, size: tuple[int, int], tokens: tuple[int, int]
) -> None:
    assert find_image_rule(model).count(*size) == tokens


def test_the_tokens_of_a_text_are_a_range_by_its_bytes() -> None:
    low, high = count_request(fake_sample("a", text="x" * 300).request, find_image_rule(""))
    assert low == 60
    assert 100 <= high <= 125


def test_counts_that_are_none_are_0() -> None:
    odd: Any = Usage(input_tokens=float("nan"), output_tokens="many", cache_read_tokens=-1)  # type: ignore[arg-type]
    assert clean_usage(odd) == Usage()


@pytest.mark.parametrize("odd", [10**30, 10**400, 1e30, -1, "many", float("inf")])
@pytest.mark.parametrize("name", ["input_tokens", "output_tokens"])
def test_a_call_with_a_count_that_cannot_be_has_no_known_cost(name: str, odd: Any, tmp_path: Path) -> None:
    usage = replace(Usage(input_tokens=1000, output_tokens=100), **{name: odd})
    assert clean_usage(usage) == Usage()
    found = go(Server(lambda text: Response(text=text, usage=usage)), tmp_path / "run", prices=PRICES).results["usage"]
    assert (found["cost_usd"], found["cost_why"]) == (None, "model: the provider reported no tokens")
    assert "known_usd" not in found


def test_a_stored_line_with_a_count_that_cannot_be_has_no_known_cost() -> None:
    found = total(PriceBook(read_prices(OWN, "x")), line(10**30, 1), line(1, 10**400), line()).as_json()
    assert found == {"cost_usd": None, "known_usd": 0.00006, "cost_why": "the provider reported no tokens"}


# -- Calls and tokens a minute -----------------------------------------------------------------------------------------
def play(quota: Quota, units: float, seconds: float) -> list[float]:
    """When calls start that ask as soon as they may, on a clock of ours."""
    now, starts = 0.0, list[float]()
    while now < seconds:
        wait = quota.wait(now, units)
        if wait > 0:
            now += wait
            continue
        quota.start(now, units)
        starts.append(now)
    return starts


@pytest.mark.parametrize(("most", "units"), [(6, 1), (600, 1), (1000, 90), (1000, 400)])
def test_no_minute_holds_more_than_the_quota_and_no_part_of_it_a_burst(most: int, units: int) -> None:
    starts = play(Quota(most), units, 300)
    for start in starts:
        assert units * sum(start <= each < start + 60 for each in starts) <= most
        assert units * sum(start <= each < start + 6 for each in starts) <= max(units, most / 5)
    assert len(starts) * units >= 0.7 * most * 5


def test_a_call_larger_than_the_quota_goes_alone() -> None:
    quota = Quota(100)
    assert quota.wait(0.0, 250) == 0
    quota.start(0.0, 250)
    assert quota.wait(1.0, 1) > 100
    assert quota.wait(200.0, 250) == 0


def test_what_a_call_really_took_frees_the_rest_of_its_estimate() -> None:
    quota = Quota(1000)
    entry = quota.start(0.0, 900)
    before = quota.wait(1.0, 900)
    quota.correct(entry, 100)
    assert (before, quota.wait(1.0, 900)) == (59.0, pytest.approx(4.95))
    quota.correct(entry, 900)
    assert quota.wait(1.0, 900) == 59.0


# -- Dollars -----------------------------------------------------------------------------------------------------------
def test_a_call_waits_for_dollars_that_calls_on_the_wire_may_leave() -> None:
    order: list[str] = []

    async def both() -> None:
        budget = Budget(Decimal(10))
        await budget.hold(Decimal(8))

        async def second() -> None:
            await budget.hold(Decimal(8))
            order.append("started")
            budget.settle(Decimal(8), Decimal(1))

        async with anyio.create_task_group() as group:
            group.start_soon(second)
            await anyio.wait_all_tasks_blocked()
            order.append("back")
            budget.settle(Decimal(8), Decimal(2))
        assert budget.spent == 3

    anyio.run(both)
    assert order == ["back", "started"]


def test_once_a_call_does_not_fit_none_starts_any_more() -> None:
    async def run() -> None:
        budget = Budget(Decimal(10), spent=Decimal(6))
        with pytest.raises(
            BudgetSpent, match=r"\$6.0000 is spent, \$6.0000 of it in earlier commands, and the next call"
        ):
            await budget.hold(Decimal(5))
        with pytest.raises(BudgetSpent):
            await budget.hold(Decimal(1))

    anyio.run(run)


def billed(text: str) -> Response:
    return Response(text=f"yes {text}", usage=Usage(input_tokens=1000, output_tokens=100))


EACH = (1000 * 2 + 100 * 8) / 1e6  #: dollars of one answer
PRICES = read_prices(OWN, "test")


def test_a_run_with_the_users_prices_says_what_it_cost(tmp_path: Path) -> None:
    run = go(Server(billed), tmp_path / "run", prices=PRICES)
    usage = run.results["usage"]
    assert usage["cost_usd"] == pytest.approx(10 * EACH)
    assert usage["usd_per_1000_samples"] == pytest.approx(1000 * EACH)
    assert usage["model"]["cost_usd"] == usage["cost_usd"]
    assert usage["prices"] == {"own": {"seen/x": PRICES["seen/x"].as_json()}}
    again = go(Server(billed), tmp_path / "run")  # the run remembers them
    assert again.results["usage"] == usage


def test_a_run_without_a_price_says_so_and_costs_nothing_known(tmp_path: Path) -> None:
    usage = go(Server(billed), tmp_path / "run").results["usage"]
    assert (usage["cost_usd"], usage["cost_why"]) == (None, "model: the scheme seen has no price list")
    assert "known_usd" not in usage


def test_a_limit_stops_the_run_before_a_call_that_could_exceed_it_and_the_rest_follows_later(tmp_path: Path) -> None:
    folder, server = tmp_path / "run", Server(billed)
    bound = float((1000 * 2 + 1024 * 8) / 1e6)
    with pytest.raises(BudgetSpent, match=r"stopped by --max-usd 0.02: ") as caught:
        go(server, folder, prices=PRICES, max_usd=0.02)
    asked = len(server.asked)
    assert 1 <= asked < 10
    assert asked * EACH <= 0.02 < asked * EACH + bound
    assert "larger --max-usd" in caught.value.remedy
    file = RunFolder(folder).load_run()
    assert (file.history[-1].end, file.history[-1].spent_usd) == ("stopped", pytest.approx(asked * EACH))
    with pytest.raises(BudgetSpent, match="of it in earlier commands"):
        go(server, folder, prices=PRICES, max_usd=0.02)
    assert len(server.asked) == asked
    done = go(server, folder, prices=PRICES, max_usd=1.0)
    assert (done.exit_code, len(server.asked)) == (0, 10)
    assert done.results["usage"]["cost_usd"] == pytest.approx(10 * EACH)


def test_a_shard_spends_its_part_of_a_limit_and_asks_nothing_beyond(tmp_path: Path) -> None:
    server = Server(billed)
    with pytest.raises(BudgetSpent, match="stopped by --max-usd"):
        go(server, tmp_path, prices=PRICES, max_usd=0.04, shard=(0, 2), task=fake_task(numbered(40)))
    assert 1 <= len(server.asked) <= 0.02 / EACH


def test_a_limit_holds_though_the_provider_adds_tokens_for_thinking(tmp_path: Path) -> None:
    each = Usage(input_tokens=20, output_tokens=8192 + 400, reasoning_tokens=8192)
    server = Server(lambda text: Response(text=f"yes {text}", usage=each), thinking_tokens=8192)
    with pytest.raises(BudgetSpent):
        go(server, tmp_path / "run", task=fake_task(numbered(100)), prices=PRICES, max_usd=0.5, policy=Policy())
    assert 0.3 < len(server.asked) * (20 * 2 + 8592 * 8) / 1e6 <= 0.5


def test_a_waiting_call_is_weighed_again_once_its_slot_is_free(tmp_path: Path) -> None:
    dear = Usage(input_tokens=20, output_tokens=10_000)  # the server heeds no limit of tokens
    server = Server(lambda text: Response(text=f"yes {text}", usage=dear))
    policy = Policy(start=1, cap=1, base=0, longest=0)
    with pytest.raises(BudgetSpent):
        go(server, tmp_path / "run", task=fake_task(numbered(100)), prices=PRICES, max_usd=0.5, policy=policy)
    assert len(server.asked) == 6  # of $0.08


@pytest.mark.parametrize("odd", [0, None, -1, 1e30, 10**400, "many"])
@pytest.mark.parametrize("names", [("input_tokens", "output_tokens"), ("output_tokens",)])
def test_with_a_limit_an_answer_whose_tokens_are_not_said_counts_at_its_bound(
    odd: Any, names: tuple[str, ...], tmp_path: Path
) -> None:
    usage = replace(Usage(input_tokens=20, output_tokens=10), **dict.fromkeys(names, odd))
    server, folder = Server(lambda text: Response(text=f"yes {text}", usage=usage)), tmp_path / "run"
    policy = Policy(start=20, base=0, longest=0)
    for _ in range(2):  # the next command knows of it
        with pytest.raises(BudgetSpent):
            go(server, folder, task=fake_task(numbered(100)), prices=PRICES, max_usd=0.1, policy=policy)
        assert len(server.asked) in (11, 12)
    spent = RunFolder(folder).load_run().history[0].spent_usd
    assert spent is not None
    assert 0.08 < spent <= 0.1


LATE = Failure(outcome="error", reason="timeout", message="no answer in time")
MOST = (7 * 2 + 1024 * 8) / 1e6  #: about the most dollars of a call, by its text and its token limit


def answer_but(failure: Failure, *late: str) -> Server:
    """A server that answers all but these questions."""
    return Server(lambda text: failure if text in late else billed(text))


@pytest.mark.parametrize(
    "reason", ["timeout", "deadline", "not_json", "wrong_shape", "too_large", "encoding", "no_candidates"]
)
@pytest.mark.parametrize("limit", [None, 1.0])
def test_a_call_without_an_answer_is_no_part_of_the_cost_and_its_most_stands_beside_it(
    reason: str, limit: float | None, tmp_path: Path
) -> None:
    server = answer_but(replace(LATE, reason=reason), "question 3", "question 7")
    folder = tmp_path / "run"
    run = go(server, folder, task=fake_task(numbered(10)), prices=PRICES, max_usd=limit)
    assert len(server.asked) == 10
    usage = run.results["usage"]
    assert usage["cost_usd"] == pytest.approx(8 * EACH)
    assert usage["unanswered_usd"] == pytest.approx(2 * MOST, rel=0.02)
    assert any("calls that got no answer may be billed: up to $0.016" in note for note in run.notes)
    file = RunFolder(folder).load_run()
    assert file.history[0].unanswered_usd == usage["unanswered_usd"]
    assert file.history[0].spent_usd == pytest.approx(8 * EACH)
    spent = float(count_spent(RunFolder(folder), file, PriceBook(PRICES)))
    assert spent == pytest.approx(8 * EACH + usage["unanswered_usd"])
    jsonschema.validate(json.loads((folder / "results.json").read_text()), SCHEMA)
    again = go(Server(billed), folder, task=fake_task(numbered(10)), prices=PRICES, max_usd=limit)
    assert again.results["usage"]["cost_usd"] == pytest.approx(10 * EACH)
    assert again.results["usage"]["unanswered_usd"] == usage["unanswered_usd"], "the folder keeps it"


@pytest.mark.parametrize("reason", ["http_400", "http_500", "rate_limit", "connection"])
def test_a_call_that_was_refused_or_never_came_there_costs_nothing(reason: str, tmp_path: Path) -> None:
    server = answer_but(replace(LATE, reason=reason), "question 3")
    run = go(server, tmp_path / "run", task=fake_task(numbered(10)), prices=PRICES, max_usd=1.0)
    assert run.results["usage"]["cost_usd"] == pytest.approx(9 * EACH)
    assert "unanswered_usd" not in run.results["usage"]


def test_a_limit_counts_calls_without_an_answer_as_spent_and_says_so(tmp_path: Path) -> None:
    server, folder = Server(lambda _: LATE), tmp_path / "run"
    task, policy = fake_task(numbered(100)), Policy(start=1, base=0, longest=0, breaker=1000)
    said = r"stopped by --max-usd 0.05: \$0.0\d+ is spent, up to \$0.0\d+ of it for calls without an answer"
    with pytest.raises(BudgetSpent, match=said):
        go(server, folder, task=task, prices=PRICES, max_usd=0.05, policy=policy)
    assert len(server.asked) == 6  # of $0.0082
    with pytest.raises(BudgetSpent, match=r"of it in earlier commands"):
        go(server, folder, task=task, prices=PRICES, max_usd=0.05, policy=policy)
    assert len(server.asked) == 6
    assert RunFolder(folder).load_run().history[0].spent_usd is None


def test_calls_that_nobody_sells_leave_nothing_unanswered(tmp_path: Path) -> None:
    run = go(answer_but(LATE, "question 3"), tmp_path / "run", task=fake_task(numbered(10)))
    assert "unanswered_usd" not in run.results["usage"]


def test_a_call_that_is_given_up_on_the_wire_counts_at_its_most() -> None:
    class GivenUp:
        """Its caller gives up as soon as it is asked."""

        info = ModelInfo(ref="seen/x", endpoint="slow")

        def __init__(self, caller: anyio.CancelScope) -> None:
            self.caller = caller

        async def generate(self, request: Request) -> Response | Failure:
            self.caller.cancel()
            await anyio.sleep_forever()
            raise AssertionError(request)

    async def run() -> Spending:
        spending = Spending(PriceBook(PRICES), Budget(Decimal(1)))
        meter = PriceMeter(spending, "seen/x", Seller(scheme="seen"))
        with anyio.CancelScope() as scope:
            await Metered(GivenUp(scope), Endpoints(Policy()), meter=meter).generate(fake_sample("a").request)
        return spending

    spending = anyio.run(run)
    assert 0 < spending.unanswered == spending.budget.spent == spending.budget.unanswered
    assert spending.cost == 0


def test_a_limit_below_what_is_spent_is_refused_with_the_figures(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    go(Server(billed), folder, prices=PRICES)
    with pytest.raises(HarnessError, match=r"--max-usd 0.001 is less than what this run has cost already: \$0.0280"):
        go(Server(billed), folder, prices=PRICES, max_usd=0.001)


def test_an_answer_that_was_asked_again_counts_twice_in_what_a_folder_cost(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    go(Server(billed), folder, prices=PRICES)
    go(Server(billed), folder, prices=PRICES, retry=frozenset({"answered"}))
    run = RunFolder(folder)
    assert float(count_spent(run, run.load_run(), PriceBook(PRICES))) == pytest.approx(20 * EACH)


def test_what_a_killed_command_wrote_counts_beside_what_others_noted(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    go(Server(billed), folder.path, prices=PRICES)
    before = {"started": "2026-11-30T10:00:00+00:00", "finished": "2026-11-30T10:05:00+00:00"}

    def count(*changes: dict[str, Any]) -> float:
        """What the folder has cost, had its commands noted this."""
        file = folder.load_run()
        file = replace(file, history=tuple(replace(file.history[0], **each) for each in changes))
        return float(count_spent(folder, file, PriceBook(PRICES)))

    lines = 10 * EACH
    assert count() == pytest.approx(lines)
    assert count({}) == pytest.approx(lines)
    assert count({"spent_usd": 3.0}) == pytest.approx(3)  # also tries that failed
    assert count({"spent_usd": lines / 2}) == pytest.approx(lines)
    assert count({**before, "spent_usd": 3.0}) == pytest.approx(3 + lines)
    assert count({**before, "spent_usd": 3.0}, {"spent_usd": 1.0}) == pytest.approx(4)
    assert count({**before, "spent_usd": 3.0}, {**before, "spent_usd": 1.0}) == pytest.approx(4 + lines)  # shards
    assert count({**before, "spent_usd": 3.0, "finished": "once"}) == pytest.approx(3 + lines)


def test_an_unknown_price_is_refused_before_a_call_with_the_remedy(tmp_path: Path) -> None:
    server = Server(billed)
    with pytest.raises(HarnessError, match="cannot be kept: the scheme seen has no price list") as caught:
        go(server, tmp_path / "run", max_usd=1.0)
    assert "prices: {seen/x: {input: …, output: …" in caught.value.remedy
    assert not server.asked


@pytest.mark.parametrize(
    ("address", "sure"),
    [
        ("http://localhost:8000/v1", True),
        ("http://127.0.0.1:8000/v1", True),
        ("http://[::1]:8000/v1", True),
        ("http://10.0.0.7/v1", True),
        ("http://litellm:4000", False),
        ("https://gateway.internal/v1", False),
        ("http://box.local/v1", False),
    ],
)
def test_a_limit_needs_the_price_of_a_server_that_is_the_users_by_its_name_alone(address: str, sure: bool) -> None:
    seller = Seller.of(replace(fake_provider("no"), scheme="openai"), {"base_url": address})
    assert seller.own
    if sure:
        check_prices(PriceBook(), [("openai/m", seller)], 5)
        return
    with pytest.raises(HarnessError, match="may be a gateway to models that are sold, and openai/m has no") as caught:
        check_prices(PriceBook(), [("openai/m", seller)], 5)
    assert "if nobody sells it, with input: 0 and output: 0" in caught.value.remedy
    free = read_prices({"openai/m": {"input": 0, "output": 0, "source": "ours", "date": "2026-11-30"}}, "test")
    check_prices(PriceBook(free), [("openai/m", seller)], 5)


def test_an_address_that_is_none_has_no_price_and_is_told_when_the_model_opens() -> None:
    seller = Seller.of(replace(fake_provider("no"), scheme="openai"), {"base_url": "http://["})
    found = PriceBook().find_price("openai/m", seller, at=AT)
    assert isinstance(found, NoPrice)
    assert (found.own, found.why.endswith("no prices of http://[")) == (False, True)


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan")])
def test_a_limit_that_is_no_amount_is_refused(limit: float, tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="--max-usd must be more than 0"):
        go(Server(), tmp_path / "run", max_usd=limit)


def test_a_shard_has_its_part_of_each_limit() -> None:
    asked = Options(
        model=ModelSpec(ref="seen/x"), tasks=("fake",), shard=(1, 4), max_usd=8.0, policy=Policy(rpm=100, tpm=4000)
    )
    assert (asked.limit_usd, asked.shared_policy) == (2.0, Policy(rpm=25, tpm=1000))
    whole = replace(asked, shard=None)
    assert (whole.limit_usd, whole.shared_policy) == (8.0, asked.policy)


def test_merged_shards_cost_what_one_run_costs(tmp_path: Path) -> None:
    whole = go(Server(billed), tmp_path / "one", prices=PRICES).results["usage"]
    for place in range(3):
        go(Server(billed), tmp_path / "run", prices=PRICES, shard=(place, 3))
    with plugins.use(host_of(Server().provider, fake_task(numbered(10)), fake_judge())):
        merged = anyio.run(merge_async, tmp_path / "run")
    assert merged.results["usage"] == whole


# -- Before a run ------------------------------------------------------------------------------------------------------
def foresee(folder: Path, **fields: Any) -> PlannedCalls:
    """The load of the model in a dry run."""
    asked = Options(model=ModelSpec(ref="seen/x"), tasks=("fake",), output=folder, probe=False, prices=PRICES, **fields)
    with plugins.use(host_of(Server().provider, fake_task(numbered(10)), fake_judge())):
        return dry_run(asked).loads[0]


def test_without_an_earlier_answer_a_forecast_rests_on_the_texts_and_the_token_limit(tmp_path: Path) -> None:
    load = foresee(tmp_path / "run")
    found = load.forecast
    assert found is not None
    assert (load.stored, found.calls, found.output_tokens) == (0, (10, 10), (10, 10 * 1024))
    assert found.usd is not None
    assert found.usd[0] < found.usd[1] < 10 * (100 * 2 + 1024 * 8) / 1e6
    assert (found.seconds, found.rests_on) == (
        None,
        "the length of the texts and an output of at most max_tokens (1024)",
    )
    assert not (tmp_path / "run").exists()


def test_earlier_answers_of_the_folder_say_what_the_rest_will_cost_and_how_long_it_will_take(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    go(Server(lambda text: replace(billed(text), seconds=2.0)), folder, prices=PRICES, limit=4)
    load = foresee(folder)
    found = load.forecast
    assert found is not None
    assert (load.stored, found.calls) == (4, (6, 6))
    assert found.usd == pytest.approx((6 * EACH, 6 * EACH))
    assert found.seconds == pytest.approx((6 * 2.0 / 100, 6 * 2.0 / 20), abs=0.1)
    assert found.rests_on == "4 earlier answers of this model to fake:all"
    slow = foresee(folder, policy=Policy(rpm=2)).forecast
    assert slow is not None
    assert slow.seconds == (180.0, 180.0)


def test_an_unknown_price_leaves_the_dollars_of_a_forecast_open_and_says_why(tmp_path: Path) -> None:
    asked = Options(model=ModelSpec(ref="seen/x"), tasks=("fake",), output=tmp_path / "run", probe=False)
    with plugins.use(host_of(Server().provider, fake_task(numbered(10)), fake_judge())):
        found = dry_run(asked).loads[0].forecast
    assert found is not None
    assert (found.usd, found.usd_why) == (None, "the scheme seen has no price list")


def test_the_probe_of_an_earlier_start_says_the_time_of_a_call(tmp_path: Path) -> None:
    folder = tmp_path / "run"

    def fail(text: str) -> Response | Failure:
        if "ready" in text:
            return Response(text="ready", usage=Usage(input_tokens=30, output_tokens=2), seconds=3.0)
        return Failure(outcome="error", reason="http_500", message="down")

    with pytest.raises(HarnessError):
        go(Server(fail), folder, prices=PRICES, probe=True, policy=Policy(tries=1, breaker=2, start=1, cap=1))
    found = foresee(folder).forecast
    assert found is not None
    assert found.rests_on.startswith("one call of the probe, ")
    assert found.seconds == pytest.approx((10 * 1.5 / 100, 10 * 12.0 / 20), abs=0.1)


def test_dollars_are_checked_only_against_the_prices_they_rest_on(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    go(Server(billed), folder, prices=PRICES)
    assert verify_run(folder).notes == ()
    path = folder / "results.json"
    results = json.loads(path.read_text())
    results["usage"]["cost_usd"] = 0.5
    path.write_text(json.dumps(results))
    (wrong,) = [each for part in verify_run(folder).parts for each in part.differences]
    assert wrong.path == ("usage", "cost_usd")
    results["usage"]["prices"] = {"table": "genai-prices 0.0.1"}
    path.write_text(json.dumps(results))
    found = verify_run(folder)
    assert [each for part in found.parts for each in part.differences] == []
    assert found.notes == (
        "dollars were not compared: the results' rest on genai-prices 0.0.1, and here they rest on your own prices",
    )
