"""Which failures are tried again, when a model is given up, and what of a resumed run does not count towards that."""

import itertools

import anyio
import anyio.lowlevel
import pytest

from harness.contracts import Model
from harness.errors import EndpointDown, HarnessError
from harness.limits import Breaker, Endpoints, Metered, Policy
from harness.types import Failure, Request, Response
from tests.core.scripted import ASK, BAD, FAST, Scripted, ask, repeat

GONE = Failure(outcome="error", reason="http_500", transient=True)
SLOW_DOWN = Failure(outcome="error", reason="http_429", transient=True, throttled=True)


def test_a_passing_failure_is_tried_again_and_the_answer_is_what_counts() -> None:
    model = Scripted(iter([GONE, GONE, Response(text="ok")]))
    assert ask(model) == Response(text="ok")
    assert model.calls == 3


def test_tries_end_and_the_last_error_is_kept() -> None:
    model = Scripted(repeat(GONE))
    assert ask(model) == GONE
    assert model.calls == FAST.tries


@pytest.mark.parametrize("failure", [BAD, Failure(outcome="input_blocked", reason="content_filter")])
def test_a_failure_that_will_not_pass_is_asked_once(failure: Failure) -> None:
    model = Scripted(repeat(failure))
    assert ask(model) == failure
    assert model.calls == 1


def test_being_told_to_slow_down_has_more_tries_than_an_error() -> None:
    model = Scripted(repeat(SLOW_DOWN))
    assert ask(model) == SLOW_DOWN
    assert model.calls == FAST.throttled_tries


def test_what_a_model_plugin_raises_fails_the_sample_and_not_the_run() -> None:
    assert ask(Scripted(repeat(ValueError("no such thing")))) == Failure(
        outcome="error", reason="ValueError", message="no such thing"
    )


def test_a_harness_error_is_not_a_samples_failure() -> None:
    with pytest.raises(HarnessError, match="wrong key"):
        ask(Scripted(repeat(HarnessError("wrong key"))))


def test_a_call_beyond_the_deadline_is_a_failure_that_may_pass() -> None:
    class Stalled(Scripted):
        async def generate(self, request: Request) -> Response | Failure:
            self.calls += 1
            await anyio.sleep_forever()
            raise AssertionError

    model = Stalled(repeat(GONE))
    result = ask(model, Policy(tries=2, base=0, longest=0, deadline=0.01))
    assert isinstance(result, Failure)
    assert result.reason == "deadline"
    assert model.calls == 2


def test_the_breaker_opens_after_enough_errors_in_a_row_whatever_each_says() -> None:
    other = Failure(outcome="error", reason="other")
    model = Scripted(itertools.cycle([BAD, other]))
    metered = Metered(model, Endpoints(FAST))

    async def body() -> None:
        for n in range(FAST.breaker - 1):
            assert await metered.generate(ASK) == (BAD, other)[n % 2]
        with pytest.raises(EndpointDown, match=r"5 errors in a row \(http_400, other\), at last: http_400"):
            await metered.generate(ASK)
        with pytest.raises(EndpointDown):
            await metered.generate(ASK)

    anyio.run(body)
    assert model.calls == FAST.breaker


@pytest.mark.parametrize(
    "between",
    [Response(text="ok"), Failure(outcome="input_blocked", reason="f")],
)
def test_a_success_or_a_block_between_keeps_the_breaker_closed(between: Response | Failure) -> None:
    script = [BAD] * (FAST.breaker - 1) + [between] + [BAD] * (FAST.breaker - 1)
    metered = Metered(Scripted(iter(script)), Endpoints(FAST))

    async def body() -> None:
        for expected in script:
            assert await metered.generate(ASK) == expected

    anyio.run(body)


def opens(breaker: Breaker, failure: Failure = BAD, times: int = 3) -> bool:
    try:
        for _ in range(times):
            breaker.record_failure(failure)
    except EndpointDown:
        return True
    return False


def test_an_error_that_is_expected_does_not_count() -> None:
    breaker = Breaker("e", 3)
    with breaker.expect("http_400"):
        assert not opens(breaker, times=100)
    assert not opens(breaker, times=2)
    assert opens(breaker, times=1)


def test_another_error_than_the_expected_one_counts() -> None:
    breaker = Breaker("e", 3)
    with breaker.expect("http_500"):
        assert opens(breaker)


def test_two_repetitions_that_end_one_after_the_other_are_both_expected() -> None:
    breaker = Breaker("e", 3)
    with breaker.expect("http_400"):
        with breaker.expect("http_400"):
            pass
        assert not opens(breaker)
    assert opens(breaker)


def test_expecting_no_reason_expects_nothing() -> None:
    breaker = Breaker("e", 3)
    with breaker.expect(""):
        assert opens(breaker, Failure(outcome="error", reason=""))


@pytest.mark.parametrize("broken", [False, True])
def test_calls_a_strategy_makes_in_tasks_of_its_own_are_expected_too(broken: bool) -> None:
    class Thrice:
        """A strategy: several calls at once, each in a task of its own."""

        def __init__(self, inner: Model) -> None:
            self.info = inner.info
            self._inner = inner

        async def generate(self, request: Request) -> Response | Failure:
            async with anyio.create_task_group() as group:
                for _ in range(3):
                    group.start_soon(self._inner.generate, request)
            return BAD

    metered = Metered(Scripted(repeat(BAD)), Endpoints(Policy(breaker=3)))

    async def body() -> Response | Failure:
        with metered.breaker.expect("other" if broken else "http_400"):
            return await Thrice(metered).generate(ASK)

    if broken:
        with pytest.raises(ExceptionGroup) as raised:
            anyio.run(body)
        assert raised.group_contains(EndpointDown)
    else:
        assert anyio.run(body) == BAD
