"""The rubric `lm-eval`: applies lm-eval's filters and `process_results` to each answered document."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from harness import Answered, Ask, HarnessError, Judge, Rubric, Settings, Unscored, Verdict
from harness.extras import Untyped

from .loader import LABELS, MEANINGS, PAPER, LoadedTask, import_lm_eval, load_task

Decided = AsyncIterator[tuple[str, Verdict | Unscored]]


class Unknown:
    """Whether a choice is the model's greedy answer: unknown, so its use raises."""

    def __bool__(self) -> bool:
        raise TypeError("whether a choice is the model's greedy answer is not known here")

    def __int__(self) -> int:
        return int(bool(self))


def _score_split(root: Path, split: str, rows: Sequence[Answered]) -> list[tuple[str, Verdict | Unscored]]:
    """A decision for each row. Blocking."""
    found = load_task(root, split)
    docs: Any = found.task.eval_docs
    asked = {row.item: _build_instances(found, row, docs[int(row.sample.id)]) for row in rows}
    found.task._instances = [each for instances in asked.values() for each in instances]  # noqa: SLF001 - as they do
    found.task.apply_filters()
    return [(row.item, _decide(found, docs[int(row.sample.id)], asked[row.item])) for row in rows]


def _build_instances(found: LoadedTask, row: Answered, doc: Untyped) -> list[Untyped]:
    """lm-eval's instances with answers: one text, or a probability per choice."""
    made = import_lm_eval("api.instance").Instance
    more = {"doc": doc, "metadata": (found.name, int(row.sample.id), 1)}
    if not found.chooses:
        # cut at the first of lm-eval's stops, which are not sent
        sampling: dict[str, Any] = found.task.config.generation_kwargs or {}
        until: Any = sampling.get("until") or []
        stops: list[str] = [until] if isinstance(until, str) else list(until)
        said = row.response.text
        for stop in filter(None, stops):
            said = said.partition(stop)[0]
        return [made(request_type="generate_until", arguments=("", {}), idx=0, resps=[said], **more)]
    greedy = Unknown() if found.own_scoring else False  # their usual scoring reads it for `exact_match` alone
    if missing := [choice for choice in row.sample.request.choices if choice not in row.response.choices]:
        raise HarnessError(
            f"the model gave no probability of the choice {missing[0]!r}",
            remedy="use a model that gives log-probabilities",
        )
    weights = [(row.response.choices[choice], greedy) for choice in row.sample.request.choices]
    return [
        made(request_type="loglikelihood", arguments=("", choice), idx=at, resps=[weights[at]], **more)
        for at, choice in enumerate(row.sample.request.choices)
    ]


def _decide(found: LoadedTask, doc: Untyped, instances: Sequence[Untyped]) -> Verdict | Unscored:
    """lm-eval's number for each metric as an axis, left out if it does not count; the first metric gives the label."""
    axes: dict[str, float] = {}
    try:
        for each in dict.fromkeys(metric.filter for metric in found.metrics.values()):
            scores = found.task.process_results(doc, [instance.filtered_resps[each] for instance in instances])
            own = {ours: metric for ours, metric in found.metrics.items() if metric.filter == each}
            numbers = {ours: float(scores[metric.name]) for ours, metric in own.items()}
            axes |= {ours: value for ours, value in numbers.items() if not (own[ours].gaps and math.isnan(value))}
    except Exception as error:  # noqa: BLE001 - lm-eval's code may raise anything
        return Unscored(state="judge_error", message=f"{type(error).__name__}: {error}")
    if odd := [name for name, value in axes.items() if not 0 <= value <= 1]:
        return Unscored(state="judge_error", message=f"{odd[0]} is {axes[odd[0]]}, not between 0 and 1")
    first, metric = next(iter(found.metrics.items()))
    if first not in axes:
        return Verdict(label="uncounted", axes=axes)
    label = {metric.worst: "wrong", 1 - metric.worst: "right"}.get(axes[first], "partial")
    return Verdict(label=label, axes=axes)


def _open(_: Settings, root: Path) -> Rubric:
    try:
        package = f"lm-eval {version('lm-eval')}"  # its version can change a score
    except PackageNotFoundError:
        package = ""

    async def score(rows: Sequence[Answered], _folder: Path, _ask: Ask) -> Decided:
        import anyio.to_thread

        of: dict[str, list[Answered]] = {}
        for row in rows:
            of.setdefault(row.sample.split, []).append(row)
        for split, answered in of.items():
            for item, decision in await anyio.to_thread.run_sync(_score_split, root, split, answered):
                yield item, decision

    return Rubric(identity={"package": package}, labels=LABELS, score=score, fidelity="upstream", meanings=MEANINGS)


JUDGE: Final = Judge(
    name="lm-eval",
    version="2",
    description="a rule: lm-eval's own filters and scoring of each document",
    open=_open,
    paper=PAPER,
)
