"""What stands once in a log: who was asked, how, and what came of it. Numbers are those of results.json."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from inspect_ai.log import EvalConfig, EvalDataset, EvalMetric, EvalResults, EvalScore, EvalSpec, EvalStats
from inspect_ai.model import GenerateConfig, ModelUsage

from harness.board.values import Measure, Row
from harness.keys import short
from harness.runs.items import Items
from harness.store.run_file import Invocation
from harness.terminal import one_line, plain
from harness.types import Json


def spec(run: Items, title: str, row: Row, ids: Sequence[str], *, reveal: bool) -> EvalSpec:
    """One split of a run as inspect's evaluation.

    Args:
        run: it is in.
        title: `task:split`.
        row: what results.json says of it under its primary judge.
        ids: of its samples, each once.
        reveal: whether the log holds texts of samples.
    """
    entry = run.entries[title]
    task = run.file.tasks[title.rpartition(":")[0]]
    model = run.file.model
    return EvalSpec(
        eval_id=_id(run, "eval", run.file.started, title),
        run_id=_id(run, "run", run.file.started),
        task_id=_id(run, "task", title),
        created=times(run, title).started,
        task=one_line(title),
        task_version=task.version,
        task_args=dict(task.settings),
        tags=list(_tags(row, reveal=reveal)),
        dataset=EvalDataset(name=one_line(title), location=task.data.source, samples=len(ids), sample_ids=list(ids)),
        model=one_line(model.ref),
        model_args=dict(model.settings),
        model_generate_config=_sampling(row.settings, row.system),
        config=EvalConfig(limit=entry.limit, epochs=entry.epochs),
        packages={"vlm-safety-harness": str(run.folder.results.get("harness", ""))},
        metadata=_about(run, title, row),
    )


def results(rows: Iterable[Row]) -> EvalResults:
    """One score for each judge; a metric without a value is among the score's metadata, with its bounds."""
    found = list(rows)
    first = found[0]
    failed = sum(first.outcomes.get(name, 0) for name in ("error", "bad_sample"))
    return EvalResults(
        total_samples=first.records,
        completed_samples=first.records - failed,
        scores=[_score(row) for row in found],
    )


def stats(run: Items, title: str, usage: ModelUsage) -> EvalStats:
    """When it ran and what the evaluated model took."""
    when = times(run, title)
    return EvalStats(
        started_at=when.started, completed_at=when.finished, model_usage={one_line(run.file.model.ref): usage}
    )


def times(run: Items, title: str) -> Invocation:
    """The last command that asked a split."""
    asked = [each for each in run.file.history if title in each.tasks]
    if asked:
        return asked[-1]
    began = run.file.started
    return Invocation(started=began, finished=began, seconds=0, command=(), tasks=(title,), end="", reason="")


def _id(run: Items, *parts: str) -> str:
    """The same for the same model with the same overrides; inspect's own are as long."""
    return short([dict(run.file.identity), *parts], 22)


def _tags(row: Row, *, reveal: bool) -> Iterable[str]:
    yield "vlm-safety-harness"
    yield "revealed" if reveal else "redacted"
    yield from ("incomplete",) if not row.complete else ()
    yield from ("subset",) if row.subset is not None else ()


def _sampling(settings: Mapping[str, Json], system: str) -> GenerateConfig:
    known = {name: settings.get(name) for name in ("temperature", "max_tokens", "top_p", "seed")}
    return GenerateConfig(
        **known, stop_seqs=list(settings.get("stop") or ()) or None, system_message=plain(system) or None
    )


def _about(run: Items, title: str, row: Row) -> dict[str, Json]:
    task = run.file.tasks[title.rpartition(":")[0]]
    return {
        "n": row.n,
        "n_expected": row.n_expected,
        "subset": row.subset,
        "records": row.records,
        "outcomes": dict(row.outcomes),
        "flags": dict(row.flags),
        "strategy": row.strategy,
        "resolved": [one_line(name) for name in row.resolved],
        "input_fidelity": row.fidelity,
        "identity": run.file.identity_digest,
        "data": {"revision": task.data.revision, "licence": task.data.licence, "content": run.entries[title].content},
    }


def _score(row: Row) -> EvalScore:
    scored = row.verdicts.get("scored", 0)
    measures = sorted(row.measures, key=lambda each: not each.main)  # inspect's lists show the first
    return EvalScore(
        name=plain(row.judge.id) or "unjudged",
        scorer=plain(row.judge.id) or "unjudged",
        scored_samples=scored,
        unscored_samples=sum(row.verdicts.values()) - scored,
        metrics={each.name: _metric(each, each.value) for each in measures if each.value is not None},
        metadata={
            "judge": row.judge.label,
            "rubric_fidelity": row.judge.fidelity,
            "primary": row.primary,
            "coverage": row.coverage,
            "complete": row.complete,
            "flags": [caution.kind for caution in row.cautions],
            "verdicts": dict(row.verdicts),
            "labels": dict(row.labels),
            "without_value": {each.name: _divided(each) for each in measures if each.value is None},
        },
    )


def _metric(measure: Measure, value: float) -> EvalMetric:
    return EvalMetric(name=measure.name, value=value, metadata=_divided(measure))


def _divided(measure: Measure) -> dict[str, Json]:
    """What stands beside a value."""
    return {
        "unit": measure.unit,
        "better": measure.better,
        "main": measure.main,
        "ci95": list(measure.ci95),
        "ci95_worst": list(measure.ci95_worst),
        "bounds": list(measure.bounds),
        "numerator": measure.numerator,
        "denominator": measure.denominator,
        "unresolved": measure.unresolved,
        **({"strata": dict(measure.strata)} if measure.strata else {}),
    }
