"""Which refusals slow an endpoint down, which are one request's own, and the pace that is learnt from them.

The pace is tried against a server that allows so many calls a second; its clock is ours.
"""

import heapq
import itertools
import time
from dataclasses import dataclass

import anyio
import pytest

from harness.limits import Endpoint, Policy
from harness.limits.throttling import OWN, Call, Pace, Refusal, Refusals

RATE = 50.0


@dataclass(kw_only=True)
class Server:
    """A bucket of tokens that fills with `rate` a second."""

    rate: float = RATE
    burst: float = 10.0
    tokens: float = 10.0
    at: float = 0.0
    answered: int = 0
    refused: int = 0

    def asked(self, now: float) -> bool:
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens < 1:
            self.refused += 1
            return False
        self.tokens -= 1
        self.answered += 1
        return True


class Down(Server):
    """A server that refuses everything."""

    def asked(self, now: float) -> bool:
        self.at, self.tokens = now, 0.0
        self.refused += 1
        return False


def play(
    pace: Pace, server: Server, *, seconds: float, latency: float, start: float = 0.0, slots: int = 100, wait: float = 0
) -> None:
    """As many calls as pace and slots allow, for so long; a refusal comes as late as an answer, and asks to wait."""
    now, flying, number = start, 0, itertools.count()
    coming: list[tuple[float, int, float, bool]] = []
    while now < start + seconds:
        while flying < slots and pace.wait(now) <= 0:
            pace.start(now)
            flying += 1
            heapq.heappush(coming, (now + latency, next(number), now, server.asked(now)))
        arrives = coming[0][0] if coming else float("inf")
        now = min(arrives, now + pace.wait(now)) if flying < slots else arrives
        while coming and coming[0][0] <= now:
            _, _, started, ok = heapq.heappop(coming)
            flying -= 1
            if not ok:
                pace.record_refusal(started, now, wait)


def test_without_a_refusal_there_is_no_limit() -> None:
    pace = Pace()
    for _ in range(1000):
        assert pace.wait(5.0) == 0
        pace.start(5.0)
    assert pace.level is None


@pytest.mark.parametrize("latency", [0.02, 0.05, 0.3, 1.0])
def test_nearly_all_that_a_server_allows_is_used_and_little_is_refused(latency: float) -> None:
    server = Server()
    play(Pace(), server, seconds=120, latency=latency)
    assert server.answered >= 0.93 * (10 + RATE * 120)
    assert server.refused <= 0.1 * server.answered


def test_a_server_that_asks_for_a_second_each_time_is_seldom_over_asked() -> None:
    pace, server = Pace(), Server()
    play(pace, server, seconds=20, latency=0.05, wait=1.0)
    server.answered = server.refused = 0
    play(pace, server, seconds=120, latency=0.05, start=20, wait=1.0)
    assert server.answered >= 0.88 * RATE * 120
    assert server.refused <= 0.03 * server.answered


def test_the_level_is_what_the_server_accepts_while_it_refuses() -> None:
    pace = Pace()
    play(pace, Server(), seconds=60, latency=0.1)
    assert pace.level == pytest.approx(RATE, rel=0.1)


def test_a_server_that_allows_more_later_is_used_more() -> None:
    pace, server = Pace(), Server(rate=10)
    play(pace, server, seconds=60, latency=0.1)
    server.rate = 40
    play(pace, server, seconds=60, latency=0.1, start=60)
    before = server.answered
    play(pace, server, seconds=60, latency=0.1, start=120)
    assert server.answered - before >= 0.9 * 40 * 60


def test_a_server_that_allows_less_later_is_not_stormed() -> None:
    pace, server = Pace(), Server(rate=40)
    play(pace, server, seconds=60, latency=0.1)
    server.rate = 4
    play(pace, server, seconds=20, latency=0.1, start=60)
    server.answered = server.refused = 0
    play(pace, server, seconds=60, latency=0.1, start=80)
    assert server.answered >= 0.8 * 4 * 60
    assert server.refused <= server.answered


