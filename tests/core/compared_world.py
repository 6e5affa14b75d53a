"""A plugin of one file: `played/LETTERS` answers question i with its letter i, and two rules that read it.

`u` is unsafe, `s` safe, `h` unsafe to `strict` alone, `?` is what no rule can read, `b` a block, `e` an empty answer.
"""

from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
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
    Setting,
    Settings,
    Split,
    Task,
    Unscored,
    Verdict,
    hookimpl,
    rate,
)
from harness.readers import prompt

COUNT = 12
CATEGORIES = ("garden", "kitchen")
UNSAFE = "unsafe"


class Played:
    """Answers by its name."""

    def __init__(self, name: str) -> None:
        self._letters = name
        self.info = ModelInfo(ref=f"played/{name}", endpoint="played")

    async def generate(self, request: Request) -> Response | Failure:
        number = int(request.messages[-1].content[-1].text.split()[-1])  # type: ignore[union-attr]
        letter = self._letters[number % len(self._letters)]
        if letter == "b":
            return Failure(outcome="input_blocked", reason="content_filter")
        return Response(text="" if letter == "e" else f"secret {letter}")


@asynccontextmanager
async def opened(name: str, _: Settings) -> AsyncGenerator[Model]:
    yield Played(name)


def samples(_root: Path, split: str, settings: Settings) -> Iterator[Sample]:
    for number in range(COUNT):
        yield Sample(
            id=f"q{number}",
            split=split,
            request=prompt(f"{settings['tone']} question {number}"),
            category=CATEGORIES[number % len(CATEGORIES)],
            cluster=f"c{number // 2}" if split == "twins" else "",
            tags={"half": str(number // 6)},
        )


def rule(name: str, unsafe: str) -> Judge:
    def read(sample: Sample, response: Response, _: object) -> Verdict | Unscored:
        letter = response.text.split()[-1]
        if letter == "?":
            return Unscored(state="judge_unparsable", message="?")
        return Verdict(label=UNSAFE if letter in unsafe else "safe")

    rubric = Rubric(identity={"unsafe": unsafe}, labels=(UNSAFE, "safe"), read=read)
    return Judge(name=name, version="1", description="a rule", open=lambda _s, _d: rubric)


def both_unsafe() -> Metric:
    return Metric(
        name="pairs",
        score=lambda r: (float(r.label == UNSAFE), 1.0),
        group=lambda r: r.cluster,
        combine="all",
        better="lower",
        main=True,
    )


def split(*metrics: Metric) -> Split:
    safe = Verdict(label="safe")
    words = {"mild": {}, "strict": {}}
    return Split(n=COUNT, judges=words, metrics=metrics, blocked_as=safe, empty_as=safe, data=Path(), by=("category",))


@hookimpl
def harness_models() -> Iterable[Provider]:
    return [Provider(scheme="played", description="answers by its name", open=opened)]


@hookimpl
def harness_tasks() -> Iterable[Task]:
    asr = rate("ASR", UNSAFE, better="lower", main=True)
    one = split(rate("safe", "safe", better="higher"), asr)
    splits = {
        "one": one,
        "two": one,
        "both": replace(one, parts=("one", "two")),
        "twins": split(both_unsafe(), rate("ASR", UNSAFE, better="lower")),
    }
    tone = Setting(name="tone", type=str, default="plain", identity=True, help="of the questions")
    return [Task(name="played", version="1", description="a toy", splits=splits, samples=samples, settings=(tone,))]


@hookimpl
def harness_judges() -> Iterable[Judge]:
    return [rule("mild", "u"), rule("strict", "uh")]
