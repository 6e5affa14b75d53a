"""What comes out of a plugin's functions: what the contract says, an error it allows, or one in the plugin's name."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness import prompt
from harness.contracts import Judge, Model, ModelInfo, Provider, Report, Rubric, Strategy
from harness.errors import BadData, HarnessError, PluginError
from harness.makers import Build, Builder, Built, Painter, Trainer, Training
from harness.matrix import Matrix
from harness.plugins import Host
from harness.plugins.boundary import PluginErrors, find_caller, listen
from harness.testing.conformance import NotConforming, check_strategy
from harness.testing.fakes import FakeModel, fake_image, fake_sample, fake_task, host_of
from harness.types import Message, Request, Response, Text, Unscored, Verdict

BUILD = Build(config=Path(), out=Path())
TRAINING = Training(model="", data={}, out=Path())
ANSWER = Response(text="yes")
REQUEST = fake_sample().request


def does(what: object) -> Callable[..., Any]:
    """A function that raises or gives what it is told to."""

    def function(*_: object) -> object:
        if isinstance(what, BaseException):
            raise what
        return what

    return function


def opened(host: Host, kind: str = "provider", **asked: object) -> object:
    """What a model or a brush gives, opened by the host's provider or painter."""

    async def go() -> object:
        async with getattr(host, kind)("odd").open("x", {}) as model:
            return await model.draw(None) if kind == "painter" else await model.generate(REQUEST)

    return anyio.run(go)


@asynccontextmanager
async def a_model(model: object) -> AsyncGenerator[Any]:
    yield model


@asynccontextmanager
async def unclosable(*_: object) -> AsyncGenerator[Model]:
    try:
        yield FakeModel()
    finally:
        raise ValueError("still busy")


def provider(opens: Callable[..., Any]) -> Provider:
    return Provider(scheme="odd", description="", open=opens)


def within(model: object, body: Callable[[Any], Awaitable[Any]]) -> Any:
    """What the body gives of a model, or of a function that opens one, of the host's provider."""

    async def go() -> Any:
        opens = model if callable(model) else lambda *_: a_model(model)
        async with host_of(provider(opens)).provider("odd").open("x", {}) as opened:
            return await body(opened)

    return anyio.run(go)


async def info_of(model: Any) -> object:
    return model.info


def listed(sample: object) -> list[Any]:
    """What the host lists of a task that gives one sample."""
    return list(host_of(fake_task(lambda: [sample], name="odd")).task("odd").samples(Path(), "all", {}))


def scored(score: Callable[..., Any]) -> Any:
    """The scorer of a rubric behind the boundary, at work."""
    rubric = rubric_of(host_of(judge(score=score)))
    assert rubric.score is not None
    return rubric.score((), Path(), None)  # type: ignore[arg-type]


def rubric_of(host: Host) -> Rubric:
    return host.judge("odd").open({}, Path())


def judge(**rubric: Any) -> Judge:
    made = Rubric(identity={}, labels=("a",), **rubric)
    return Judge(name="odd", version="1", description="", open=lambda *_: made)


def plain(kind: type[Any], **fields: Any) -> Any:
    extra = {"version": "1"} if kind in (Strategy, Judge) else {}
    return kind(name="odd", description="", **extra, **fields)


