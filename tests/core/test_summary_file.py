"""The whole results.json, validated against the published schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from harness.metrics import Metric
from harness.stats.summary import TaskSummary, UsageSum, build_results, usage_json
from harness.types import Usage
from tests.core.summed import SPLITS, TWINS, all_ran, ran, row, rows, split, task

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "results.schema.json").read_text(encoding="utf-8"))


def whole(**tasks: Mapping[str, Any]) -> dict[str, Any]:
    spend = UsageSum()
    spend.add(Usage(input_tokens=10, output_tokens=5))
    spend.add(Usage(input_tokens=1, reasoning_tokens=2))
    card: dict[str, Any] = {
        "rubric": "mis",
        "version": "1",
        "template_hash": "0f",
        "fidelity": "own",
        "model": None,
        "resolved": [],
        "settings": {},
        "sees": ["answer"],
    }
    about = {
        "version": "1",
        "settings": {},
        "data": {"source": "here", "revision": "", "sha256": None, "licence": "apache-2.0"},
    }
    made = build_results(
        version="0.1.0",
        started="2026-11-20T10:00:00+00:00",
        finished="2026-11-20T10:01:00+00:00",
        command=["harness", "run"],
        environment={"python": "3.11", "platform": "x", "gpu": None},
        model={"ref": "fake/a", "resolved": [], "identity": "k1:00", "settings": {}, "strategy": None},
        judges={"J": card},
        plugins={"mis": "vlm-safety-harness 0.1.0"},
        tasks={name: {**about, **body} for name, body in tasks.items()},
        usage=usage_json(spend, {"J": UsageSum()}),
        wall_s=60.5,
    )
    return json.loads(json.dumps(made, allow_nan=False))  # type: ignore[no-any-return]


def faults(results: Mapping[str, Any]) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in Draft202012Validator(SCHEMA).iter_errors(results)]


def stratified() -> dict[str, Any]:
    mean = Metric(
        name="mean_acc",
        score=lambda r: (float(r.label == "unsafe"), 1.0),
        stratum=lambda r: r.cluster,
        strata=("a", "b", "never"),
        better="higher",
    )
    made = TaskSummary({"all": split(metrics=(mean,))}, {"all": ran(split(metrics=(mean,)), epochs=2)})
    for epoch in (0, 1):
        made.add(row("1", said="unsafe", split="all", cluster="a", epoch=epoch))
        made.add(row("2", split="all", cluster="b", epoch=epoch))
    return made.finish()


def test_the_published_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_results_are_valid_by_the_published_schema() -> None:
    how = all_ran(easy=ran(SPLITS["easy"], judges={"J": {}, "K": {}}))
    nothing = TaskSummary({"all": split()}, {"all": ran(judges={}, primary=None)}).finish()
    second = replace(TWINS, name="hard", left="hard", right=("easy",))
    results = whole(
        mis=task(rows(), TWINS, **how),
        twice=task(rows(), TWINS, second, **how),
        mean=stratified(),
        nothing=nothing,
    )
    assert faults(results) == []


@pytest.mark.parametrize(
    "path",
    [
        ("schema",),
        ("usage", "cost_usd"),
        ("tasks", "mis", "splits", "easy", "outcomes", "error"),
        ("tasks", "mis", "splits", "easy", "verdicts", "unjudged"),
        ("tasks", "mis", "splits", "easy", "metrics", "ASR", "bounds"),
        ("tasks", "mis", "paired", "ASR", "ci95"),
    ],
    ids=".".join,
)
def test_the_schema_refuses_results_that_lack_a_key_or_have_one_more(path: tuple[str, ...]) -> None:
    results = whole(mis=task(rows(), TWINS, **all_ran()))
    holder: Any = results
    for key in path[:-1]:
        holder = holder[key]
    removed = holder.pop(path[-1])
    assert faults(results)
    holder[path[-1]] = removed
    assert not faults(results)
    holder["surprise"] = "?"
    assert faults(results)


def test_usage_adds_up_and_an_unknown_cost_is_null() -> None:
    found = whole()["usage"]
    assert found["model"] == {"calls": 2, "input_tokens": 11, "output_tokens": 5, "reasoning_tokens": 2}
    assert found["cost_usd"] is None
