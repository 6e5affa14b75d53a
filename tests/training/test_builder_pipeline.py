"""A walk over all seeds: how it ends early, what a hard stop erases, and what is dropped as a duplicate."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from itertools import permutations
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from harness_builder.calls.results import Halted
from harness_builder.calls.runner import BuildCallRunner
from harness_builder.calls.store import CallStore
from harness_builder.dedup import DedupFilter, QueueClosed, SeedQueue
from harness_builder.pipeline import Pipeline
from harness_builder.prompts import load_prompts
from harness_builder.quality import Contamination, ImageMark, References
from harness_builder.records import Draft, LogLine, RecordFile, StepLog, read_step_log
from harness_builder.steps.context import BuildContext
from harness_builder.steps.labelling import Labeller
from harness_builder.values import STEPS, Element, Question, Seed
from hypothesis import given
from hypothesis import strategies as st

from harness import HarnessError, Image, Request
from tests.training.builder_calls import Sayer, call_runner, plan
from tests.training.kinds import present

pytestmark = pytest.mark.anyio


def pipeline_of(runner: BuildCallRunner, log: StepLog, records: RecordFile) -> Pipeline:
    def nothing(_: str) -> Image:
        raise AssertionError("nothing is drawn")

    def unseen(_: str) -> ImageMark:
        raise AssertionError("nothing is drawn")

    asked = plan(accept=("safe",))
    context = BuildContext(plan=asked, prompts=load_prompts(asked), calls=runner, image=nothing)
    dedup = DedupFilter(0.8, 6, References())
    labeller = Labeller(context)
    return Pipeline(context=context, labeller=labeller, dedup=dedup, log=log, records=records, people=None, mark=unseen)


async def test_calls_under_way_are_kept_and_repeated_by_no_later_run(tmp_path: Path) -> None:
    model, asked = Sayer(json.dumps([{"question": "with no object"}])), threading.Event()
    pipelines: list[Pipeline] = []

    def seeds() -> Iterator[Seed]:
        for number in range(3):
            yield Seed(key=f"s/{number}", source="s", text=f"text {number}")
        assert asked.wait(60)
        raise HarnessError("not JSON", where="b.jsonl")

    async def until_it_is_known(_: Request) -> None:
        asked.set()
        while pipelines[-1].fault is None:
            await anyio.lowlevel.checkpoint()

    for _ in range(2):
        with StepLog(tmp_path) as log, RecordFile(tmp_path) as records:
            async with call_runner(tmp_path, model, wait=until_it_is_known) as runner:
                pipelines.append(pipeline_of(runner, log, records))
                with pytest.raises(HarnessError, match="not JSON"):
                    await pipelines[-1].run(seeds(), 8, lambda _: None)
        assert model.calls == 3
    assert [pipeline.tally.seeds for pipeline in pipelines] == [3, 3]
    assert len(read_step_log(tmp_path, "elements")) == 6
    with CallStore(tmp_path) as store:
        assert sum(each.calls for each in store.total_usage()) == 3


PERSON = Halted(end="stopped", why="person")


@contextmanager
def walking(folder: Path, runner: object) -> Generator[Pipeline]:
    with StepLog(folder) as log, RecordFile(folder) as records:
        yield pipeline_of(runner, log, records)  # type: ignore[arg-type]


def draft(key: str) -> Draft:
    return Draft(key=key, place=0, lines=[LogLine(step="elements", key=key, end="kept", made={"question": key})])


def marks(shape: int) -> tuple[ImageMark, ImageMark]:
    return ImageMark(shape=shape, tint=bytes(48)), ImageMark(shape=shape << 32, tint=bytes(48))


def question(key: str, text: str) -> Question:
    return Question(key=key, text=text, explicit=text)


def element(key: str, text: str) -> Element:
    return Element(key=key, seed="s", category="c", question=text, objects=("one", "other"))


def turned(pipeline: Pipeline, each: Draft, step: str, ended: Halted | None, of: str) -> None:
    """As a check drops one that nearly equals another."""
    assert ended is not None
    assert pipeline.dedup.find_original(each.key) == of
    each.end(step, ended)  # type: ignore[arg-type]
    pipeline.tally.count(step, ended)  # type: ignore[arg-type]


def stopped(pipeline: Pipeline, each: Draft) -> None:
    each.end("label", PERSON)
    pipeline.tally.count("label", PERSON)
    pipeline.purge.stop(each)


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_what_a_gate_of_images_dropped_is_stopped_too_and_what_was_dropped_for_its_text(
    tmp_path: Path, order: tuple[int, ...]
) -> None:
    async with call_runner(tmp_path, Sayer("")) as runner:
        with walking(tmp_path, runner) as pipeline:
            first, alike, after, other = (draft(f"s/{number}#0") for number in range(4))
            texts = (
                "put a red star on it",
                "may a blue heart lie here",
                "may a blue heart lie here!",
                "something else",
            )
            for each, text in zip((first, alike, after, other), texts, strict=True):
                ended = pipeline.dedup.check_written(question(each.key, text), element(each.key, text))
                if each is after:
                    turned(pipeline, each, "write", ended, alike.key)
            assert await pipeline.dedup.check_pair(first.key, marks(0b1111 << 7)) is None
            turned(pipeline, alike, "draw", await pipeline.dedup.check_pair(alike.key, marks(0b1111 << 7)), first.key)
            acts = (
                lambda: stopped(pipeline, first),
                lambda: pipeline.purge.note_duplicate(alike, first.key),
                lambda: pipeline.purge.note_duplicate(after, alike.key),
            )
            for number in order:
                acts[number]()
            assert [each.ended for each in (first, alike, after)] == [
                ("label", PERSON),
                ("draw", PERSON),
                ("write", PERSON),
            ]
            assert other.ended is None
            assert pipeline.dedup.near == []
            assert dict(pipeline.tally.ends) == {(step, "stopped"): 1 for step in ("label", "draw", "write")}
            assert {why for _, _, why in pipeline.tally.whys} == {"person"}
            assert not [line for each in (first, alike, after) for line in each.lines if line.made]


@pytest.mark.parametrize("through", [True, False], ids=["its seed is through", "it is not"])
async def test_what_is_stopped_later_stays_counted_in_the_steps_that_it_went_on_from(
    tmp_path: Path, through: bool
) -> None:
    async with call_runner(tmp_path, Sayer("")) as runner:
        with walking(tmp_path, runner) as pipeline:
            first, alike = draft("s/0#0"), draft("s/1#0")
            alike.end("draw", Halted(end="dropped", why="its pair of images nearly equals an earlier one's"))
            pipeline.tally.count("draw", alike.ended[1])  # type: ignore[index]
            if through:
                keep(pipeline, alike)
            pipeline.purge.note_duplicate(alike, first.key)
            stopped(pipeline, first)
            for each in (first, alike)[: 1 if through else 2]:
                keep(pipeline, each)
            assert [pipeline.tally.ends[step, "kept"] for step in STEPS[:4]] == [2, 2, 1, 1]
            assert (pipeline.tally.ends["draw", "stopped"], pipeline.tally.ends["label", "stopped"]) == (1, 1)


def keep(pipeline: Pipeline, each: Draft) -> None:
    """As at the end of its seed."""
    each.close()
    for step in each.counted:
        pipeline.tally.ends[step, "kept"] += 1


ELEMENT = Element(
    key="s/1#0", seed="s/1", category="places", question="Put a red star on a blue heart?", objects=("a", "b")
)


QUESTION = Question(key="s/1#0", text="Put the one on the other?", explicit="Put a red star on a blue heart?")


def mark(shape: int) -> ImageMark:
    return ImageMark(shape=shape, tint=bytes(48))


def dedup_filter(references: References | None = None) -> DedupFilter:
    return DedupFilter(0.8, 6, references or References())


@given(st.permutations(range(6)))
def test_all_pass_in_the_order_of_their_numbers_in_whatever_order_they_come(order: list[int]) -> None:
    passed: list[int] = []

    async def come(queue: SeedQueue, number: int) -> None:
        async with queue.turn(number):
            await anyio.lowlevel.checkpoint()
            passed.append(number)

    async def all_come() -> None:
        queue = SeedQueue()
        async with anyio.create_task_group() as group:
            for number in order:
                group.start_soon(come, queue, number)
                await anyio.lowlevel.checkpoint()

    anyio.run(all_come)
    assert passed == sorted(order)


async def test_a_seed_that_waits_in_a_queue_that_is_closed_is_woken_and_turned_away() -> None:
    queue = SeedQueue()
    turned: list[int] = []

    async def come(number: int) -> None:
        with pytest.raises(QueueClosed):
            async with queue.turn(number):
                raise AssertionError("nobody comes in")
        turned.append(number)

    async with anyio.create_task_group() as group:
        group.start_soon(come, 1)
        group.start_soon(come, 2)
        await anyio.lowlevel.checkpoint()
        queue.close()
    assert sorted(turned) == [1, 2]
    await come(0)


def test_a_question_that_nearly_equals_an_earlier_one_is_dropped_and_says_which() -> None:
    dedup = dedup_filter()
    assert dedup.check_written(QUESTION, ELEMENT) is None
    again = dedup.check_written(Question(key="s/2#0", text="x", explicit="Put a red star on  a Blue heart!"), ELEMENT)
    assert again is not None
    assert (again.end, again.why) == ("dropped", "its text nearly equals an earlier one's")
    assert again.note == "nearly equals s/1#0"
    assert [(near.key, near.of) for near in dedup.near] == [("s/2#0", "s/1#0")]


def test_a_question_that_a_test_holds_is_dropped_and_says_of_which_item() -> None:
    references = References()
    references.add("mis", "easy/7", ("Put a red star on a blue heart?",))
    dedup = dedup_filter(references)
    found = present(dedup.check_written(QUESTION, ELEMENT))
    assert (found.why, found.note) == ("its text nearly equals that of a test", "nearly equals mis/easy/7")
    assert [(each.key, each.of) for each in dedup.contaminated] == [("s/1#0", "mis/easy/7")]


def test_what_people_made_of_a_question_is_held_against_those_that_go_on_before_it() -> None:
    dedup = dedup_filter()
    assert dedup.check_written(QUESTION, ELEMENT) is None
    assert dedup.check_decided(QUESTION, ELEMENT) is None
    mended = Question(key="s/2#0", text="x", explicit="Put a red star on a blue heart!")
    found = present(dedup.check_decided(mended, ELEMENT))
    assert (found.end, found.note) == ("dropped", "nearly equals s/1#0")
    other = Question(key="s/3#0", text="x", explicit="Hide a green ring in the drawer?")
    assert dedup.check_decided(other, ELEMENT) is None


async def test_one_image_may_come_again_and_a_whole_pair_may_not() -> None:
    dedup = dedup_filter()
    assert await dedup.check_pair("s/1#0", (mark(0), mark(2**32 - 1))) is None
    assert await dedup.check_pair("s/1#1", (mark(0), mark(2**63 - 1))) is None
    again = present(await dedup.check_pair("s/2#0", (mark(1), mark(2**32 - 1))))
    assert (again.why, again.note) == ("its pair of images nearly equals an earlier one's", "nearly equals s/1#0")


async def test_a_pair_is_held_against_every_earlier_pair_and_not_only_against_those_its_images_are_most_like() -> None:
    dedup = dedup_filter()
    knife, rope, bottle = mark(0), mark(2**32 - 1), mark(2**63 - 1)
    assert await dedup.check_pair("s/1#0", (knife, rope)) is None
    assert await dedup.check_pair("s/2#0", (knife, bottle)) is None
    for key, pair in (("s/3#0", (knife, bottle)), ("s/4#0", (bottle, knife)), ("s/5#0", (mark(1), bottle))):
        again = present(await dedup.check_pair(key, pair))
        assert again.note == "nearly equals s/2#0"
    assert await dedup.check_pair("s/6#0", (knife, knife)) is None, "each image of a pair is like one of its own"


async def test_images_are_compared_while_all_else_goes_on() -> None:
    go_on = threading.Event()

    class Waiting(References):
        def find_image(self, key: str, images: Iterable[ImageMark]) -> Contamination | None:
            assert go_on.wait(20), "the loop waits as well"
            return super().find_image(key, images)

    async with anyio.create_task_group() as group:
        group.start_soon(dedup_filter(Waiting()).check_pair, "s/1#0", (mark(0), mark(2**32 - 1)))
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
        go_on.set()


async def test_an_image_of_a_test_is_turned_away_even_alone() -> None:
    references = References()
    references.add("mis", "easy/7", (), [mark(5)])
    found = present(await dedup_filter(references).check_pair("s/1#0", (mark(2**60), mark(5))))
    assert (found.why, found.note) == ("its image nearly equals that of a test", "nearly equals mis/easy/7")
