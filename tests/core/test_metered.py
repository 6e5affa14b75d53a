"""The metered calls of one endpoint: how many at once, which failures are tried again, and when a model is given up."""

import itertools
import time

import anyio
import anyio.lowlevel
import pytest

from harness.contracts import Model
from harness.errors import EndpointDown, HarnessError
from harness.limits import Breaker, Endpoint, Endpoints, Metered, Policy
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


def together(model: Scripted, count: int, policy: Policy) -> Endpoint:
    endpoints = Endpoints(policy)
    metered = Metered(model, endpoints)

    async def body() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(count):
                group.start_soon(metered.generate, ASK)

    anyio.run(body)
    return metered.endpoint


def test_no_more_calls_are_on_the_wire_than_the_cap() -> None:
    model = Scripted(repeat(Response(text="ok")))
    endpoint = together(model, 200, FAST)
    assert model.most == FAST.cap
    assert endpoint.slots == FAST.cap


def test_a_model_that_states_its_concurrency_never_gets_more() -> None:
    model = Scripted(repeat(Response(text="ok")), concurrency=2)
    together(model, 50, FAST)
    assert model.most == 2


def test_slots_grow_by_one_with_each_success_up_to_the_cap() -> None:
    endpoint = Endpoint("e", Policy(start=4, cap=10))
    for wanted in (5, 6, 7, 8, 9, 10, 10):
        endpoint.record_success()
        assert endpoint.slots == wanted


def test_a_refusal_slows_the_starts_down_and_leaves_the_slots_to_calls_that_take_long() -> None:
    endpoint = Endpoint("e", Policy(start=64, cap=100))
    moments: list[float] = []

    async def call() -> None:
        async with endpoint.slot(urgent=False):
            moments.append(anyio.current_time())

    async def body() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(call)
        endpoint.slow_down(moments[0], None)
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(call)

    anyio.run(body)
    assert endpoint.slots == 64
    assert moments[3] - moments[1] >= 0.09, "one call accepted in a tenth of a second: ten a second"


def test_judges_go_first_on_a_shared_endpoint() -> None:
    order: list[str] = []
    endpoint = Endpoint("e", Policy(start=1, cap=1))

    async def call(name: str, urgent: bool) -> None:
        async with endpoint.slot(urgent=urgent):
            order.append(name)
            await anyio.lowlevel.checkpoint()

    async def body() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(call, "first", False)
            await anyio.wait_all_tasks_blocked()
            for name, urgent in (("a", False), ("b", False), ("c", False), ("judge 1", True), ("judge 2", True)):
                group.start_soon(call, name, urgent)

    anyio.run(body)
    assert order == ["first", "a", "b", "judge 1", "judge 2", "c"], "only b stood at the gate when the judges came"


def test_a_waiting_call_that_is_cancelled_gives_its_turn_away() -> None:
    endpoint = Endpoint("e", Policy(start=1, cap=1))
    served: list[str] = []

    async def call(name: str) -> None:
        async with endpoint.slot(urgent=False):
            served.append(name)

    async def body() -> None:
        async with anyio.create_task_group() as group, endpoint.slot(urgent=False):
            scopes = anyio.CancelScope()

            async def cancelled() -> None:
                with scopes:
                    await call("cancelled")

            group.start_soon(cancelled)
            await anyio.wait_all_tasks_blocked()
            group.start_soon(call, "next")
            await anyio.wait_all_tasks_blocked()
            scopes.cancel()

    anyio.run(body)
    assert served == ["next"]


def test_retry_after_pauses_the_whole_endpoint() -> None:
    endpoint = Endpoint("e", Policy(start=4, cap=4))
    moments: list[float] = []

    async def call() -> None:
        async with endpoint.slot(urgent=False):
            moments.append(anyio.current_time())

    async def body() -> float:
        endpoint.slow_down(0.0, 0.2)
        begun = anyio.current_time()
        async with anyio.create_task_group() as group:
            group.start_soon(call)
            group.start_soon(call)
        return begun

    begun = anyio.run(body)
    assert min(moments) - begun >= 0.19


def told(*waits: float | None) -> list[str]:
    """What is said when calls that started one after another, one at a time, are told to wait."""
    said: list[str] = []
    endpoint = Endpoint("openai", Policy(start=1, cap=1), tell=said.append)
    for wait in waits:
        endpoint.slow_down(time.monotonic(), wait)
    return said


def test_a_pause_is_told_once_however_many_calls_ask_for_it() -> None:
    assert told(90.0, 90.0, 91.0) == ["openai asked to wait 90 s"]


def test_a_pause_that_begins_after_another_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    said: list[str] = []
    endpoint = Endpoint("openai", Policy(start=1, cap=1), tell=said.append)
    for now, wait in ((100.0, 90.0), (150.0, 60.0), (215.0, 30.0)):
        endpoint.slow_down(now, wait)
    assert said == ["openai asked to wait 90 s", "openai asked to wait 30 s"]


def test_a_pause_too_short_to_read_of_is_not_told() -> None:
    assert told(0.5, None) == []


@pytest.mark.parametrize(("transient", "throttled"), [(True, False), (True, True), (False, True)])
@pytest.mark.parametrize("wait", [601.0, float("inf")])
def test_a_wait_longer_than_a_run_waits_ends_at_once_with_what_was_asked(
    transient: bool, throttled: bool, wait: float
) -> None:
    later = Failure(outcome="error", reason="http_503", transient=transient, throttled=throttled, retry_after=wait)
    model = Scripted(repeat(later))
    with pytest.raises(EndpointDown, match=f"asked to wait {wait:.0f} s.* 600 s: http_503") as raised:
        ask(model)
    assert model.calls == 1
    assert "run it again" in raised.value.remedy


def test_a_judge_told_to_wait_too_long_does_not_pause_the_model_beside_it() -> None:
    endpoints = Endpoints(FAST)
    later = Failure(outcome="error", reason="http_429", transient=True, throttled=True, retry_after=7200.0)
    judge, model = Metered(Scripted(repeat(later)), endpoints), Metered(Scripted(repeat(BAD)), endpoints)

    async def body() -> None:
        with pytest.raises(EndpointDown):
            await judge.generate(ASK)
        with anyio.fail_after(5):
            assert await model.generate(ASK) == BAD

    anyio.run(body)


@pytest.mark.parametrize("wait", [float("nan"), -5.0, 0.0])
def test_a_wait_that_is_no_time_is_not_waited_for(wait: float) -> None:
    later = Failure(outcome="error", reason="http_429", transient=True, throttled=True, retry_after=wait)
    model = Scripted(iter([later, Response(text="ok")]))
    assert ask(model) == Response(text="ok")


def test_a_model_that_states_many_slots_has_them_unless_the_user_says_fewer() -> None:
    assert Endpoint("local", Policy(), fixed=256).slots == 256
    assert Endpoint("local", Policy(start=8, cap=8), fixed=256).slots == 8
    assert Endpoint("far away", Policy()).slots == 20