@pytest.mark.parametrize("seconds", [5, 60, 300, 3600])
@pytest.mark.parametrize("rate", [2.0, RATE, 500.0])
@pytest.mark.parametrize("wait", [0.0, 1.0])
def test_a_server_that_refused_everything_for_a_while_is_used_again_soon_after(
    seconds: float, rate: float, wait: float
) -> None:
    pace = Pace()
    play(pace, Server(rate=rate), seconds=30, latency=0.05, wait=wait)
    play(pace, Down(), seconds=seconds, latency=0.05, start=30, wait=wait)
    back = Server(rate=rate)
    play(pace, back, seconds=90, latency=0.05, start=30 + seconds, wait=wait)
    back.answered = 0
    play(pace, back, seconds=30, latency=0.05, start=120 + seconds, wait=wait)
    assert back.answered >= 0.75 * 30 * rate


def test_a_server_that_refuses_everything_is_asked_a_few_times_a_minute() -> None:
    pace, down = Pace(), Down()
    play(pace, Server(), seconds=30, latency=0.05)
    play(pace, down, seconds=60, latency=0.05, start=30)
    down.refused = 0
    play(pace, down, seconds=600, latency=0.05, start=90)
    assert 20 <= down.refused <= 80


@pytest.mark.parametrize("per_minute", [1, 3, 10])
@pytest.mark.parametrize("wait", [0.0, 1.0])
def test_a_server_that_allows_a_few_calls_a_minute_is_used_and_not_stormed(per_minute: int, wait: float) -> None:
    pace, server = Pace(), Server(rate=per_minute / 60)
    play(pace, server, seconds=1000, latency=0.05, wait=wait)
    server.answered = server.refused = 0
    play(pace, server, seconds=3600, latency=0.05, start=1000, wait=wait)
    assert server.answered >= 0.9 * 60 * per_minute
    assert server.refused <= 6 * server.answered, "a call has thirty tries"


def test_calls_of_long_ago_are_forgotten_also_where_nothing_is_refused() -> None:
    pace = Pace()
    for number in range(100_000):
        pace.start(number / 100)
    assert len(pace._starts) <= 2 * 60 * 100 + 1  # pyright: ignore[reportPrivateUsage]


def test_refusals_of_calls_that_were_on_the_wire_together_are_one() -> None:
    pace = Pace()
    for _ in range(20):
        pace.start(1.0)
    assert pace.record_refusal(1.0, 1.1, 0.0)
    level = pace.rate(1.1)
    assert not any(pace.record_refusal(1.0, 1.1, 0.0) for _ in range(10))
    assert pace.rate(1.1) == level


def test_no_call_starts_while_the_server_asked_to_wait() -> None:
    pace = Pace()
    pace.start(1.0)
    pace.record_refusal(1.0, 2.0, 30.0)
    assert pace.wait(2.0) == 30.0


def burst(*, until: float) -> Pace:
    """A call each 10 ms."""
    pace = Pace()
    for number in range(round(until * 100)):
        pace.start(number / 100)
    return pace


def test_a_refusal_that_was_kept_back_counts_as_of_when_it_came() -> None:
    at_once, late = burst(until=0.3), burst(until=0.5)
    assert at_once.record_refusal(0.29, 0.295, 0.0)
    assert late.record_refusal(0.29, 0.295, 0.0, now=0.5)
    assert [late.rate(at) for at in (0.5, 1.0, 3.0)] == [at_once.rate(at) for at in (0.5, 1.0, 3.0)]


def test_refusals_of_calls_that_started_while_one_was_kept_back_are_no_news() -> None:
    pace = burst(until=0.5)
    assert pace.record_refusal(0.29, 0.295, 0.0, now=0.5)
    rate = pace.rate(0.6)
    assert not pace.record_refusal(0.35, 0.36, 0.0, now=0.6)
    assert pace.rate(0.6) == rate
    assert pace.record_refusal(0.55, 0.6, 0.0)


