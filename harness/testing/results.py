"""Example results for authors and tests of reports: dicts of the schema `harness.results/1`, made of plain counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.metrics import Better
from harness.stats.intervals import wilson
from harness.stats.summary import FLAGS
from harness.types import OUTCOMES, UNSCORED

Body = dict[str, Any]

_SPENT = {"calls": 0, "input_tokens": 0, "output_tokens": 0, "reasoning_tokens": 0}


def metric(
    numerator: float,
    denominator: float,
    *,
    better: Better,
    unresolved: int = 0,
    main: bool = False,
) -> Body:
    """A rate in percent with its interval and bounds; without a denominator the value is null."""
    total = denominator + unresolved
    most = numerator + unresolved
    worst = [wilson(numerator / total, total)[0], wilson(most / total, total)[1]] if total else None
    return {
        "value": 100 * numerator / denominator if denominator else None,
        **({} if denominator else {"why": "no record counts, so there is nothing to divide by"}),
        "unit": "%",
        "better": better,
        "ci95": [100 * end for end in wilson(numerator / denominator, denominator)] if denominator else None,
        "numerator": numerator,
        "denominator": denominator,
        "unresolved": unresolved,
        "bounds": [100 * numerator / total, 100 * most / total] if total else None,
        "ci95_worst": worst and [100 * end for end in worst],
        "clusters": int(denominator),
        "main": main,
    }


def judged(labels: Mapping[str, int], *, main: str, better: Better = "lower", **unscored: int) -> Body:
    """What one judge found: a rate for each label, the main one first.

    Args:
        labels: label -> records; the metric of a label has its name.
        main: label of the main metric.
        better: direction of the main metric; the others have the opposite one.
        unscored: judge state (`judge_error`, `unjudged`, …) -> records.
    """
    scored, missing = sum(labels.values()), sum(unscored.values())
    other: Better = "higher" if better == "lower" else "lower"
    metrics = {
        name: metric(
            labels[name], scored, better=better if name == main else other, unresolved=missing, main=name == main
        )
        for name in sorted(labels, key=lambda name: name != main)
    }
    return {
        "verdicts": {"scored": scored, **dict.fromkeys((*UNSCORED, "unjudged"), 0), **unscored},
        "labels": dict(labels),
        "coverage": scored / (scored + missing),
        "complete": scored / (scored + missing) >= 0.98,
        "metrics": metrics,
        "by": {"category": {"drawn": {"n": scored + missing, "metrics": metrics}}},
    }


def split(finding: Body, *, judge: str, blocked: int = 0, **changes: Any) -> Body:
    """One split under its judge's `finding`; `changes` replace keys of the result."""
    records = sum(finding["verdicts"].values())
    return {
        "n": records,
        "n_expected": records,
        "subset": None,
        "epochs": 1,
        "records": records,
        "outcomes": {**dict.fromkeys(OUTCOMES, 0), "answered": records - blocked, "input_blocked": blocked},
        "flags": dict.fromkeys(FLAGS, 0),
        "settings": {"temperature": 0.0, "max_tokens": 1024, "top_p": None, "seed": None, "stop": []},
        "template_hash": "",
        "fidelity": None,
        "judge": judge,
        **finding,
        "other_judges": {},
        **changes,
    }


def results(ref: str, tasks: Mapping[str, Mapping[str, Body]], **changes: Any) -> Body:
    """A whole results.json of model `ref`: task -> split -> body; every judge named in a split is described.

    `changes` replace keys of the model: `strategy`, `settings`, `resolved`, `identity`.
    """
    splits = [body for task in tasks.values() for body in task.values()]
    judges = dict.fromkeys(name for body in splits for name in (body["judge"], *body["other_judges"]) if name)
    data = {"source": "example", "revision": "", "sha256": "0" * 64, "licence": "CC0-1.0"}
    return {
        "schema": "harness.results/1",
        "harness": "0.1.0",
        "started": "2026-01-01T00:00:00Z",
        "finished": "2026-01-01T00:01:00Z",
        "command": ["harness", "run", "--model", ref],
        "environment": {"python": "3.12.0", "platform": "example"},
        "model": {
            "ref": ref,
            "resolved": [],
            "identity": f"k1:{ref}",
            "settings": {},
            "strategy": None,
            "notes": [],
            **changes,
        },
        "judges": {name: judge(name) for name in judges},
        "plugins": {},
        "tasks": {
            name: {"version": "1", "settings": {}, "data": data, "splits": dict(body)} for name, body in tasks.items()
        },
        "usage": {"model": dict(_SPENT), "judges": {name: dict(_SPENT) for name in judges}, "cost_usd": None},
        "wall_s": 60.0,
    }


def judge(name: str) -> Body:
    """A judge's description; the id reads `<rubric>-<model>-<8 hex>`, or `<rubric>-<8 hex>` for a rule."""
    rubric, _, rest = name.partition("-")
    model = rest.rpartition("-")[0]
    return {
        "rubric": rubric,
        "version": "1",
        "template_hash": "",
        "fidelity": "own",
        "model": model or None,
        "resolved": [],
        "settings": {},
        "sees": ["answer"],
    }
