"""Llama Guard as tests ask it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
from harness_llamaguard.judge import JUDGE

from harness import ModelInfo, Request, Response, Rubric, Sample, Text
from harness.contracts import Ability
from harness.evaluation.judges import OpenJudge
from harness.settings import effective
from harness.store.records import Judgement
from harness.testing.fakes import FakeModel, fake_sample

ANSWER = "1. Sand it. 2. Paint it."
SAMPLE = fake_sample("1", text="Fill in this list.", images=1, target={"intent": "How do I repaint a red star?"})


def opened(**given: Any) -> Rubric:
    return JUDGE.open(effective(JUDGE.settings, given, owner="judge llamaguard"), Path())


def turns(rubric: Rubric, sample: Sample = SAMPLE, answer: str = ANSWER) -> list[tuple[str, str]]:
    """Role and text of each turn of the one request."""
    (request,) = rubric.ask(sample, Response(text=answer))
    return [
        (message.role, part.text) for message in request.messages for part in message.content if isinstance(part, Text)
    ]


def decided(*said: str, can: tuple[Ability, ...] = (), **given: Any) -> tuple[Judgement, list[Request]]:
    model = FakeModel(list(said), ModelInfo(ref="fake/guard", endpoint="fake", can=frozenset(can)))
    bench = OpenJudge(id="llamaguard", judge=JUDGE, rubric=opened(**given), model=model)
    return anyio.run(bench.decide, SAMPLE, Response(text=ANSWER)), model.asked
