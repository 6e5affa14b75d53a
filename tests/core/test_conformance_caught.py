"""What the suites catch of plugins that look right: images, limits, types, chance, and what is never opened."""

import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from harness import Failure, Judge, Model, ModelInfo, Provider, Request, Response, Rubric, Sample, Verdict
from harness.contracts import Trainer, Training
from harness.errors import HarnessError
from harness.testing.conformance import NotConforming, check_judge, check_provider, check_task, check_trainer
from harness.testing.fakes import fake_judge, fake_sample, fake_task
from harness.testing.model_checks import SECONDS
from harness.types import ImageContent

Answer = Callable[[Request], Awaitable[Any]]
INFO = ModelInfo(ref="odd/any", endpoint="odd")


class Odd:
    """A model that sends what `arranged` leaves of a request's images, and notes what it sent."""

    def __init__(self, answer: Answer | None = None, arranged: Callable[[list[Any]], list[Any]] = list) -> None:
        self.info = INFO
        self.sent: list[str] = []
        self._answer = answer
        self._arranged = arranged

    async def generate(self, request: Request) -> Response | Failure:
        images = self._arranged([image.opened for image in request.images])
        self.sent = [image.sha256 for image in images if image.data]
        if self._answer is not None:
            return cast("Response | Failure", await self._answer(request))
        return Response(text=" ".join("word" for _ in range(request.settings.max_tokens or 1))[:30])


def provider_of(model: Model, entered: Callable[[], Awaitable[None]] | None = None) -> Provider:
    @asynccontextmanager
    async def opened(*_: Any) -> AsyncGenerator[Model]:
        if entered is not None:
            await entered()
        yield model

    return Provider(scheme="odd", description="an odd one", open=opened)


async def never() -> None:
    await anyio.sleep_forever()


async def closed() -> None:
    raise OSError("no such server")


async def a_dict(_: Request) -> Any:
    return {"text": "ok"}


async def a_number(_: Request) -> Any:
    return Response(text=cast("str", 5))


async def a_novel(_: Request) -> Any:
    return Response(text="Once upon a time there was much to tell, and all of it was told.")


async def nothing(_: Request) -> Any:
    await anyio.sleep_forever()


async def a_failure(_: Request) -> Any:
    return Failure(outcome="error", reason="http_404", message="no such path")


async def raised(_: Request) -> Any:
    raise TimeoutError("read timed out")


def breach(provider: Provider, **options: Any) -> str:
    with pytest.raises(NotConforming) as caught:
        check_provider(provider, "any", **options)
    return str(caught.value)


def test_a_provider_that_sends_what_it_is_given_keeps_its_contract() -> None:
    model = Odd()
    check_provider(provider_of(model), "any", shown=lambda: model.sent)
    check_provider(provider_of(Odd()), "any")


@pytest.mark.parametrize(
    ("provider", "said"),
    [
        (provider_of(Odd(arranged=lambda images: images[:1])), "reads 1 of 3 images"),
        (provider_of(Odd(arranged=lambda images: images[::-1])), "reads the images in another order"),
        (provider_of(Odd(a_novel)), "a request with max_tokens=1: answers 64 characters, so it ignores the limit"),
        (provider_of(Odd(a_dict)), "answers with a dict"),
        (provider_of(Odd(a_number)), "the text of its Response is a int"),
        (provider_of(Odd(raised)), "does not answer: it raised TimeoutError: read timed out"),
        (provider_of(Odd(), closed), "does not open: OSError: no such server"),
        (provider_of(Odd(a_failure)), "answers nothing: each request is a Failure (http_404: no such path)"),
    ],
    ids=["drops", "reorders", "unlimited", "dict", "number", "raises", "closed", "fails"],
)
def test_a_provider_that_goes_wrong_is_caught(provider: Provider, said: str) -> None:
    assert said in breach(provider)


@pytest.mark.parametrize(
    ("provider", "said"),
    [(provider_of(Odd(), never), "does not open"), (provider_of(Odd(nothing)), "does not answer")],
    ids=["never opens", "never answers"],
)
def test_a_provider_that_hangs_ends_the_check(provider: Provider, said: str) -> None:
    assert f"{said}: nothing came in 0.2 s" in breach(provider, seconds=0.2)
    assert SECONDS == 60.0


def test_a_limit_that_does_not_arrive_is_caught_where_that_can_be_told() -> None:
    check_provider(provider_of(Odd()), "any", limit=lambda: 1)
    assert "sends None as the limit" in breach(provider_of(Odd()), limit=lambda: None)


