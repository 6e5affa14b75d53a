"""A source that turns out to be broken while calls are under way ends the build once they have come home."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from harness_builder.calls.runner import BuildCallRunner
from harness_builder.calls.store import CallStore
from harness_builder.dedup import DedupFilter
from harness_builder.pipeline import Pipeline
from harness_builder.prompts.templates import load_prompts
from harness_builder.quality import ImageMark, References
from harness_builder.records import RecordFile, StepLog, read_step_log
from harness_builder.steps.context import BuildContext
from harness_builder.steps.labelling import Labeller
from harness_builder.values import Seed

from harness import HarnessError, Image, Request
from tests.training.builder_calls import Sayer, call_runner, plan

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