CALLS: dict[str, tuple[Callable[[Any], Any], Callable[[Host], object]]] = {
    "open of provider 'odd'": (lambda f: provider(f), lambda host: opened(host)),
    "generate of provider 'odd'": (lambda f: provider(lambda *_: a_model(Generating(f))), lambda host: opened(host)),
    "folder of provider 'odd'": (
        lambda f: Provider(scheme="odd", description="", open=does(None), folder=f),
        lambda host: host.provider("odd").folder("x", {}),  # type: ignore[misc]
    ),
    "open of painter 'odd'": (
        lambda f: Painter(scheme="odd", description="", open=f),
        lambda host: opened(host, "painter"),
    ),
    "samples of task 'odd'": (
        lambda f: fake_task(f, name="odd"),
        lambda host: list(host.task("odd").samples(Path(), "all", {})),
    ),
    "open of judge 'odd'": (lambda f: plain(Judge, open=f), rubric_of),
    "wrap of strategy 'odd'": (
        lambda f: plain(Strategy, wrap=f),
        lambda host: host.strategy("odd").wrap(FakeModel(), {}),
    ),
    "check of strategy 'odd'": (
        lambda f: plain(Strategy, wrap=lambda model, _: model, check=f),
        lambda host: (host.strategy("odd").check or does(""))(REQUEST, {}),
    ),
    "facts of strategy 'odd'": (
        lambda f: plain(Strategy, wrap=lambda model, _: model, facts=f),
        lambda host: (host.strategy("odd").facts or does({}))({}),
    ),
    "render of report 'odd'": (lambda f: plain(Report, render=f), lambda host: host.report("odd").render([])),  # type: ignore[misc]
    "train of trainer 'odd'": (
        lambda f: plain(Trainer, plan=does(""), train=f),
        lambda host: host.trainer("odd").train(TRAINING),
    ),
    "build of builder 'odd'": (
        lambda f: plain(Builder, plan=does(""), build=Building(f)),
        lambda host: anyio.run(host.builder("odd").build, BUILD),
    ),
}


class Generating(FakeModel):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self._function = function

    async def generate(self, request: Request) -> Any:
        return self._function(request)


class Building:
    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    async def __call__(self, build: Build) -> Built:
        return self._function(build)  # type: ignore[no-any-return]


@pytest.mark.parametrize("place", CALLS)
@pytest.mark.parametrize(
    "what", [ValueError("boom"), SystemExit("boom"), GeneratorExit("boom"), asyncio.CancelledError("boom")]
)
def test_what_a_plugin_raises_is_told_by_its_name_its_distribution_and_the_place(
    place: str, what: BaseException
) -> None:
    make, call = CALLS[place]
    with pytest.raises(PluginError) as caught:
        call(host_of(make(does(what))))
    assert caught.value.what == f"plugin fakes (fakes 1.0), {place}: {type(what).__name__}: boom"
    assert f"{__file__}" in caught.value.story


@pytest.mark.parametrize("place", CALLS)
def test_what_a_plugin_gives_in_place_of_what_it_promised_is_told_as_the_plugins(place: str) -> None:
    make, call = CALLS[place]
    with pytest.raises(PluginError) as caught:
        call(host_of(make(does([5] if place.startswith("samples") else 5))))
    assert caught.value.what.startswith(f"plugin fakes (fakes 1.0), {place}: it returned a int, ")


