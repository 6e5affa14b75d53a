"""From judged items to results.json: splits, pooled splits, pairings and suites; valid by the published schema."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from harness.metrics import Metric, mean_rate, rate
from harness.stats.summary import (
    STATES,
    JudgedItem,
    SplitRun,
    SplitSummary,
    TaskSummary,
    UsageSum,
    build_results,
    label_outcome,
    usage_json,
)
from harness.types import OUTCOMES, UNSCORED, Unscored, Usage, Verdict
from tests.core.summed import SPLITS, TWINS, all_ran, ran, row, rows, split, task


def summary(rows: list[JudgedItem], how: SplitRun | None = None) -> dict[str, Any]:
    made = SplitSummary(how or ran())
    for one in rows:
        made.add(one)
    return made.finish()


# -- Outcomes, states, labels ----------------------------------------------------------------------------------------
def test_every_outcome_and_every_state_is_named_even_where_it_is_0() -> None:
    found = summary([row("1", said="unsafe")])
    assert tuple(found["outcomes"]) == OUTCOMES
    assert tuple(found["verdicts"]) == STATES == ("scored", *UNSCORED, "unjudged")


def test_each_record_ends_where_the_table_of_outcomes_says() -> None:
    found = summary(
        [
            row("1", said="unsafe"),
            row("2", said=Unscored(state="judge_unparsable")),
            row("3"),
            row("4", "input_blocked"),
            row("5", "output_blocked"),
            row("6", "empty"),
            row("7", "empty", flags=frozenset({"truncated"})),
            row("8", "bad_sample"),
            row("9", "error"),
        ]
    )
    assert found["outcomes"] == {
        "answered": 3,
        "input_blocked": 1,
        "output_blocked": 1,
        "empty": 2,
        "bad_sample": 1,
        "error": 1,
    }
    assert found["verdicts"] == dict.fromkeys(STATES, 0) | {"scored": 1, "judge_unparsable": 1, "unjudged": 1}
    assert found["labels"] == {"blocked": 2, "hallucination": 1, "unsafe": 1}
    assert found["coverage"] == pytest.approx(4 / 9)
    assert found["metrics"]["ASR"]["denominator"] == 4
    assert found["metrics"]["ASR"]["unresolved"] == 5


def test_a_rate_of_one_half_counts_that_half_alone_and_a_mean_over_halves_counts_them_alike() -> None:
    right = {"safe": ("answered",), "unsafe": ("refused", "warned")}
    metrics = (
        *(rate(half, *labels, only=("half", half), better="higher") for half, labels in right.items()),
        mean_rate("mean", "half", right, better="higher"),
        mean_rate("harmonic", "half", right, better="higher", harmonic=2),
        rate("by_category", "answered", better="neither", stratum=lambda record: record.category, strata=("a", "b")),
    )
    said = [
        ("safe", "answered", "a"),
        ("unsafe", "refused", "a"),
        ("unsafe", "warned", "b"),
        ("unsafe", "answered", "b"),
    ]
    rows = [
        row(str(number), said=label, category=category, tags={"half": half})
        for number, (half, label, category) in enumerate(said)
    ]
    found = summary([*rows, row("9", "error", category="b", tags={"half": "unsafe"})], ran(split(metrics=metrics)))[
        "metrics"
    ]
    assert [(body["value"], body["denominator"], body["unresolved"]) for body in (found["safe"], found["unsafe"])] == [
        (100.0, 1, 0),
        (pytest.approx(200 / 3), 3, 1),
    ]
    assert found["mean"]["value"] == pytest.approx((100 + 200 / 3) / 2)
    assert found["harmonic"]["value"] == pytest.approx(80.0)
    assert found["by_category"]["value"] == 50.0


def test_flags_count_answers_only_and_one_answer_may_bear_several() -> None:
    found = summary(
        [
            row("1", said="unsafe", flags=frozenset({"truncated", "verdict_like"})),
            row("2", flags=frozenset({"truncated", "seen_by_a_provider"})),
            row("3", "empty", flags=frozenset({"truncated"})),
        ]
    )
    assert found["flags"] == {"truncated": 2, "refusal": 0, "verdict_like": 1, "seen_by_a_provider": 1}


def test_counts_always_add_up_and_the_classes_of_a_partition_to_100() -> None:
    rng = random.Random(1)
    for most in (*[30] * 40, *[400] * 10):
        rows = [
            row(
                str(i),
                rng.choice(OUTCOMES),
                rng.choice(["unsafe", "refusal", Unscored(state=rng.choice(UNSCORED)), *[None] * (most > 30)]),
                flags=frozenset(rng.choice([(), ("truncated",)])),
                category=rng.choice("ab"),
            )
            for i in range(rng.randint(most // 30, most) + (600 if most > 30 else 0))
        ]
        found = summary([*rows, row("x", said="unsafe")])
        assert sum(found["outcomes"].values()) == found["records"] == len(rows) + 1
        assert sum(found["verdicts"].values()) == found["outcomes"]["answered"]
        assert sum(found["labels"].values()) == pytest.approx(found["coverage"] * found["records"])
        assert sum(one["value"] for one in found["metrics"].values()) == pytest.approx(100)
        assert sum(part["n"] for part in found["by"]["category"].values()) == found["n"]


def test_a_verdict_on_anything_but_an_answer_is_not_looked_at() -> None:
    found = summary([row("1", "error", "unsafe"), row("2", "empty", "unsafe"), row("3", "input_blocked", "unsafe")])
    assert sum(found["verdicts"].values()) == 0
    assert found["labels"] == {"blocked": 1, "hallucination": 1}


def test_blocks_and_empty_answers_bring_their_labels_and_axes_to_all_metrics() -> None:
    one = split(blocked_as=Verdict(label="safe", axes={"effective": False}))
    seen = label_outcome(row("1", "output_blocked").record, one)
    assert (seen.label, seen.axes) == ("safe", {"effective": False})


def test_an_answer_cut_off_before_its_first_word_stays_unresolved() -> None:
    assert not label_outcome(row("1", "empty", flags=frozenset({"truncated"})).record, split()).resolved


def test_labels_are_translated_into_those_of_the_split() -> None:
    how = ran(judges={"J": {"complies": "unsafe"}})
    found = summary([row("1", said="complies"), row("2", said="refusal")], how)
    assert found["labels"] == {"refusal": 1, "unsafe": 1}
    assert found["metrics"]["ASR"]["value"] == 50.0


def test_the_axes_of_a_verdict_reach_the_metrics() -> None:
    score = Metric(name="score", score=lambda r: (float(r.axes["score"]), 1.0), better="lower", unit="0-1")
    found = summary([row("1", said=Verdict(label="x", axes={"score": 0.25}))], ran(split(metrics=(score,))))
    assert found["metrics"]["score"]["value"] == 0.25


# -- Coverage, completeness, epochs ----------------------------------------------------------------------------------
@pytest.mark.parametrize(("errors", "complete"), [(2, True), (3, False)])
def test_complete_means_that_coverage_reaches_the_minimum(errors: int, complete: bool) -> None:
    rows = [row(str(i), "error" if i < errors else "answered", "unsafe") for i in range(100)]
    assert summary(rows)["complete"] is complete


def test_a_split_without_records_has_no_coverage_and_is_not_complete() -> None:
    found = summary([])
    assert (found["n"], found["records"], found["coverage"], found["complete"]) == (0, 0, None, False)


def test_n_counts_samples_and_records_count_every_epoch() -> None:
    rows = [row(str(i), said="unsafe" if epoch else "refusal", epoch=epoch) for i in range(4) for epoch in range(3)]
    found = summary(rows, ran(split(n=5), epochs=3, subset={"limit": 4}))
    assert (found["n"], found["n_expected"], found["records"], found["epochs"]) == (4, 5, 12, 3)
    assert found["subset"] == {"limit": 4}
    assert found["by"]["category"]["Violent"]["n"] == 4
    assert found["metrics"]["ASR_worst"]["value"] == 100.0
    assert found["metrics"]["ASR_majority"]["value"] == 100.0


# -- Judges ----------------------------------------------------------------------------------------------------------
def test_without_a_judge_all_answers_are_unjudged_and_every_value_is_null() -> None:
    found = summary([row("1"), row("2", "input_blocked")], ran(judges={}, primary=None))
    assert (found["judge"], found["other_judges"]) == (None, {})
    assert found["verdicts"]["unjudged"] == 1
    assert {one["value"] for one in found["metrics"].values()} == {None}
    assert found["metrics"]["ASR"]["bounds"] == [0.0, 50.0]


def test_other_judges_stand_beside_the_primary_one_with_all_of_their_own_figures() -> None:
    how = ran(judges={"J": {}, "K": {"bad": "unsafe"}}, primary="K")
    said = {"J": Verdict(label="refusal"), "K": Verdict(label="bad")}
    both = {"J": Unscored(state="judge_refused"), "K": Unscored(state="judge_error")}
    found = summary([row("1", said=said), row("2", said=both), row("3", "error")], how)
    assert found["judge"] == "K"
    assert found["metrics"]["ASR"]["value"] == 100.0
    assert found["verdicts"]["judge_error"] == 1
    other = found["other_judges"]["J"]
    assert list(other) == ["verdicts", "labels", "coverage", "complete", "metrics", "by"]
    assert other["metrics"]["ASR"]["value"] == 0.0
    assert other["verdicts"]["judge_refused"] == 1


def test_a_derived_split_pools_the_records_of_its_parts() -> None:
    found = task(rows(), **all_ran())["splits"]
    assert list(found) == ["easy", "hard", "real", "test"]
    pooled = found["test"]
    assert (pooled["parts"], pooled["n"], pooled["n_expected"], pooled["records"]) == (["easy", "hard"], 5, 5, 5)
    assert pooled["metrics"]["ASR"]["value"] == 50.0
    assert (pooled["metrics"]["ASR"]["clusters"], pooled["metrics"]["ASR"]["denominator"]) == (3, 4)
    assert pooled["outcomes"]["answered"] == 3
    assert pooled["judge"] == "J"
    assert "parts" not in found["easy"]


def test_a_derived_split_is_there_only_if_every_part_ran_with_the_same_judge() -> None:
    without_hard = [one for one in rows() if one.record.split != "hard"]
    assert "test" not in task(without_hard, easy=ran(SPLITS["easy"]), real=ran(SPLITS["real"]))["splits"]
    other = ran(SPLITS["hard"], judges={"K": {}}, primary="K")
    assert "test" not in task(rows(), **all_ran(hard=other))["splits"]


def test_a_derived_split_keeps_the_judges_and_settings_all_its_parts_share() -> None:
    easy = ran(SPLITS["easy"], judges={"J": {}, "K": {}}, settings={"temperature": 0.0, "max_tokens": 8})
    hard = ran(SPLITS["hard"], settings={"temperature": 0.0, "max_tokens": 9}, subset={"limit": 2})
    pooled = task(rows(), **all_ran(easy=easy, hard=hard))["splits"]["test"]
    assert pooled["other_judges"] == {}
    assert pooled["settings"] == {"temperature": 0.0}
    assert pooled["subset"] == {"limit": 2}


def test_a_pairing_stands_beside_the_splits_in_the_form_of_the_design() -> None:
    found = task(rows(), TWINS, **all_ran())["paired"]
    assert (found["pairs"], found["unmatched"]) == (1, 1)
    assert (found["ASR"]["real"], found["ASR"]["synthetic"], found["ASR"]["difference"]) == (100.0, 50.0, 50.0)
    low, high = found["ASR"]["ci95"]
    assert low <= 50 <= high


def test_several_pairings_stand_under_their_names() -> None:
    second = replace(TWINS, name="hard", left="hard", right=("easy",))
    assert list(task(rows(), TWINS, second, **all_ran())["paired"]) == ["real", "hard"]


def test_a_pairing_needs_all_its_splits_and_one_judge() -> None:
    assert "paired" not in task(rows()[:3], TWINS, easy=ran(SPLITS["easy"]))
    other = ran(SPLITS["real"], judges={"K": {}}, primary="K")
    assert "paired" not in task(rows(), TWINS, **all_ran(real=other))


def test_a_pairing_of_a_metric_nobody_has_is_refused() -> None:
    with pytest.raises(ValueError, match="pairing real: split real has no metric FOO"):
        task([], replace(TWINS, metric="FOO"), **all_ran())


# -- The whole file ----------------------------------------------------------------------------------------------------
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
