"""What a stop erases with it: whatever check dropped what nearly equals it, and whichever of the two comes first."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from itertools import permutations
from pathlib import Path

import pytest
from harness_builder.calls.results import Halted
from harness_builder.pipeline import Pipeline
from harness_builder.quality import ImageMark
from harness_builder.records import Draft, LogLine, RecordFile, StepLog
from harness_builder.values import STEPS, Element, Question

from tests.training.builder_calls import Sayer, call_runner
from tests.training.test_builder_pipeline import pipeline_of

pytestmark = pytest.mark.anyio
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
