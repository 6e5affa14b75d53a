"""The contract of rubrics that score a split at once."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import anyio

from harness.contracts import Answered, Rubric
from harness.errors import HarnessError
from harness.types import Request, Response, Sample, Unscored, Verdict

from .problems import Problems


def check_scorer(problems: Problems, rubric: Rubric, samples: Sequence[Sample], answers: Sequence[str]) -> None:
    """Score odd answers; each decision must be one, for an item that was given, once.

    A HarnessError says that it cannot be tried here (another harness is not installed), and is no problem.
    """
    rows = [
        Answered(item=f"{number}/{sample.id}", sample=sample, response=Response(text=answers[number % len(answers)]))
        for number, sample in enumerate(samples)
    ]
    with problems.at("score"), tempfile.TemporaryDirectory() as folder:
        try:
            anyio.run(_score, problems, rubric, rows, Path(folder))
        except HarnessError:
            return


async def _score(problems: Problems, rubric: Rubric, rows: Sequence[Answered], folder: Path) -> None:
    assert rubric.score is not None
    left = {row.item for row in rows}
    async for item, decision in rubric.score(rows, folder, _refuse):
        problems.require(item in left, f"decides on {item!r}, which is not there or was decided on before")
        left.discard(item)
        problems.require_type(decision, (Verdict, Unscored), "score gives a")
        if isinstance(decision, Verdict):
            known = decision.label in rubric.labels
            problems.require(known, f"gives the label {decision.label!r}, which it does not declare")


async def _refuse(_item: str, _request: Request) -> Response | Unscored:
    return Unscored(state="judge_refused", message="I would rather not say.")
