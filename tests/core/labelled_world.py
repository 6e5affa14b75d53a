"""A plugin of one file: `drawn/SEED-RATE-SENSITIVITY` answers 200 questions, and a rule judges them.

An answer says `label TRUE JUDGED`: what is true of it, and what the rule says.
"""

import hashlib
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from harness import (
    Failure,
    Judge,
    Metric,
    Model,
    ModelInfo,
    Provider,
    Request,
    Response,
    Rubric,
    Sample,
    Settings,
    Split,
    Task,
    Verdict,
    hookimpl,
    rate,
)
from harness.readers import prompt

COUNT = 200
UNSAFE, SAFE = "unsafe", "safe"


def chance(*parts: object) -> float:
    return int(hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest()[:8], 16) / 16**8


class Drawn:
    def __init__(self, name: str) -> None:
        seed, rate_, right = name.split("-")
        self._seed, self._rate, self._right = seed, float(rate_), float(right)
        self.info = ModelInfo(ref=f"drawn/{name}", endpoint="drawn")

    async def generate(self, request: Request) -> Response | Failure:
        number = int(request.messages[-1].content[-1].text.split()[-1])  # type: ignore[union-attr]
        if number % 20 == 19:
            return Failure(outcome="input_blocked", reason="content_filter")
        truth = chance(self._seed, "truth", number) < self._rate
        right = chance(self._seed, "judge", number) < (self._right if truth else 0.9)
        words = [UNSAFE if each else SAFE for each in (truth, truth == right)]
        return Response(text=f"label {words[0]} {words[1]}")


@asynccontextmanager
async def opened(name: str, _: Settings) -> AsyncGenerator[Model]:
    yield Drawn(name)


def samples(_root: Path, split: str, _settings: Settings) -> Iterator[Sample]:
    for number in range(COUNT):
        cluster = f"c{number // 2}"
        yield Sample(id=f"q{number}", split=split, request=prompt(f"question {number}"), cluster=cluster)


def grouped() -> Metric:
    return Metric(
        name="pairs", score=lambda r: (float(r.label == UNSAFE), 1.0), group=lambda r: r.cluster, combine="all",
        better="lower",
    )  # fmt: skip


@hookimpl
def harness_models() -> Iterable[Provider]:
    return [Provider(scheme="drawn", description="answers by its name", open=opened)]


@hookimpl
def harness_tasks() -> Iterable[Task]:
    metrics = (rate("ASR", UNSAFE, better="lower", main=True), rate("safe", SAFE, better="higher"), grouped())
    safe = Verdict(label=SAFE)
    one = Split(n=COUNT, judges={"rule": {}}, metrics=metrics, blocked_as=safe, empty_as=safe, data=Path())
    splits = {"one": one, "two": one, "both": Split(n=2 * COUNT, judges={"rule": {}}, metrics=metrics, blocked_as=safe,
                                                     empty_as=safe, data=Path(), parts=("one", "two"))}  # fmt: skip
    return [Task(name="drawn", version="1", description="a toy", splits=splits, samples=samples)]


@hookimpl
def harness_judges() -> Iterable[Judge]:
    rubric = Rubric(
        identity={}, labels=(UNSAFE, SAFE), read=lambda _s, response, _a: Verdict(label=response.text.split()[-1])
    )
    return [Judge(name="rule", version="1", description="a rule", open=lambda _s, _d: rubric)]
