"""What the checks for duplicates promise: each seed in its turn, and nothing twice or of a test."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import anyio
import pytest
from harness_builder.dedup import DedupFilter, QueueClosed, SeedQueue
from harness_builder.quality import Contamination, ImageMark, References
from harness_builder.values import Element, Question
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.anyio


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
    found = dedup.check_written(QUESTION, ELEMENT)
    assert found is not None
    assert (found.why, found.note) == ("its text nearly equals that of a test", "nearly equals mis/easy/7")
    assert [(each.key, each.of) for each in dedup.contaminated] == [("s/1#0", "mis/easy/7")]


def test_what_people_made_of_a_question_is_held_against_those_that_go_on_before_it() -> None:
    dedup = dedup_filter()
    assert dedup.check_written(QUESTION, ELEMENT) is None
    assert dedup.check_decided(QUESTION, ELEMENT) is None
    mended = Question(key="s/2#0", text="x", explicit="Put a red star on a blue heart!")
    found = dedup.check_decided(mended, ELEMENT)
    assert found is not None
    assert (found.end, found.note) == ("dropped", "nearly equals s/1#0")
    other = Question(key="s/3#0", text="x", explicit="Hide a green ring in the drawer?")
    assert dedup.check_decided(other, ELEMENT) is None


async def test_one_image_may_come_again_and_a_whole_pair_may_not() -> None:
    dedup = dedup_filter()
    assert await dedup.check_pair("s/1#0", (mark(0), mark(2**32 - 1))) is None
    assert await dedup.check_pair("s/1#1", (mark(0), mark(2**63 - 1))) is None
    again = await dedup.check_pair("s/2#0", (mark(1), mark(2**32 - 1)))
    assert again is not None
    assert (again.why, again.note) == ("its pair of images nearly equals an earlier one's", "nearly equals s/1#0")


async def test_a_pair_is_held_against_every_earlier_pair_and_not_only_against_those_its_images_are_most_like() -> None:
    dedup = dedup_filter()
    knife, rope, bottle = mark(0), mark(2**32 - 1), mark(2**63 - 1)
    assert await dedup.check_pair("s/1#0", (knife, rope)) is None
    assert await dedup.check_pair("s/2#0", (knife, bottle)) is None
    for key, pair in (("s/3#0", (knife, bottle)), ("s/4#0", (bottle, knife)), ("s/5#0", (mark(1), bottle))):
        again = await dedup.check_pair(key, pair)
        assert again is not None
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
    found = await dedup_filter(references).check_pair("s/1#0", (mark(2**60), mark(5)))
    assert found is not None
    assert (found.why, found.note) == ("its image nearly equals that of a test", "nearly equals mis/easy/7")