def test_a_wait_of_the_refused_alone_does_not_make_the_server_look_slow() -> None:
    pace = burst(until=0.05)
    assert pace.record_refusal(0.04, 0.045, 0.0, now=1.0)
    for number in range(13):
        pace.start(1.0 + number / 20)
    assert pace.record_refusal(1.6, 1.61, 0.0)
    assert pace.level == pytest.approx(20, rel=0.1)


def refuse(refusals: Refusals, call: Call, now: float = 0.0) -> int:
    """Refuse a try of a call; how many refusals slow the endpoint now."""
    return len(refusals.record(Refusal(call=call, started=now - 0.1, heard=now, wait=0.0, passes=refusals.passes - 1)))


def passing(refusals: Refusals, count: int, now: float = 0.0) -> None:
    for _ in range(count):
        assert refusals.record_pass(Call(), now) is None


def test_a_refusal_that_nobody_shares_slows_nobody() -> None:
    refusals, call = Refusals(), Call()
    for _ in range(OWN):
        passing(refusals, 20)
        assert not call.own
        assert refuse(refusals, call) == 0
    assert call.own


def test_refusals_that_three_calls_share_slow_the_endpoint_and_those_kept_back_count_once() -> None:
    refusals = Refusals()
    passing(refusals, 5)
    assert [refuse(refusals, Call()) for _ in range(5)] == [0, 0, 3, 1, 1]


def test_a_few_refusals_among_many_passes_are_not_shared() -> None:
    refusals = Refusals()
    for _ in range(20):
        passing(refusals, 7)
        assert refuse(refusals, Call()) == 0


def test_a_refusal_whose_call_passes_at_the_next_try_spoke_of_the_moment() -> None:
    refusals, call = Refusals(), Call()
    passing(refusals, 16)
    assert refuse(refusals, call, now=1.0) == 0
    passing(refusals, 16, now=2.0)
    kept = refusals.record_pass(call, 3.0)
    assert kept is not None
    assert kept.heard == 1.0


def test_a_call_that_was_refused_twice_while_others_passed_is_no_evidence_against_them() -> None:
    refusals, odd = Refusals(), [Call(), Call(), Call()]
    for _ in range(2):
        for call in odd:
            passing(refusals, 16)
            refuse(refusals, call)
    assert [refuse(refusals, call) for call in odd * 4] == [0] * 12, "nobody else is there any more"
    assert all(call.own for call in odd)
    passing(refusals, 16)
    assert refusals.record_pass(odd[0], 0.0) is None


def test_where_nobody_else_passes_a_request_is_never_given_up_for_its_own_sake() -> None:
    refusals, call = Refusals(), Call()
    passing(refusals, 10)
    for _ in range(30):
        assert refusals.record(Refusal(call=call, started=0, heard=0, wait=0, passes=refusals.passes)) == []
    assert not call.own


def test_what_was_refused_a_minute_ago_is_shared_with_nobody() -> None:
    refusals = Refusals()
    assert [refuse(refusals, Call(), now=at) for at in (0.0, 1.0, 70.0)] == [0, 0, 0]


def test_a_wait_that_one_request_is_told_leaves_the_others_going() -> None:
    endpoint = Endpoint("e", Policy(start=4, cap=4))

    async def body() -> float:
        endpoint.record_success()
        endpoint.record_refusal(Call(), time.monotonic(), 30.0, 0)
        begun = anyio.current_time()
        async with endpoint.slot(urgent=False):
            return anyio.current_time() - begun

    assert anyio.run(body) < 5


def test_a_wait_that_several_are_told_is_kept_to_by_all() -> None:
    endpoint = Endpoint("e", Policy(start=4, cap=4))

    async def body() -> float:
        begun = anyio.current_time()
        for wait in (0.3, 0.1, 0.1):
            endpoint.record_refusal(Call(), time.monotonic(), wait, 0)
        async with endpoint.slot(urgent=False):
            return anyio.current_time() - begun

    assert anyio.run(body) >= 0.29
