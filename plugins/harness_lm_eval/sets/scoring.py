"""The rubric `lm-eval`: their filters and their `process_results` for each answered document."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from harness import Answered, Ask, HarnessError, Judge, Response, Rubric, Settings, Unscored, Verdict

from .loading import Loaded, Untyped, load, module

LABELS: Final = ("right", "wrong", "partial")
Decided = AsyncIterator[tuple[str, Verdict | Unscored]]


async def _score(rows: Sequence[Answered], root: Path) -> Decided:
    import anyio.to_thread

    of: dict[str, list[Answered]] = {}
    for row in rows:
        of.setdefault(row.sample.split, []).append(row)
    for split, answered in of.items():
        for item, decision in await anyio.to_thread.run_sync(_scored, root, split, answered):
            yield item, decision


def _scored(root: Path, split: str, rows: Sequence[Answered]) -> list[tuple[str, Verdict | Unscored]]:
    """A decision for each row. Blocking."""
    found = load(root, split)
    docs: Any = found.task.eval_docs
    asked = {row.item: _instances(found, row, docs[int(row.sample.id)]) for row in rows}
    found.task._instances = [each for instances in asked.values() for each in instances]  # noqa: SLF001 - as they do
    found.task.apply_filters()
    return [(row.item, _decision(found, docs[int(row.sample.id)], asked[row.item])) for row in rows]


def _instances(found: Loaded, row: Answered, doc: Untyped) -> list[Untyped]:
    """Theirs, answered: one text cut at the first stop, or a probability for each choice."""
    made = module("api.instance").Instance
    more = {"doc": doc, "metadata": (found.name, int(row.sample.id), 1)}
    if not found.chooses:
        said = _cut(row.response, found.task.config.generation_kwargs or {})
        return [made(request_type="generate_until", arguments=("", {}), idx=0, resps=[said], **more)]
    return [
        made(
            request_type="loglikelihood", arguments=("", choice), idx=at, resps=[(_weight(row, choice), False)], **more
        )
        for at, choice in enumerate(row.sample.request.choices)
    ]


def _weight(row: Answered, choice: str) -> float:
    if choice not in row.response.choices:
        raise HarnessError(f"the model gave no probability of the choice {choice!r}")
    return row.response.choices[choice]


def _cut(response: Response, sampling: Mapping[str, Any]) -> str:
    """The text before the first of their stops, which are not sent."""
    until: Any = sampling.get("until") or []
    stops: list[str] = [until] if isinstance(until, str) else list(until)
    text = response.text
    for stop in filter(None, stops):
        text = text.partition(stop)[0]
    return text


def _decision(found: Loaded, doc: Untyped, instances: Sequence[Untyped]) -> Verdict | Unscored:
    """Their number for each metric as an axis; the first one is the label."""
    axes: dict[str, float] = {}
    try:
        for each in dict.fromkeys(name for _, name, _ in found.metrics.values()):
            scores = found.task.process_results(doc, [instance.filtered_resps[each] for instance in instances])
            axes |= {ours: float(scores[theirs]) for ours, (theirs, own, _) in found.metrics.items() if own == each}
    except Exception as error:  # noqa: BLE001 - their code raises what it likes
        return Unscored(state="judge_error", message=f"{type(error).__name__}: {error}")
    if odd := [name for name, value in axes.items() if not 0 <= value <= 1 or math.isnan(value)]:
        return Unscored(state="judge_error", message=f"{odd[0]} is {axes[odd[0]]}, which is no share of 1")
    first, (_, _, better) = next(iter(found.metrics.items()))
    score = axes[first] if better == "higher" else 1 - axes[first]
    return Verdict(label={1.0: "right", 0.0: "wrong"}.get(score, "partial"), axes=axes)


def _package() -> str:
    """Its version, which can change a score; empty where it is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"lm-eval {version('lm-eval')}"
    except PackageNotFoundError:
        return ""


def _open(_: Settings, root: Path) -> Rubric:
    def score(rows: Sequence[Answered], _folder: Path, _ask: Ask) -> Decided:
        return _score(rows, root)

    return Rubric(identity={"package": _package()}, labels=LABELS, score=score, fidelity="upstream")


JUDGE: Final = Judge(
    name="lm-eval",
    version="1",
    description="a rule: lm-eval's own filters and scoring of each document",
    open=_open,
)
