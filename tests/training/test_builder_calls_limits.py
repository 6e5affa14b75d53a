"""What is promised where nothing will work, a model cannot do its work, or a limit is reached."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import anyio
import pytest
from harness_builder.calls.results import Halted, ModelReply
from harness_builder.calls.runner import BuildCallRunner
from harness_builder.calls.store import CallStore
from harness_builder.plan import ModelChoice, Plan

from harness import Drawing, Drawn, Failure, HarnessError, ModelInfo, Request, Response, Usage
from harness.contracts import Ability
from harness.testing.fakes import FakeBrush, Said
from harness.types import add_usage
from tests.training.builder_calls import YES, Sayer, all_wait, ask, call_runner, drawing, plan, question, request_of

pytestmark = pytest.mark.anyio


async def test_what_nothing_can_be_done_about_is_raised_to_all_and_what_is_on_the_wire_is_kept(tmp_path: Path) -> None:
    failed, told, errors = anyio.Event(), list[ModelReply | Halted](), list[HarnessError]()

    def script(request: Request) -> Said:
        if "key" in str(request.messages):
            raise HarnessError("the key is wrong")
        return YES

    async def wait(request: Request) -> None:
        if "slow" in str(request.messages):
            await failed.wait()

    async def one(runner: BuildCallRunner, text: str) -> None:
        try:
            told.append(await runner.ask(question(text)))
        except HarnessError as error:
            errors.append(error)
            failed.set()

    async with call_runner(tmp_path, script, wait=wait) as runner:
        async with anyio.create_task_group() as group:
            for text in ("slow", "the key"):
                group.start_soon(one, runner, text)
        for text in ("slow", "new"):
            with pytest.raises(HarnessError, match="the key is wrong"):
                await runner.ask(question(text))
        assert runner.fault is errors[0]
    assert [type(each) for each in told] == [ModelReply]
    assert isinstance(await ask(tmp_path, Sayer("never asked"), question("slow")), ModelReply), "it was kept"


async def test_what_waits_for_a_slot_is_not_sent_once_nothing_will_work(tmp_path: Path) -> None:
    asked: list[str] = []

    def script(request: Request) -> Said:
        asked.append(str(request.messages))
        raise HarnessError("the key is wrong")

    async def one(runner: BuildCallRunner, number: int) -> None:
        with contextlib.suppress(HarnessError):
            await runner.ask(question(str(number)))

    one_slot = plan(concurrency=1)
    async with call_runner(tmp_path, script, one_slot, wait=all_wait) as runner, anyio.create_task_group() as group:
        for number in range(5):
            group.start_soon(one, runner, number)
    assert len(asked) == 1


def info(*can: Ability, **more: Any) -> ModelInfo:
    return ModelInfo(ref="", endpoint="fake", can=frozenset(can), **more)


async def test_a_model_that_cannot_look_is_refused_when_it_is_opened_by_role_and_key(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="role 'viewer' cannot look at images") as caught:
        await ask(tmp_path, Sayer(), info=info("system"))
    assert "models.viewer" in caught.value.remedy
    assert caught.value.what.startswith("models.viewer: ")
    assert caught.value.where == "fake/viewer, build.yaml"


@pytest.mark.parametrize(("best_of", "takes", "shown"), [(1, 1, 2), (4, 3, 4)], ids=["a pair", "the best of four"])
async def test_a_model_that_takes_too_few_images_is_refused_when_it_is_opened(
    tmp_path: Path, best_of: int, takes: int, shown: int
) -> None:
    with pytest.raises(HarnessError, match=f"takes {takes} images at once, but its role shows it {shown}"):
        await ask(tmp_path, Sayer(), of=plan(best_of=best_of), info=info("images", max_images=takes))


async def test_a_request_that_its_model_cannot_take_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    asked = question(request=Request(messages=request_of("a").messages, raw=True))
    model = Sayer()
    with pytest.raises(HarnessError, match="role 'viewer' cannot do what it is asked: raw"):
        await ask(tmp_path, model, asked)
    assert model.calls == 0


async def test_a_painter_that_cannot_draw_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="cannot draw"):
        await ask(tmp_path, Sayer(), painter=FakeBrush(info=info("images")))


@pytest.mark.parametrize("can", [("images",), ("images", "schema")], ids=["without", "with"])
async def test_a_schema_is_sent_only_to_a_model_that_takes_it(tmp_path: Path, can: tuple[Ability, ...]) -> None:
    schema = {"type": "object"}
    model = Sayer()
    asked = question(request=Request(messages=request_of("a").messages, schema=schema))
    await ask(tmp_path, model, asked, info=info(*can))
    assert model.asked[0].schema == (schema if "schema" in can else None)


async def test_costs_tell_new_calls_from_those_of_the_past_and_what_they_took(tmp_path: Path) -> None:
    usage = Usage(input_tokens=1_000_000, output_tokens=500_000)
    model = Sayer(Response(text=YES, usage=usage, model="m-1", seconds=2.0))
    priced = plan(
        painter=ModelChoice(ref="fake/painter", price={"image": 0.25}),
        models={
            "writer": ModelChoice(ref="fake/w"),
            "viewer": ModelChoice(ref="fake/v", price={"input": 2.0, "output": 8.0}),
        },
    )
    async with call_runner(tmp_path, model, priced) as runner:
        await runner.ask(question())
        await runner.ask(question(role="writer"))
        await runner.paint("draw", "seeds/1#0", drawing())
    async with call_runner(tmp_path, model, priced) as runner:
        await runner.ask(question())
        await runner.ask(question("new"))
        assert runner.costs.made == 1, "the other was stored"
        ever = {(each.step, each.role): each for each in runner.costs.of_all_invocations()}
    viewer = ever["write", "viewer"]
    assert (viewer.made, viewer.usage, viewer.seconds, viewer.models) == (2, add_usage(usage, usage), 4.0, ("m-1",))
    assert viewer.usd == pytest.approx(12.0)
    assert ever["write", "writer"].usd is None, "no price is told"
    assert (ever["draw", "painter"].images, ever["draw", "painter"].usd) == (1, 0.25)


async def test_the_limit_of_calls_counts_what_earlier_invocations_made(tmp_path: Path) -> None:
    model, few = Sayer(), plan(most_calls=3)
    async with call_runner(tmp_path, model, few) as runner:
        for number in range(2):
            await runner.ask(question(str(number)))
    async with call_runner(tmp_path, model, few) as runner:
        await runner.ask(question("0"))
        await runner.ask(question("2"))
        with pytest.raises(HarnessError, match="limit of 3 calls") as caught:
            await runner.ask(question("3"))
        assert "raise `limits` and run it again: finished calls are kept" in caught.value.remedy
    assert model.calls == 3
    async with call_runner(tmp_path, model, plan(most_calls=4)) as runner:
        assert isinstance(await runner.ask(question("3")), ModelReply)


async def test_calls_at_once_do_not_pass_the_limit_together(tmp_path: Path) -> None:
    model = Sayer()

    async def one(runner: BuildCallRunner, number: int) -> None:
        with contextlib.suppress(HarnessError):
            await runner.ask(question(str(number)))

    async with (
        call_runner(tmp_path, model, plan(most_calls=3), wait=all_wait) as runner,
        anyio.create_task_group() as group,
    ):
        for number in range(9):
            group.start_soon(one, runner, number)
    assert model.calls == 3


async def test_a_second_try_counts_as_a_call(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="limit of 1 calls"):
        await ask(tmp_path, Sayer("prose", YES), of=plan(most_calls=1))


async def test_a_reply_whose_second_try_the_limit_forbids_is_counted_and_not_asked_again(tmp_path: Path) -> None:
    model = Sayer("prose")
    for _ in range(3):
        with pytest.raises(HarnessError, match="limit of 1 calls"):
            await ask(tmp_path, model, of=plan(most_calls=1))
    assert model.calls == 1
    with CallStore(tmp_path) as store:
        assert [each.calls for each in store.total_usage()] == [1]


async def test_a_drawing_that_is_paid_and_that_the_disk_does_not_take_is_counted(tmp_path: Path) -> None:
    (tmp_path / "images").write_text("in the place of the folder")
    with pytest.raises(HarnessError, match="cannot write"):
        async with call_runner(tmp_path) as runner:
            await runner.paint("draw", "seeds/1#0", drawing())
    with CallStore(tmp_path) as store:
        assert [(each.calls, each.images) for each in store.total_usage()] == [(1, 1)]


async def test_the_limit_in_dollars_ends_the_build(tmp_path: Path) -> None:
    painter = ModelChoice(ref="fake/painter", price={"image": 0.5})
    said: list[str] = []
    async with call_runner(tmp_path, of=plan(painter=painter, most_usd=1.0), tell=said.append) as runner:
        for seed in range(2):
            await runner.paint("draw", "seeds/1#0", drawing(seed=seed))
        with pytest.raises(HarnessError, match=r"limit of 1\.00 US dollars"):
            await runner.paint("draw", "seeds/1#0", drawing(seed=2))
    (line,) = said
    assert line.startswith("fake/viewer, fake/writer have no price: ")


def priced(usd: float, **price: float) -> Plan:
    """A plan with a limit in dollars, of models and a painter of these prices."""
    models = {"writer": ModelChoice(ref="fake/w", price=price), "viewer": ModelChoice(ref="fake/v", price=price)}
    return plan(models, painter=ModelChoice(ref="fake/painter", price=price), most_usd=usd)


FIFTH = Response(text=YES, usage=Usage(input_tokens=200_000))  # of a dollar, at a dollar for a million tokens


async def test_calls_that_are_held_open_do_not_pass_the_limit_in_dollars_together(tmp_path: Path) -> None:
    model, errors = Sayer(FIFTH), list[HarnessError]()

    async def one(runner: BuildCallRunner, number: int) -> None:
        try:
            await runner.ask(question(str(number)))
        except HarnessError as error:
            errors.append(error)

    async with call_runner(tmp_path, model, priced(1.0, input=1.0), wait=all_wait) as runner:
        async with anyio.create_task_group() as group:
            for number in range(200):
                group.start_soon(one, runner, number)
        assert [each.usd for each in runner.costs.of_all_invocations()] == [pytest.approx(1.0)]
    assert (model.calls, len(errors)) == (5, 195)
    assert all("limit of 1.00 US dollars is reached" in str(error) for error in errors)


async def test_drawings_that_are_held_open_do_not_pass_the_limit_in_dollars_together(tmp_path: Path) -> None:
    class Slow(FakeBrush):
        async def draw(self, drawing: Drawing) -> Drawn | Failure:
            await anyio.wait_all_tasks_blocked()
            return await super().draw(drawing)

    async def one(runner: BuildCallRunner, number: int) -> None:
        with contextlib.suppress(HarnessError):
            await runner.paint("draw", "seeds/1#0", drawing(seed=number))

    brush = Slow()
    async with call_runner(tmp_path, of=priced(1.1, image=0.2), painter=brush) as runner:
        async with anyio.create_task_group() as group:
            for number in range(50):
                group.start_soon(one, runner, number)
        with pytest.raises(HarnessError, match=r"limit of 1\.10 US dollars is reached: 0\.1000 are left") as caught:
            await runner.paint("draw", "seeds/1#0", drawing(seed=99))
        assert "one more call of the painter may take 0.2000" in caught.value.what
    assert len(brush.asked) == 5


class Wire:
    """How many calls are on the wire at once, each as long as nothing else moves."""

    def __init__(self) -> None:
        self.now = self.most = 0

    async def wait(self, _: Request) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        await anyio.wait_all_tasks_blocked()
        self.now -= 1


async def test_calls_whose_price_an_earlier_build_has_learnt_go_out_at_once(tmp_path: Path) -> None:
    wire, limit = Wire(), priced(4.0, input=1.0)
    async with call_runner(tmp_path, Sayer(FIFTH), limit) as runner:
        await runner.ask(question("first"))
    async with call_runner(tmp_path, Sayer(FIFTH), limit, wait=wire.wait) as runner, anyio.create_task_group() as group:
        for number in range(9):
            group.start_soon(runner.ask, question(str(number)))
    assert wire.most == 9


async def test_a_model_that_tells_no_tokens_is_asked_more_at_once_the_more_has_come_back(tmp_path: Path) -> None:
    wire, limit = Wire(), priced(1.0, input=1.0)
    async with call_runner(tmp_path, YES, limit, wait=wire.wait) as runner, anyio.create_task_group() as group:
        for number in range(31):
            group.start_soon(runner.ask, question(str(number)))
    assert wire.most > 8


async def test_what_waits_for_dollars_is_not_sent_once_nothing_will_work(tmp_path: Path) -> None:
    asked: list[str] = []

    def script(request: Request) -> Said:
        asked.append(str(request.messages))
        if len(asked) == 2:
            raise HarnessError("the key is wrong")
        return FIFTH

    async def one(runner: BuildCallRunner, number: int) -> None:
        with contextlib.suppress(HarnessError):
            await runner.ask(question(str(number)))

    limit = priced(0.4, input=1.0)
    async with call_runner(tmp_path, script, limit, wait=all_wait) as runner, anyio.create_task_group() as group:
        for number in range(9):
            group.start_soon(one, runner, number)
    assert len(asked) == 2


async def test_a_limit_in_dollars_without_any_price_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="no model has a price"):
        await ask(tmp_path, Sayer(), of=plan(most_usd=1.0))
