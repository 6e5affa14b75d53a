"""Which refusals slow an endpoint down, and which are one request's own."""

import time

import anyio

from harness.limits import Endpoint, Policy
from harness.limits.refusals import OWN, Call, Refusal, Refusals


def refuse(refusals: Refusals, call: Call, now: float = 0.0) -> int:
    """Refuse a try of a call; how many refusals slow the endpoint now."""
    return len(refusals.refused(Refusal(call=call, started=now - 0.1, heard=now, wait=0.0, passes=refusals.passes - 1)))


def passing(refusals: Refusals, count: int, now: float = 0.0) -> None:
    for _ in range(count):
        assert refusals.passed(Call(), now) is None


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
    kept = refusals.passed(call, 3.0)
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
    assert refusals.passed(odd[0], 0.0) is None


def test_where_nobody_else_passes_a_request_is_never_given_up_for_its_own_sake() -> None:
    refusals, call = Refusals(), Call()
    passing(refusals, 10)
    for _ in range(30):
        assert refusals.refused(Refusal(call=call, started=0, heard=0, wait=0, passes=refusals.passes)) == []
    assert not call.own


def test_what_was_refused_a_minute_ago_is_shared_with_nobody() -> None:
    refusals = Refusals()
    assert [refuse(refusals, Call(), now=at) for at in (0.0, 1.0, 70.0)] == [0, 0, 0]


def test_a_wait_that_one_request_is_told_leaves_the_others_going() -> None:
    endpoint = Endpoint("e", Policy(start=4, cap=4))

    async def body() -> float:
        endpoint.succeeded()
        endpoint.refused(Call(), time.monotonic(), 30.0, 0)
        begun = anyio.current_time()
        async with endpoint.slot(urgent=False):
            return anyio.current_time() - begun

    assert anyio.run(body) < 5


def test_a_wait_that_several_are_told_is_kept_to_by_all() -> None:
    endpoint = Endpoint("e", Policy(start=4, cap=4))

    async def body() -> float:
        begun = anyio.current_time()
        for wait in (0.3, 0.1, 0.1):
            endpoint.refused(Call(), time.monotonic(), wait, 0)
        async with endpoint.slot(urgent=False):
            return anyio.current_time() - begun

    assert anyio.run(body) >= 0.29
