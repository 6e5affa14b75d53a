"""What a resumed run expects to fail again does not open the breaker, whoever makes the calls."""

import anyio
import pytest

from harness.contracts import Model, ModelInfo
from harness.errors import EndpointDown
from harness.limits import Breaker, Endpoints, Metered, Policy
from harness.types import Failure, Message, Request, Response, Text

BAD = Failure(outcome="error", reason="http_400", message="no")
ASK = Request(messages=(Message(role="user", content=(Text(text="hello"),)),))


def opens(breaker: Breaker, failure: Failure = BAD, times: int = 3) -> bool:
    try:
        for _ in range(times):
            breaker.failed(failure)
    except EndpointDown:
        return True
    return False


def test_an_error_that_is_expected_does_not_count() -> None:
    breaker = Breaker("e", 3)
    with breaker.expecting("http_400"):
        assert not opens(breaker, times=100)
    assert not opens(breaker, times=2)
    assert opens(breaker, times=1)


def test_another_error_than_the_expected_one_counts() -> None:
    breaker = Breaker("e", 3)
    with breaker.expecting("http_500"):
        assert opens(breaker)


def test_two_repetitions_that_end_one_after_the_other_are_both_expected() -> None:
    breaker = Breaker("e", 3)
    with breaker.expecting("http_400"):
        with breaker.expecting("http_400"):
            pass
        assert not opens(breaker)
    assert opens(breaker)


def test_expecting_no_reason_expects_nothing() -> None:
    breaker = Breaker("e", 3)
    with breaker.expecting(""):
        assert opens(breaker, Failure(outcome="error", reason=""))


@pytest.mark.parametrize("broken", [False, True])
def test_calls_a_strategy_makes_in_tasks_of_its_own_are_expected_too(broken: bool) -> None:
    class Refusing:
        info = ModelInfo(ref="fake/x", endpoint="fake")

        async def generate(self, request: Request) -> Response | Failure:
            return BAD

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

    metered = Metered(Refusing(), Endpoints(Policy(breaker=3)))

    async def body() -> Response | Failure:
        with metered.breaker.expecting("other" if broken else "http_400"):
            return await Thrice(metered).generate(ASK)

    if broken:
        with pytest.raises(ExceptionGroup) as raised:
            anyio.run(body)
        assert raised.group_contains(EndpointDown)
    else:
        assert anyio.run(body) == BAD