@pytest.mark.parametrize("place", CALLS)
@pytest.mark.parametrize("what", [BadData("row 3"), KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_what_a_plugin_may_raise_comes_out_as_it_is(place: str, what: BaseException) -> None:
    make, call = CALLS[place]
    with pytest.raises(type(what)) as caught:
        call(host_of(make(does(what))))
    assert caught.value is what


def test_what_the_body_raises_goes_through_a_model_that_is_open() -> None:
    mine = ValueError("of the core")

    async def body(_: object) -> None:
        raise mine

    for model in (FakeModel(), unclosable):
        with pytest.raises(ValueError, match="of the core") as caught:
            within(model, body)
        assert caught.value is mine


@pytest.mark.parametrize("heard", [True, False])
def test_a_task_of_the_providers_that_breaks_ends_the_body_by_its_own_error(heard: bool) -> None:
    async def breaks() -> None:
        raise ValueError("the engine stopped")

    @asynccontextmanager
    async def broken(*_: object) -> AsyncGenerator[Model]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(breaks)
            yield FakeModel()

    told: list[PluginError] = []
    listening = listen(told.append) if heard else nullcontext()
    with listening, pytest.raises(PluginError, match="ValueError: the engine stopped"):
        within(broken, lambda _: anyio.sleep_forever())
    assert len(told) == heard


def test_a_cancellation_from_outside_goes_on_though_the_model_cannot_be_closed() -> None:
    async def go() -> bool:
        with anyio.CancelScope() as scope:
            async with host_of(provider(unclosable)).provider("odd").open("x", {}):
                scope.cancel()
                await anyio.sleep_forever()
        return scope.cancelled_caught

    assert anyio.run(go)


def test_a_model_that_cannot_be_closed_is_its_plugins_fault() -> None:
    with pytest.raises(PluginError, match="closing of provider 'odd': ValueError: still busy"):
        within(unclosable, info_of)


def test_a_model_that_cannot_say_what_it_is_is_its_plugins_fault() -> None:
    class Raising(FakeModel):
        info = property(does(SystemExit(3)), lambda *_: None)  # type: ignore[assignment]

    with pytest.raises(PluginError, match="info of provider 'odd': SystemExit: 3"):
        within(Raising(), info_of)


class Slow(FakeModel):
    """Never answers."""

    async def generate(self, request: Request) -> Response:
        await asyncio.sleep(3600)
        raise AssertionError


def test_a_call_that_somebody_else_cancels_is_no_fault_of_the_plugins() -> None:
    async def body(model: Any) -> bool:
        with anyio.move_on_after(0.01) as scope:
            await model.generate(REQUEST)
        return scope.cancelled_caught

    assert within(Slow(), body)


@pytest.mark.parametrize("field", ["ask", "ask_local", "read"])
def test_each_function_of_a_rubric_lies_behind_the_boundary(field: str) -> None:
    rubric = rubric_of(host_of(judge(**{field: does(SystemExit())})))
    with pytest.raises(PluginError, match=f"{field} of judge 'odd': SystemExit"):
        getattr(rubric, field)(None, None, [])


def test_a_scorer_that_breaks_off_is_its_plugins_fault_and_is_closed() -> None:
    closed: list[bool] = []

    async def score(*_: object) -> AsyncGenerator[tuple[str, Any]]:
        try:
            yield "a", Verdict(label="a")
            raise SystemExit
        finally:
            closed.append(True)

    async def go() -> list[str]:
        found: list[str] = []
        try:
            async for item, _ in scored(score):
                found.append(item)
        except PluginError as error:
            assert "score of judge 'odd': SystemExit" in error.what  # noqa: PT017
            return found
        raise AssertionError("it did not break off")

    assert anyio.run(go) == ["a"]
    assert closed == [True]


DECISIONS: list[tuple[object, str]] = [
    (Verdict(label="ab"), "it returned the label 'ab', not one of its labels: did you mean 'a'?"),
    (Verdict(label=None), "it returned the label None, not one of its labels: known: a"),  # type: ignore[arg-type]
    (Verdict(label="a", axes={"x": float("nan")}), "it returned the axis 'x' the value nan"),
    (Verdict(label="a", axes=None), "it returned the axes None"),  # type: ignore[arg-type]
    (Unscored(state="odd"), "it returned an Unscored whose state is 'odd'"),  # type: ignore[arg-type]
    (None, "it returned None, not a Verdict or Unscored"),
    ("a", "it returned 'a', not a Verdict or Unscored"),
]


@pytest.mark.parametrize(("given", "said"), [*DECISIONS, ([5], "it returned a list with a int in it, not a Request")])
def test_a_rubric_that_decides_what_it_must_not_is_its_plugins_fault(given: object, said: str) -> None:
    rubric = rubric_of(host_of(judge(read=does(given))))
    with pytest.raises(PluginError) as caught:
        rubric.read(fake_sample(), ANSWER, [])
    assert caught.value.what == f"plugin fakes (fakes 1.0), read of judge 'odd': {said}"


@pytest.mark.parametrize("field", ["ask", "ask_local"])
@pytest.mark.parametrize(("given", "said"), [(None, "it returned None, not list"), ([5], "a list with a int in it")])
def test_a_rubric_that_asks_what_nobody_can_send_is_its_plugins_fault(field: str, given: object, said: str) -> None:
    rubric = rubric_of(host_of(judge(**{field: does(given)})))
    with pytest.raises(PluginError, match=f"{field} of judge 'odd': .*{said}"):
        getattr(rubric, field)(fake_sample(), ANSWER)


@pytest.mark.parametrize(
    ("given", "said"), [(("q", each), said) for each, said in DECISIONS] + [(5, "it returned 5, not an")]
)
def test_a_scorer_that_decides_what_it_must_not_is_its_plugins_fault(given: object, said: str) -> None:
    async def score(*_: object) -> AsyncGenerator[Any]:
        yield given

    async def go() -> None:
        [_ async for _ in scored(score)]

    with pytest.raises(PluginError) as caught:
        anyio.run(go)
    assert f"score of judge 'odd': {said}" in caught.value.what


def test_a_scorer_that_is_left_early_is_closed_and_raises_nothing() -> None:
    closed: list[bool] = []

    async def score(*_: object) -> AsyncGenerator[tuple[str, Any]]:
        try:
            yield "a", Verdict(label="a")
            yield "b", Verdict(label="a")
        finally:
            closed.append(True)

    async def go() -> None:
        given = scored(score)
        assert await anext(given) == ("a", Verdict(label="a"))
        await given.aclose()

    anyio.run(go)
    assert closed == [True]


def test_a_call_that_is_closed_before_it_ends_is_no_fault_of_the_plugins() -> None:
    async def body(model: Any) -> None:
        begun: list[Any] = []

        async def begin() -> None:
            begun.append(call := model.generate(REQUEST))
            call.send(None)

        await asyncio.create_task(begin())
        begun[0].close()  # as the collector does with a task that was left behind

    errors = PluginErrors()
    with listen(errors.add):
        within(Slow(), body)
    assert errors.lines() == []


def test_who_listens_hears_of_each_error_and_counts_those_of_one_kind() -> None:
    errors = PluginErrors()
    render = host_of(plain(Report, render=does(ValueError("boom")))).report("odd").render
    assert render is not None
    with listen(errors.add):
        for _ in range(3):
            with pytest.raises(HarnessError):
                render([])
    assert errors.lines() == ["plugin fakes (fakes 1.0), render of report 'odd': ValueError: boom (3 times)"]
    logged: list[str] = []
    errors.write(logged.append)
    errors.write(logged.append)
    assert ["Traceback" in text for text in logged] == [True]


def test_the_plugin_that_a_stack_is_in_is_known_with_the_line() -> None:
    found: list[Any] = []

    def samples() -> Iterator[Any]:
        found.append(find_caller(sys._getframe()))
        yield fake_sample()

    list(host_of(fake_task(samples, name="odd")).task("odd").samples(Path(), "all", {}))
    source, place, where = found[0]
    assert (source.name, place) == ("fakes", "samples of task 'odd'")
    assert where.startswith(__file__)
    assert find_caller(sys._getframe()) is None


@pytest.mark.parametrize("name", ["../outside.txt", "/etc/outside", "", ".", "a/../../b", "a\0b", 7])
def test_a_report_that_names_a_file_outside_its_folder_is_its_plugins_fault(name: object) -> None:
    render = host_of(plain(Report, render=does({"good.txt": b"", name: b"x"}))).report("odd").render
    assert render is not None
    with pytest.raises(
        PluginError, match=r"render of report 'odd': it names a file .* which is not inside the output folder"
    ):
        render([])


def test_a_report_whose_file_is_no_bytes_is_its_plugins_fault() -> None:
    figures = host_of(plain(Report, render=does(""), figures=does({"a.svg": "text"}))).report("odd").figures
    assert figures is not None
    with pytest.raises(PluginError, match=r"it returned a str as the file 'a\.svg', not bytes"):
        figures([])


def test_a_paper_table_that_is_none_is_its_plugins_fault() -> None:
    matrix = host_of(plain(Report, render=does(""), matrix=does(None))).report("odd").matrix
    assert matrix is not None
    with pytest.raises(PluginError, match=r"matrix of report 'odd': it returned None, not str or bytes or Mapping"):
        matrix(Matrix(title="", columns=(), rows=()))


@pytest.mark.parametrize("fields", [{"tags": None}, {"id": 7}, {"category": None}, {"cluster": 3}])
def test_a_sample_with_a_field_that_nobody_can_use_is_its_plugins_fault(fields: dict[str, Any]) -> None:
    sample = replace(fake_sample(), **fields)
    [(name, value)] = fields.items()
    with pytest.raises(PluginError, match=f"samples of task 'odd': it returned a Sample whose {name} is {value}"):
        listed(sample)


def user(*content: object) -> Request:
    return Request(messages=(Message(role="user", content=content),))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (prompt(Path("x.png"), "q"), "with a PosixPath in a message, which is neither Text nor Image"),  # type: ignore[arg-type]
        (user(None), "with None in a message, which is neither Text nor Image"),
        (user(Text(text=5)), "with a Text whose text is 5"),  # type: ignore[arg-type]
        (user(replace(fake_image(), path=Path("x.png"))), "with an Image whose path is "),
        (Request(messages=(Message(role="user", content="q"),)), "with a message whose content is 'q', not a tuple"),  # type: ignore[arg-type]
        (
            Request(messages=(Message(role="usr", content=()),)),  # type: ignore[arg-type]
            "with a message whose role is 'usr': did you mean 'user'?",
        ),
        (Request(messages=("q",)), "with a str among its messages, not a Message"),  # type: ignore[arg-type]
        (Request(messages=()), "whose messages are ()"),
    ],
)
def test_a_sample_whose_messages_nobody_can_ask_is_its_plugins_fault(request_: Request, why: str) -> None:
    sample = replace(fake_sample(), request=request_)
    with pytest.raises(PluginError) as caught:
        listed(sample)
    assert f"samples of task 'odd': it returned a Sample {why}" in caught.value.what


