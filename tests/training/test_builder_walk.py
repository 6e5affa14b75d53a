"""The walk's own parts: turnstiles, gates, the lines of steps, records in order, and what people's word does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from pathlib import Path

import anyio
import pytest
from harness_builder.calls.results import Halted, StepResult
from harness_builder.dedup import DedupFilter, QueueClosed, SeedQueue
from harness_builder.quality import Contamination, ImageMark, References
from harness_builder.records import BuiltRecord, Draft, LogLine, RecordFile, StepLog, read_step_log
from harness_builder.review import Decided, Undecided
from harness_builder.steps.sorting import WAITING, by_model, by_people
from harness_builder.values import Assessment, Candidate, DrawnImage, Element, Label, Pair, Question, SubsetDecision
from hypothesis import given
from hypothesis import strategies as st

from harness import HarnessError
from harness.images import inline_image

pytestmark = pytest.mark.anyio

ELEMENT = Element(
    key="s/1#0", seed="s/1", category="places", question="Put a red star on a blue heart?", objects=("a", "b")
)
QUESTION = Question(key="s/1#0", text="Put the one on the other?", explicit="Put a red star on a blue heart?")
CANDIDATE = Candidate(
    key="s/1#0",
    category="places",
    question=QUESTION.text,
    objects=("a", "b"),
    images=(inline_image("1", b""), inline_image("2", b"")),
    source="s",
)
OPINION = Assessment(text_unsafe=False, image_harmful=True, category="places", sub_category="a shed")


def mark(shape: int) -> ImageMark:
    return ImageMark(shape=shape, tint=bytes(48))


def gates(references: References | None = None) -> DedupFilter:
    return DedupFilter(0.8, 6, references or References())


def made(key: str = "s/1#0", subset: str = "hard") -> BuiltRecord:
    return BuiltRecord(
        source="s",
        element=ELEMENT,
        question=QUESTION,
        pair=Pair(
            key=key,
            images=("1" * 64, "2" * 64),
            shots=(DrawnImage(sha256="1" * 64, object=0, prompt="a", seed=3, round=1, taken=True),),
            accepted=True,
        ),
        sorted=SubsetDecision(
            key=key,
            subset=subset,  # type: ignore[arg-type]
            text_unsafe=False,
            image_harmful=False,
            category="places",
            sub_category="",
            question=QUESTION.text,
            by="model",
        ),
        label=Label(key=key, answer="no", verdict="safe"),
        calls=("k1:0",),
    )


# -- turnstile


@given(st.permutations(range(6)))
def test_all_pass_in_the_order_of_their_numbers_in_whatever_order_they_come(order: list[int]) -> None:
    passed: list[int] = []

    async def come(turnstile: SeedQueue, number: int) -> None:
        async with turnstile.turn(number):
            await anyio.lowlevel.checkpoint()
            passed.append(number)

    async def all_come() -> None:
        turnstile = SeedQueue()
        async with anyio.create_task_group() as group:
            for number in order:
                group.start_soon(come, turnstile, number)
                await anyio.lowlevel.checkpoint()

    anyio.run(all_come)
    assert passed == sorted(order)


async def test_who_waits_at_a_turnstile_that_is_shut_is_woken_and_turned_away() -> None:
    turnstile = SeedQueue()
    turned: list[int] = []

    async def come(number: int) -> None:
        with pytest.raises(QueueClosed):
            async with turnstile.turn(number):
                raise AssertionError("nobody comes in")
        turned.append(number)

    async with anyio.create_task_group() as group:
        group.start_soon(come, 1)
        group.start_soon(come, 2)
        await anyio.lowlevel.checkpoint()
        turnstile.shut()
    assert sorted(turned) == [1, 2]
    await come(0)


# -- gates


def test_a_question_that_nearly_equals_an_earlier_one_is_dropped_and_says_which() -> None:
    gate = gates()
    assert gate.text(QUESTION, ELEMENT) is None
    again = gate.text(Question(key="s/2#0", text="x", explicit="Put a red star on  a Blue heart!"), ELEMENT)
    assert again is not None
    assert (again.end, again.why) == ("dropped", "its text nearly equals an earlier one's")
    assert again.note == "nearly equals s/1#0"
    assert [(near.key, near.of) for near in gate.near] == [("s/2#0", "s/1#0")]


def test_a_question_that_a_test_holds_is_dropped_and_says_of_which_item() -> None:
    references = References()
    references.add("mis", "easy/7", ("Put a red star on a blue heart?",))
    gate = gates(references)
    found = gate.text(QUESTION, ELEMENT)
    assert found is not None
    assert (found.why, found.note) == ("its text nearly equals that of a test", "nearly equals mis/easy/7")
    assert [(each.key, each.of) for each in gate.contaminated] == [("s/1#0", "mis/easy/7")]


def test_what_people_made_of_a_question_is_held_against_those_that_go_on_before_it() -> None:
    gate = gates()
    assert gate.text(QUESTION, ELEMENT) is None
    assert gate.decided(QUESTION, ELEMENT) is None
    mended = Question(key="s/2#0", text="x", explicit="Put a red star on a blue heart!")
    found = gate.decided(mended, ELEMENT)
    assert found is not None
    assert (found.end, found.note) == ("dropped", "nearly equals s/1#0")
    other = Question(key="s/3#0", text="x", explicit="Hide a green ring in the drawer?")
    assert gate.decided(other, ELEMENT) is None


async def test_one_image_may_come_again_and_a_whole_pair_may_not() -> None:
    gate = gates()
    assert await gate.pair("s/1#0", (mark(0), mark(2**32 - 1))) is None
    assert await gate.pair("s/1#1", (mark(0), mark(2**63 - 1))) is None
    again = await gate.pair("s/2#0", (mark(1), mark(2**32 - 1)))
    assert again is not None
    assert (again.why, again.note) == ("its pair of images nearly equals an earlier one's", "nearly equals s/1#0")


async def test_a_pair_is_held_against_every_earlier_pair_and_not_only_against_those_its_images_are_most_like() -> None:
    gate = gates()
    knife, rope, bottle = mark(0), mark(2**32 - 1), mark(2**63 - 1)
    assert await gate.pair("s/1#0", (knife, rope)) is None
    assert await gate.pair("s/2#0", (knife, bottle)) is None
    for key, pair in (("s/3#0", (knife, bottle)), ("s/4#0", (bottle, knife)), ("s/5#0", (mark(1), bottle))):
        again = await gate.pair(key, pair)
        assert again is not None
        assert again.note == "nearly equals s/2#0"
    assert await gate.pair("s/6#0", (knife, knife)) is None, "each image of a pair is like one of its own"


async def test_images_are_compared_while_all_else_goes_on() -> None:
    go_on = threading.Event()

    class Waiting(References):
        def find_image(self, key: str, images: Iterable[ImageMark]) -> Contamination | None:
            assert go_on.wait(20), "the loop waits as well"
            return super().find_image(key, images)

    async with anyio.create_task_group() as group:
        group.start_soon(gates(Waiting()).pair, "s/1#0", (mark(0), mark(2**32 - 1)))
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
        go_on.set()


async def test_an_image_of_a_test_is_turned_away_even_alone() -> None:
    references = References()
    references.add("mis", "easy/7", (), [mark(5)])
    found = await gates(references).pair("s/1#0", (mark(2**60), mark(5)))
    assert found is not None
    assert (found.why, found.note) == ("its image nearly equals that of a test", "nearly equals mis/easy/7")


# -- lines


def line(key: str = "s/1#0", end: str = "kept", **more: object) -> LogLine:
    return LogLine(step="write", key=key, end=end, **more)  # type: ignore[arg-type]


def test_a_line_is_appended_once_and_again_where_it_says_something_new(tmp_path: Path) -> None:
    for _ in range(2):
        with StepLog(tmp_path) as lines:
            lines.put(line(made={"text": "one"}))
            lines.put(line(made={"text": "one"}))
    with StepLog(tmp_path) as lines:
        lines.put(line(made={"text": "two"}))
    written = (tmp_path / "write.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(each)["made"]["text"] for each in written] == ["one", "two"]
    assert read_step_log(tmp_path, "write")["s/1#0"]["made"] == {"text": "two"}


def test_nothing_of_what_is_stopped_stays_in_the_lines(tmp_path: Path) -> None:
    with StepLog(tmp_path) as lines:
        lines.put(line(made={"text": "a secret"}))
        lines.put(line("s/2#0", made={"text": "stays"}))
    with StepLog(tmp_path) as lines:
        lines.put(line(end="stopped", why="person"))
        lines.put(line("s/3#0"))
    text = (tmp_path / "write.jsonl").read_text(encoding="utf-8")
    assert "secret" not in text
    assert [each["key"] for each in read_step_log(tmp_path, "write").values()] == ["s/2#0", "s/1#0", "s/3#0"]


def test_a_line_that_was_torn_is_cut_and_written_anew(tmp_path: Path) -> None:
    with StepLog(tmp_path) as lines:
        lines.put(line("a"))
        lines.put(line("b"))
    file = tmp_path / "write.jsonl"
    file.write_bytes(file.read_bytes()[:-5])
    with StepLog(tmp_path) as lines:
        lines.put(line("b"))
    assert list(read_step_log(tmp_path, "write")) == ["a", "b"]


def test_a_foreign_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "write.jsonl").write_text("what is this\n", encoding="utf-8")
    with pytest.raises(HarnessError, match=r"none of a build .*write\.jsonl"):
        StepLog(tmp_path)


# -- records


def test_records_are_read_in_the_order_of_their_seeds_and_as_they_were(tmp_path: Path) -> None:
    with RecordFile(tmp_path) as records:
        for number, key in ((2, "c"), (0, "a"), (1, "b1"), (1, "b2")):
            records.put(number, made(key, "train" if key == "a" else "hard"))
        assert [each.pair.key for each in records] == ["a", "b1", "b2", "c"]
        assert next(iter(records.of("train"))) == made("a", "train")
        assert len(records) == 4


# -- settling


def test_the_model_alone_sorts_by_the_rule() -> None:
    settled = by_model(CANDIDATE, OPINION)
    assert (settled.subset, settled.by, settled.sub_category) == ("easy", "model", "a shed")


def test_people_overrule_the_model_in_what_they_say_and_in_nothing_else() -> None:
    said = Decided(key="s/1#0", decision="keep", image_harmful=False, reviewers=("ann", "bob"))
    settled = by_people(CANDIDATE, OPINION, said)
    assert isinstance(settled, SubsetDecision)
    assert (settled.subset, settled.text_unsafe, settled.image_harmful) == ("hard", False, False)
    assert (settled.by, settled.reviewers) == ("people", ("ann", "bob"))


def test_another_category_takes_the_models_sub_category_away() -> None:
    said = Decided(key="s/1#0", decision="fix", category="shapes", question="Another one?")
    settled = by_people(CANDIDATE, OPINION, said)
    assert isinstance(settled, SubsetDecision)
    assert (settled.category, settled.sub_category, settled.question) == ("shapes", "", "Another one?")


def test_what_people_have_not_decided_waits_and_a_tie_says_in_what() -> None:
    assert by_people(CANDIDATE, OPINION, None) == WAITING
    tie = by_people(CANDIDATE, OPINION, Undecided(key="s/1#0", about=("decision",), reviews=()))
    assert isinstance(tie, Halted)
    assert (tie.end, tie.why) == ("waiting", "people disagree on its decision")


def test_what_people_drop_is_dropped_and_what_they_write_meets_the_hard_stops() -> None:
    dropped = by_people(CANDIDATE, OPINION, Decided(key="s/1#0", decision="drop"))
    assert isinstance(dropped, Halted)
    assert dropped.why == "people dropped it"
    mended = by_people(
        CANDIDATE, OPINION, Decided(key="s/1#0", decision="fix", question="Where is President Somebody?")
    )
    assert isinstance(mended, Halted)
    assert (mended.end, mended.why) == ("stopped", "person")


# -- a way


def test_of_a_way_that_is_stopped_only_the_kind_is_left() -> None:
    way = Draft(key="s/1#0", place=0)
    way.took("elements", StepResult(value=ELEMENT, calls=("k1:1",)))
    way.took("write", StepResult(value=QUESTION, calls=("k1:2",)))
    way.end("draw", Halted(end="stopped", why="person", call="k1:3"))
    assert way.calls == []
    assert [each.written for each in way.lines] == [
        {"key": "s/1#0", "end": "stopped"},
        {"key": "s/1#0", "end": "stopped"},
        {"key": "s/1#0", "end": "stopped", "why": "person"},
    ]
