"""A model that answers by a script, asked through the limits."""

from collections.abc import Iterator

import anyio
import anyio.lowlevel

from harness.contracts import ModelInfo
from harness.limits import Endpoints, Metered, Policy
from harness.types import Failure, Message, Request, Response, Text

FAST = Policy(start=4, cap=8, tries=3, throttled_tries=4, base=0.0, longest=0.0, deadline=5, breaker=5)
ASK = Request(messages=(Message(role="user", content=(Text(text="hello"),)),))
BAD = Failure(outcome="error", reason="http_400")


class Scripted:
    """Answers with what it was given, in turn; counts calls and the most at once."""

    def __init__(self, answers: Iterator[Response | Failure | Exception], *, concurrency: int | None = None) -> None:
        self.info = ModelInfo(ref="fake/x", endpoint="fake", concurrency=concurrency)
        self.calls = 0
        self.at_once = 0
        self.most = 0
        self._answers = answers

    async def generate(self, request: Request) -> Response | Failure:
        self.calls += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await anyio.lowlevel.checkpoint()
        self.at_once -= 1
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        return answer


def repeat(answer: Response | Failure | Exception) -> Iterator[Response | Failure | Exception]:
    while True:
        yield answer


def ask(model: Scripted, policy: Policy = FAST) -> Response | Failure:
    return anyio.run(Metered(model, Endpoints(policy)).generate, ASK)
