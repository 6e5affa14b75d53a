"""The question before a run: what it asks, which answers it accepts, and whose fault a failure is."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness.contracts import Judge, Model, Provider, Rubric, Strategy
from harness.errors import HarnessError, PluginError
from harness.evaluation.probe import NO_IMAGE, ONE_IMAGE, PROBE_QUESTION, ProbeResult, probe_model
from harness.limits import Policy
from harness.testing.fakes import FakeModel, Script, fake_sample, fake_task
from harness.types import Failure, Request, Response, Text, Verdict
from tests.core.carried import Server, go, numbered

FAST = Policy(base=0, longest=0)
GOOD = "First a red circle, then a blue square."
GONE = Failure(outcome="error", reason="http_503", message="overloaded", transient=True)


def ask(model: FakeModel, images: int = 2, policy: Policy = FAST) -> ProbeResult:
    return anyio.run(partial(probe_model, model, images=images, policy=policy))


def question(request: Request) -> str:
    (text,) = (part.text for part in request.messages[0].content if isinstance(part, Text))
    return text


def in_order(answer: Script, images: int = 2) -> bool:
    return ask(FakeModel(answer), images).in_order


@pytest.mark.parametrize(("most", "shown", "said"), [(0, 0, NO_IMAGE), (1, 1, ONE_IMAGE), (2, 2, PROBE_QUESTION)])
def test_as_many_images_are_shown_as_a_sample_holds(most: int, shown: int, said: str) -> None:
    model = FakeModel(GOOD)
    assert ask(model, most) == ProbeResult(answer=GOOD, images=shown, in_order=True)
    (request,) = model.asked
    assert question(request) == said
    assert [image.path for image in request.images] == ["probe-red-circle.png", "probe-blue-square.png"][:shown]
    assert all(image.content is not None for image in request.images)


def test_a_model_without_a_chat_template_is_asked_as_its_rubric_asks() -> None:
    model = FakeModel("yes")
    anyio.run(partial(probe_model, model, images=0, raw=True, policy=FAST))
    assert [request.raw for request in model.asked] == [True]


def test_never_more_than_two_are_shown() -> None:
    model = FakeModel(GOOD)
    assert ask(model, 7).images == 2


@pytest.mark.parametrize(
    ("answer", "images", "expected"),
    [
        (GOOD, 2, True),
        ("RED and BLUE", 2, True),
        ("A circle. A square.", 2, True),
        ("A blue square, then a red circle.", 2, False),
        ("Two coloured shapes: a blue square and a red circle.", 2, False),
        ("The colored shapes are blue, then red.", 2, False),
        ("A red circle.", 2, False),
        ("", 2, False),
        ("I see circles, in red.", 1, True),
        ("A green star.", 1, False),
        ("whatever", 0, True),
    ],
)
def test_each_drawing_must_be_named_by_colour_or_shape_and_the_first_one_first(
    answer: str, images: int, expected: bool
) -> None:
    assert in_order(answer, images) == expected


def test_a_block_is_an_answer_since_the_model_is_there() -> None:
    found = ask(FakeModel(Failure(outcome="input_blocked", reason="content_filter", message="no")))
    assert found == ProbeResult(answer="input_blocked: no", images=2, in_order=False)


def test_a_passing_fault_is_tried_once_more_and_no_longer() -> None:
    assert in_order([GONE, GOOD])
    model = FakeModel(GONE)
    with pytest.raises(HarnessError, match="fake/model does not answer: http_503: overloaded") as caught:
        ask(model)
    assert len(model.asked) == 2
    assert "--no-probe" in caught.value.remedy


def test_a_wrong_key_is_told_as_the_provider_tells_it() -> None:
    class WrongKey(FakeModel):
        async def generate(self, request: Request) -> Response | Failure:
            raise HarnessError("the key is not accepted")

    with pytest.raises(HarnessError, match="the key is not accepted"):
        ask(WrongKey())


def test_an_endless_stall_ends_with_one_message() -> None:
    class Stalled(FakeModel):
        async def generate(self, request: Request) -> Response | Failure:
            await anyio.sleep_forever()
            raise AssertionError

    with pytest.raises(HarnessError, match="does not answer: deadline"):
        ask(Stalled(), policy=Policy(base=0, longest=0, deadline=0.01))


def test_the_same_pictures_are_drawn_each_time() -> None:
    hashes: list[Sequence[str]] = []
    for _ in range(2):
        model = FakeModel(GOOD)
        ask(model)
        hashes.append([image.opened.sha256 for image in model.asked[0].images])
    assert hashes[0] == hashes[1]
    assert len(set(hashes[0])) == 2


def raising(error: BaseException) -> Callable[[], Any]:
    def function() -> Any:
        raise error

    return function


FAULTS: list[tuple[Callable[[], Any], str]] = [
    (raising(KeyError("images")), "KeyError: 'images'"),
    (raising(SystemExit(3)), "SystemExit: 3"),
    (lambda: None, "it returned None, not Response or Failure"),
    (lambda: "text", "it returned a str, not Response or Failure"),
    (lambda: 5, "it returned a int, not Response or Failure"),
]
NAMES = ["raises", "exits", "none", "text", "number"]


class Faulty(Server):
    """A provider whose model does something wrong."""

    def __init__(self, does: Callable[[], Any]) -> None:
        super().__init__()
        self._does = does

    async def generate(self, request: Request) -> Any:
        return self._does()


def refused(folder: Path, server: Server, *extra: Any, **fields: Any) -> PluginError:
    with pytest.raises(PluginError) as caught:
        go(server, folder, *extra, probe=True, **fields)
    return caught.value


@pytest.mark.parametrize(("does", "said"), FAULTS, ids=NAMES)
def test_a_model_that_fails_the_probe_by_its_own_fault_is_its_plugins(
    tmp_path: Path, does: Callable[[], Any], said: str
) -> None:
    error = refused(tmp_path, Faulty(does))
    assert error.what == f"plugin fakes (fakes 1.0), generate of provider 'seen': {said}"
    assert "address" not in error.remedy
    assert ("test_probe.py" in error.story) == (does.__name__ == "function")


@pytest.mark.parametrize(("does", "said"), FAULTS, ids=NAMES)
def test_a_strategy_that_fails_the_probe_is_blamed_and_not_the_model(
    tmp_path: Path, does: Callable[[], Any], said: str
) -> None:
    odd = Strategy(name="odd", version="1", description="", wrap=lambda *_: Faulty(does))
    error = refused(tmp_path, Server(), odd, strategy="odd")
    assert error.what == f"plugin fakes (fakes 1.0), generate of strategy 'odd': {said}"


def test_a_model_that_fails_beneath_a_strategy_is_blamed_and_not_the_strategy(tmp_path: Path) -> None:
    class Passing(FakeModel):
        def __init__(self, inner: Model) -> None:
            super().__init__(info=inner.info)
            self._inner = inner

        async def generate(self, request: Request) -> Any:
            return await self._inner.generate(request)

    good = Strategy(name="good", version="1", description="", wrap=lambda model, _: Passing(model))
    error = refused(tmp_path, Faulty(lambda: None), good, strategy="good")
    assert "generate of provider 'seen': it returned None" in error.what


def test_a_judges_model_that_fails_the_probe_is_its_plugins(tmp_path: Path) -> None:
    @asynccontextmanager
    async def opened(*_: object) -> AsyncGenerator[Model]:
        yield Faulty(raising(KeyError("images")))

    rubric = Rubric(
        identity={}, labels=("safe",), ask=lambda *_: [fake_sample().request], read=lambda *_: Verdict(label="safe")
    )
    judge = Judge(name="asks", version="1", description="", open=lambda *_: rubric, needs=frozenset())
    heard = Provider(scheme="heard", description="", open=opened)
    task = fake_task(numbered(1), judges={"asks": {}})
    server = Server(lambda _: "ready")
    error = refused(tmp_path, server, judge, heard, task=task, judges=("heard/x",))
    assert "generate of provider 'heard': KeyError: 'images'" in error.what


def test_a_model_that_says_itself_that_it_failed_is_told_by_its_name(tmp_path: Path) -> None:
    down = Faulty(lambda: Failure(outcome="error", reason="http_400", message="no such model"))
    with pytest.raises(HarnessError, match="seen/x does not answer: http_400: no such model") as caught:
        go(down, tmp_path, probe=True)
    assert not isinstance(caught.value, PluginError)
