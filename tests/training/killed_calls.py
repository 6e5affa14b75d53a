"""Calls of a build in a process of their own, for a test that kills it: `python -m … DIR CHAT IMAGES NUMBER`."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
from harness_builder.calls.results import Halted
from harness_builder.calls.runner import open_call_runner
from harness_builder.calls.store import CallStore
from harness_builder.plan import ModelChoice

from tests.training.builder_calls import drawing, plan, question


async def main(folder: Path, chat: str, images: str, number: int) -> None:
    model, painter = (
        ModelChoice(ref="openai/test", settings={"base_url": url, "api_key_env": "BUILDER_KEY"})
        for url in (chat, images)
    )
    of = plan({"writer": model, "viewer": model}, painter=painter, rubric="mis")
    with CallStore(folder) as store:
        async with open_call_runner(of, store, tell=print) as runner:
            for each in range(number):
                told = await runner.ask(question(f"question {each}", owner=f"seeds/{each}"))
                painted = await runner.paint("draw", f"seeds/{each}", drawing(f"drawing {each}"))
                assert not isinstance(told, Halted), told
                assert not isinstance(painted, Halted), painted
                print(f"finished {each}", flush=True)


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
