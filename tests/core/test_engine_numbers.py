"""Numbers that JSON cannot hold, in a whole run: no line has one, and none ends the run."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness import plugins
from harness.evaluation.options import Options
from harness.models import ModelSpec
from harness.runs.run import run_async
from harness.store.records import LOWEST
from harness.testing.fakes import fake_judge, fake_task, host_of
from harness.types import Failure, Response, Sample, Usage
from tests.core.carried import Server, go, numbered, split


def test_numbers_that_are_none_end_no_run_and_every_line_is_json(tmp_path: Path) -> None:
    nan: Any = float("nan")
    said: dict[str, Any] = {
        "question 0": Response(text="no", usage=Usage(input_tokens=nan), seconds=nan),
        "question 1": Response(text="no", choices={"A": nan}),
        "question 2": Failure(outcome="input_blocked", reason="f", usage=Usage(output_tokens=nan)),
    }
    run = go(Server(lambda text: said.get(text, "no")), tmp_path)
    assert split(run)["outcomes"] == split(run)["outcomes"] | {"answered": 8, "error": 1, "input_blocked": 1}
    for name in ("responses.jsonl", "asked.jsonl"):
        for line in (tmp_path / "fake" / name).read_text().splitlines():
            json.loads(line, parse_constant=pytest.fail)


def test_a_choice_that_is_ruled_out_is_judged_alike_when_it_is_new_and_when_it_is_read_back(tmp_path: Path) -> None:
    seen: list[float] = []

    def noting(_: Sample, response: Response) -> str:
        seen.append(response.choices["B"])
        return "safe"

    server = Server(lambda _: Response(text="A", choices={"A": 0.0, "B": float("-inf")}))
    options = Options(model=ModelSpec(ref="seen/x"), tasks=("fake",), output=tmp_path, probe=False)
    with plugins.use(host_of(server.provider, fake_task(numbered(1)), fake_judge(noting))):
        for _ in range(2):
            anyio.run(partial(run_async, options))
            next((tmp_path / "fake").glob("verdicts-*")).unlink()
    assert len(server.asked) == 1
    assert seen == [LOWEST, LOWEST]