@pytest.mark.parametrize("given", [None, 5, (1,), "ab", ("1", "2"), (3, 1), (-1, 2), (True, 2), (None, 2), [1, 2]])
def test_a_strategy_that_does_not_say_how_often_it_asks_is_its_plugins_fault(given: object) -> None:
    odd = plain(Strategy, wrap=lambda model, _: model, calls=does(given))
    calls = host_of(odd).strategy("odd").calls
    assert calls is not None
    with pytest.raises(PluginError) as caught:
        calls(REQUEST, {})
    assert f"calls of strategy 'odd': it returned {given!r}, not how often it asks" in caught.value.what
    with pytest.raises(NotConforming) as told:
        check_strategy(odd)
    assert f"calls: it returned {given!r}, not how often it asks" in str(told.value)


@pytest.mark.parametrize("given", [(1, 1), (0, None), (2, 5)])
def test_a_strategy_that_says_how_often_it_asks_is_believed(given: object) -> None:
    odd = plain(Strategy, wrap=lambda model, _: model, calls=does(given))
    calls = host_of(odd).strategy("odd").calls
    assert calls is not None
    assert calls(REQUEST, {}) == given
    check_strategy(replace(odd, description="odd"))


def test_a_model_that_says_nothing_of_itself_is_its_plugins_fault() -> None:
    silent = FakeModel()
    silent.info = None  # type: ignore[assignment]
    with pytest.raises(PluginError, match="info of provider 'odd': it returned None, not ModelInfo"):
        within(silent, info_of)


@pytest.mark.parametrize(
    "fields", [{"max_images": "two"}, {"local": None}, {"concurrency": 1.5}, {"fingerprint": None}, {"can": None}]
)
def test_each_field_of_an_info_is_what_it_says(fields: dict[str, Any]) -> None:
    [(name, value)] = fields.items()
    with pytest.raises(PluginError) as caught:
        within(FakeModel(info=replace(ModelInfo(ref="odd/x", endpoint="odd"), **fields)), info_of)
    assert f"info of provider 'odd': it returned a ModelInfo whose {name} is {value!r}" in caught.value.what


def test_a_rubric_whose_identity_nobody_can_use_is_its_plugins_fault() -> None:
    made = Judge(
        name="odd", version="1", description="",
        open=lambda *_: Rubric(identity=None, labels=("a",)),  # type: ignore[arg-type]
    )  # fmt: skip
    with pytest.raises(PluginError, match="open of judge 'odd': it returned a Rubric whose identity is None"):
        rubric_of(host_of(made))