def swap(images: list[ImageContent]) -> list[ImageContent]:
    return [*images[1:2], *images[:1], *images[2:]]


def test_what_arrived_decides_where_it_can_be_told() -> None:
    read_in_order = Odd()
    assert "shows the model the images in another order" in breach(
        provider_of(read_in_order), shown=lambda: swap(cast("list[Any]", read_in_order.sent))
    )
    assert "shows the model 2 of 3 images" in breach(provider_of(read_in_order), shown=lambda: read_in_order.sent[:2])


def test_an_opened_image_may_be_changed_on_its_way() -> None:
    def smaller(images: list[ImageContent]) -> list[ImageContent]:
        return [replace(image, data=image.data[:10], width=1) for image in images]

    check_provider(provider_of(Odd(arranged=smaller)), "any")


def rule(decide: Callable[[Sample, Response], str]) -> Judge:
    return fake_judge(decide)


def test_a_judge_that_decides_by_chance_is_caught() -> None:
    coin = random.Random(1)
    with pytest.raises(NotConforming, match="gives another decision on the same: "):
        check_judge(rule(lambda *_: coin.choice(("unsafe", "safe"))))


def test_a_judge_that_remembers_what_it_judged_is_caught() -> None:
    seen: list[str] = []

    def decide(_: Sample, response: Response) -> str:
        seen.append(response.text)
        return "unsafe" if len(seen) % 2 else "safe"

    with pytest.raises(NotConforming, match="gives another decision on the same: unsafe, safe"):
        check_judge(rule(decide))


def test_a_judge_that_asks_its_model_something_else_each_time_is_caught() -> None:
    coin = random.Random(1)

    def ask(sample: Sample, _: Response) -> list[Request]:
        return [replace(sample.request, prefill=str(coin.random()))]

    rubric = Rubric(identity={}, labels=("safe",), ask=ask, read=lambda *_: Verdict(label="safe"))
    judge = Judge(name="odd", version="1", description="odd", open=lambda *_: rubric, needs=frozenset())
    with pytest.raises(NotConforming, match="asks something else for the same answer"):
        check_judge(judge, [fake_sample()])


def test_a_task_brings_its_own_rubric_to_the_check_and_needs_no_host() -> None:
    own = fake_judge(name="my-own-rubric")
    task = fake_task(judges={"my-own-rubric": {}})
    check_task(task, judges=[own])
    with pytest.raises(NotConforming, match="my-own-rubric"):
        check_task(task)


def trainer(**changes: Any) -> Trainer:
    def train(training: Training) -> Path:
        _needed(training)
        training.out.mkdir(parents=True)
        (training.out / "training.json").write_text('{"tuned_from": "a", "trained_on": ["b"]}')
        return training.out

    def _needed(training: Training) -> None:
        if not training.data[""].exists():
            raise HarnessError("no data", remedy="--data FILE")

    plan: Callable[[Training], str] = lambda training: f"train {training.model}"  # noqa: E731
    return replace(Trainer(name="odd", description="an odd one", plan=plan, train=train), **changes)


def training(folder: Path) -> Training:
    (folder / "data").mkdir()
    return Training(model="a/b", data={"": folder / "data"}, out=folder / "out")


def test_a_trainer_that_does_what_it_says_keeps_its_contract(tmp_path: Path) -> None:
    check_trainer(trainer())
    check_trainer(trainer(), training(tmp_path))


def writing_plan(training: Training) -> str:
    training.out.mkdir(parents=True)
    return "trains"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"plan": writing_plan}, "plan without a model and data: writes its folder"),
        ({"plan": lambda _: ""}, "plan says nothing"),
        ({"facts": lambda _: {"refusals": "none"}}, "the refusals of facts are a str"),
        ({"facts": lambda _: {"loss": float("nan")}}, "raised ValueError"),
        ({"train": lambda training: training.out}, "raises no HarnessError"),
        ({"description": ""}, "the description is not one line"),
    ],
)
def test_a_trainer_that_breaks_its_contract_is_caught(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(NotConforming) as told:
        check_trainer(trainer(**changes), training(tmp_path))
    assert said in str(told.value)


def test_a_trained_model_that_does_not_say_what_it_was_made_from_is_caught(tmp_path: Path) -> None:
    def train(training: Training) -> Path:
        if not training.data[""].exists():
            raise HarnessError("no data")
        training.out.mkdir()
        (training.out / "training.json").write_text('{"tuned_from": "a"}')
        return training.out

    with pytest.raises(NotConforming, match="does not say trained_on"):
        check_trainer(trainer(train=train), training(tmp_path))
