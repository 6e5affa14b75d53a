"""Runs as `.eval` files: one for each split that was asked, the same bytes for the same run.

A split that is pooled from others has no samples of its own and no log: its parts have theirs. The numbers of a log are
those of results.json.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Final
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from inspect_ai.log import (
    EvalConfig,
    EvalDataset,
    EvalLog,
    EvalMetric,
    EvalResults,
    EvalScore,
    EvalSpec,
    EvalStats,
    write_eval_log,
)
from inspect_ai.model import GenerateConfig, ModelUsage

from harness.board.results import FILE, read_results
from harness.board.rows import Measure, Row, list_sections
from harness.board.rows import read_rows as rows
from harness.keys import short
from harness.runs.stored import StoredRun, open_run
from harness.store.folder import file_name
from harness.store.run_file import Invocation
from harness.text import one_line, plain
from harness.types import Json

from .samples import SampleBuilder

_LONGEST: Final = 80  #: characters of a title in a file's name


def render_logs(folders: Sequence[Path], *, reveal: bool) -> Mapping[str, bytes]:
    """File name -> log. Raises HarnessError for a folder that is not a run's, or has no results.

    A file is named `<time>_<task>_<id>`, which inspect reads in its lists without opening the file; a copy of a run
    gets a number.
    """
    files: dict[str, bytes] = {}
    for folder in folders:
        run, whole = open_run(folder), read_results(folder / FILE)
        by_title: dict[str, list[Row]] = {}
        for section in list_sections(whole):
            by_title.setdefault(f"{section.task}:{section.split}", []).extend(rows(section))
        for title in run.splits:
            if by_title.get(title):
                log = _build_log(run, title, by_title[title], reveal=reveal)
                parts = (_find_invocation(run, title).started, file_name(title)[:_LONGEST], log.eval.task_id)
                name = "_".join(re.sub(r"[_/:+]", "-", part) for part in parts)
                names = (f"{name}-{number}.eval" if number > 1 else f"{name}.eval" for number in range(1, 10**6))
                files[next(each for each in names if each not in files)] = _write_log(log)
    return files


def _build_log(run: StoredRun, title: str, found: Sequence[Row], *, reveal: bool) -> EvalLog:
    builder = SampleBuilder(model=one_line(run.file.model.ref), by=tuple(found[0].by), reveal=reveal)
    samples = [builder.build(item) for item in run.items(title)]
    usage = sum((each.output.usage or ModelUsage() for each in samples), ModelUsage())
    when = _find_invocation(run, title)
    return EvalLog(
        status="success",
        eval=_build_spec(run, title, found[0], list(dict.fromkeys(str(each.id) for each in samples)), reveal=reveal),
        results=build_results(found),
        stats=EvalStats(started_at=when.started, completed_at=when.finished, model_usage={builder.model: usage}),
        samples=samples,
    )


def _write_log(log: EvalLog) -> bytes:
    """The archive without the time it was written at, and in the compression that every program knows."""
    out = BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.eval"
        write_eval_log(log, str(path))
        with ZipFile(path) as old, ZipFile(out, "w", ZIP_DEFLATED) as new:
            for entry in old.infolist():
                new.writestr(ZipInfo(entry.filename), old.read(entry), ZIP_DEFLATED)
    return out.getvalue()


def _find_invocation(run: StoredRun, title: str) -> Invocation:
    """The last command that asked a split."""
    asked = [each for each in run.file.history if title in each.tasks]
    if asked:
        return asked[-1]
    began = run.file.started
    return Invocation(started=began, finished=began, seconds=0, command=(), tasks=(title,), end="", reason="")


def _build_spec(run: StoredRun, title: str, row: Row, ids: list[str], *, reveal: bool) -> EvalSpec:
    """One split of a run as inspect's evaluation.

    Args:
        run: it is in.
        title: `task:split`.
        row: what results.json says of it under its primary judge.
        ids: of its samples, each once.
        reveal: whether the log holds texts of samples.
    """
    entry, file, model = run.split(title), run.file, run.file.model
    task = file.tasks[title.rpartition(":")[0]]
    sampling = {name: row.settings.get(name) for name in ("temperature", "max_tokens", "top_p", "seed")}
    return EvalSpec(
        eval_id=_make_id(run, "eval", file.started, title),
        run_id=_make_id(run, "run", file.started),
        task_id=_make_id(run, "task", title),
        created=_find_invocation(run, title).started,
        task=one_line(title),
        task_version=task.version,
        task_args=dict(task.settings),
        tags=list(_list_tags(row, reveal=reveal)),
        dataset=EvalDataset(name=one_line(title), location=task.data.source, samples=len(ids), sample_ids=[*ids]),
        model=one_line(model.ref),
        model_args=dict(model.settings),
        model_generate_config=GenerateConfig(
            **sampling,
            stop_seqs=list(row.settings.get("stop") or ()) or None,
            system_message=plain(row.system) or None,
        ),
        config=EvalConfig(limit=entry.limit, epochs=entry.epochs),
        packages={"vlm-safety-harness": str(run.folder.results.get("harness", ""))},
        metadata={
            "n": row.n,
            "n_expected": row.n_expected,
            "subset": row.subset,
            "records": row.records,
            "outcomes": dict(row.outcomes),
            "flags": dict(row.flags),
            "strategy": row.strategy,
            "resolved": [one_line(name) for name in row.resolved],
            "input_fidelity": row.fidelity,
            "identity": file.identity_digest,
            "data": {"revision": task.data.revision, "licence": task.data.licence, "content": entry.content},
        },
    )


def _make_id(run: StoredRun, *parts: str) -> str:
    """The same for the same model with the same overrides; inspect's own are as long."""
    return short([dict(run.file.identity), *parts], 22)


def _list_tags(row: Row, *, reveal: bool) -> Iterator[str]:
    yield "vlm-safety-harness"
    yield "revealed" if reveal else "redacted"
    if not row.complete:
        yield "incomplete"
    if row.subset is not None:
        yield "subset"


def build_results(rows: Iterable[Row]) -> EvalResults:
    """One score for each judge; a metric without a value is in the score's metadata, with its bounds."""
    found = list(rows)
    first = found[0]
    failed = sum(first.outcomes.get(name, 0) for name in ("error", "bad_sample"))
    scores = [_build_score(row) for row in found]
    return EvalResults(total_samples=first.records, completed_samples=first.records - failed, scores=scores)


def _build_score(row: Row) -> EvalScore:
    scored = row.verdicts.get("scored", 0)
    metrics: dict[str, EvalMetric] = {}
    without_value: dict[str, Json] = {}
    for measure in sorted(row.measures, key=lambda each: not each.main):  # inspect's lists show the first
        about = _describe_measure(measure)
        if measure.value is None:
            without_value[measure.name] = about
        else:
            metrics[measure.name] = EvalMetric(name=measure.name, value=measure.value, metadata=about)
    return EvalScore(
        name=plain(row.judge.id) or "unjudged",
        scorer=plain(row.judge.id) or "unjudged",
        scored_samples=scored,
        unscored_samples=sum(row.verdicts.values()) - scored,
        metrics=metrics,
        metadata={
            "judge": row.judge.label,
            "rubric_fidelity": row.judge.fidelity,
            "primary": row.primary,
            "coverage": row.coverage,
            "complete": row.complete,
            "flags": [caution.kind for caution in row.cautions],
            "verdicts": dict(row.verdicts),
            "labels": dict(row.labels),
            "without_value": without_value,
        },
    )


def _describe_measure(measure: Measure) -> dict[str, Json]:
    """What belongs to a value."""
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
