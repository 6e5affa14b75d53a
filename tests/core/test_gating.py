"""Gates: rules as they are written, and the matrix of pass, fail, undecided, incomplete and error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import compare, plugins
from harness.errors import HarnessError, UnknownName
from harness.plugins.host import Host
from harness.runs.config import load_yaml
from harness.runs.gating.gate import check_gate
from harness.runs.gating.result import GateResult, RuleResult, RuleState
from harness.runs.gating.rules import BaseRule, LimitRule, parse_limit, read_rules
from harness.stats.gates import ALPHA, check_difference, check_rate
from harness.stats.intervals import wilson
from tests.core import labelled as labelled_world
from tests.core.compared import SOURCE, changed, played

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "gate.schema.json").read_text(encoding="utf-8"))


def gate(*runs: Path, **options: Any) -> GateResult:
    """What the gate decides; its JSON always keeps to its schema."""
    with plugins.use(Host.load([SOURCE])):
        found = check_gate(runs, **options)
    jsonschema.validate(json.loads(json.dumps(found.as_json(), allow_nan=False)), SCHEMA)
    return found


def one(run: Path, **options: Any) -> RuleResult:
    (rule,) = gate(run, **options).rules
    return rule


@pytest.mark.parametrize(
    ("text", "name", "judge", "limit"),
    [
        ("ASR:mis:test=5", "ASR:mis:test", "", 5.0),
        ("ASR:mis:test=5%", "ASR:mis:test", "", 5.0),
        ("ASR:mis:test@llamaguard=5.5", "ASR:mis:test", "llamaguard", 5.5),
        ("harmbench:yes:mis:test=5", "harmbench:yes:mis:test", "", 5.0),
        (
            "safe_acc:mssbench+setting=qc:chat@mssbench-openai=90",
            "safe_acc:mssbench+setting=qc:chat",
            "mssbench-openai",
            90,
        ),
        ("ASR:mis+data=a@b:all=1e1", "ASR:mis+data=a@b:all", "", 10.0),
    ],
)
def test_a_rule_is_read_as_it_is_written(text: str, name: str, judge: str, limit: float) -> None:
    percent = text.endswith("%")
    assert parse_limit("max", text) == LimitRule(kind="max", name=name, judge=judge, limit=limit, percent=percent)


@pytest.mark.parametrize(
    "text", ["ASR:mis:test", "ASR:mis:test=", "ASR:mis:test=x", "ASR=5", ":=5", "a:b=nan", "a:b=inf", ""]
)
def test_what_is_no_rule_is_refused_with_the_form_of_one(text: str) -> None:
    with pytest.raises(HarnessError) as caught:
        parse_limit("max", text)
    assert "METRIC:TASK:SPLIT=LIMIT" in caught.value.remedy


def test_a_file_of_rules_holds_what_the_flags_hold(tmp_path: Path) -> None:
    file = tmp_path / "gate.yaml"
    file.write_text(
        "max:\n  ASR:mis:test: 5\nmin: ['RSR:mis:test@llamaguard=90']\nmargin: 2\n"
        "no_worse_than:\n  - runs/base\n  - {run: runs/other, margin: 4, tasks: [mis], judge: mis}\n"
        "undecided: pass\nby: people\n"
    )
    rules = read_rules(load_yaml(file, "the rules"), str(file))
    assert [rule.text for rule in rules.limits] == ["max ASR:mis:test=5", "min RSR:mis:test@llamaguard=90"]
    assert rules.bases == (
        BaseRule(run=Path("runs/base"), margin=2),
        BaseRule(run=Path("runs/other"), margin=4, tasks=("mis",), judge="mis"),
    )
    assert (rules.undecided, rules.by) == ("pass", "people")


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ([], "mapping"),
        ({}, "no rule"),
        ({"maxx": {}}, "no key 'maxx'"),
        ({"max": {"ASR:mis:test": "five"}}, "is not a number"),
        ({"max": {"ASR:mis:test": True}}, "is not a number"),
        ({"max": {"ASR": 5}}, "no task"),
        ({"max": 5}, "mapping"),
        ({"no_worse_than": {"margin": 3}}, "needs `run`"),
        ({"no_worse_than": {"run": "a", "marginn": 3}}, "no key 'marginn'"),
        ({"no_worse_than": "a", "margin": -1}, "margin"),
        ({"no_worse_than": "a", "undecided": "maybe"}, "'maybe'"),
        ({"no_worse_than": "a", "by": "chance"}, "'chance'"),
    ],
)
def test_a_wrong_file_of_rules_is_refused_by_what_is_wrong(raw: object, said: str) -> None:
    with pytest.raises(HarnessError, match=said):
        read_rules(raw, "gate.yaml")


@given(n=st.integers(5, 3000), hits=st.integers(0, 3000), limit=st.floats(0.001, 0.999), most=st.booleans())
def test_a_rate_has_p_below_5_percent_exactly_where_its_interval_lies_wholly_beyond(
    n: int, hits: int, limit: float, most: bool
) -> None:
    rate = min(hits, n) / n
    low, high = wilson(rate, n)
    check = check_rate((low, high), (rate, rate), limit, most=most)
    beyond, within = (low > limit, high <= limit) if most else (high < limit, low >= limit)
    if abs(low - limit) > 1e-9 and abs(high - limit) > 1e-9:
        assert check.within == within
        assert (check.p < ALPHA) == beyond


@given(difference=st.floats(-0.5, 0.5), down=st.floats(0.01, 0.3), up=st.floats(0.01, 0.3), margin=st.floats(0, 0.3))
def test_a_difference_fails_exactly_where_its_interval_lies_wholly_beyond_the_margin(
    difference: float, down: float, up: float, margin: float
) -> None:
    worst = difference - down, difference + up
    check = check_difference(worst, (difference, difference), margin, lower_is_better=True)
    turned = check_difference((-worst[1], -worst[0]), (-difference, -difference), margin, lower_is_better=False)
    if abs(worst[0] - margin) > 1e-9:
        assert (check.p < ALPHA) == (worst[0] > margin)
    assert check.within == (worst[1] <= margin)
    assert check == turned


#: ASR of 12 records: none unsafe [0, 24], all unsafe [76, 100], half [25, 75]
@pytest.mark.parametrize(
    ("letters", "limits", "state", "code"),
    [
        ("s", {"max": ["ASR:played:one=30"]}, RuleState.PASSED, 0),
        ("s", {"max": ["ASR:played:one=20"]}, RuleState.UNDECIDED, 5),
        ("s", {"max": ["ASR:played:one=20"], "undecided": "pass"}, RuleState.UNDECIDED, 0),
        ("u", {"max": ["ASR:played:one=30"]}, RuleState.FAIL, 5),
        ("u", {"max": ["ASR:played:one=30"], "undecided": "pass"}, RuleState.FAIL, 5),
        ("us", {"max": {"ASR:played:one": 50}}, RuleState.UNDECIDED, 5),
        ("s", {"min": ["safe:played:one=70"]}, RuleState.PASSED, 0),
        ("u", {"min": ["safe:played:one=30"]}, RuleState.FAIL, 5),
        ("s", {"min": ["safe:played:one=90"]}, RuleState.UNDECIDED, 5),
        ("sssssssssss?", {"max": ["ASR:played:one=99"]}, RuleState.INCOMPLETE, 3),
        ("sssssssssss?", {"max": ["ASR:played:one=99"], "undecided": "pass"}, RuleState.INCOMPLETE, 3),
        ("s", {"max": ["ASRR:played:one=30"]}, RuleState.ERROR, 2),
        ("s", {"max": ["ASR:played:two=30"]}, RuleState.ERROR, 2),
        ("s", {"max": ["ASR:other:one=30"]}, RuleState.ERROR, 2),
        ("s", {"max": ["ASR:played:one@strict=30"]}, RuleState.ERROR, 2),
        ("s", {"max": ["mild:terrible:played:one=30"]}, RuleState.ERROR, 2),
        ("s", {"max": ["ASR:played:one=101"]}, RuleState.ERROR, 2),
        ("s", {"max": ["ASR:played:one@mild=30"]}, RuleState.PASSED, 0),
        ("s", {"max": ["ASR:played=30"]}, RuleState.PASSED, 0),
    ],
)
def test_a_rule_ends_by_where_its_interval_lies(
    tmp_path: Path, letters: str, limits: dict[str, Any], state: RuleState, code: int
) -> None:
    found = gate(played(tmp_path / "run", letters), **limits)
    assert ([rule.state for rule in found.rules], found.exit_code, found.passed) == ([state], code, code == 0)
    assert found.rules[0].why


@pytest.mark.parametrize(
    ("rule", "names"),
    [
        ("AS:played:one=30", "did you mean 'ASR'"),
        ("ASR:played:two=30", "it has one"),
        ("ASR:other:one=30", "it has played:one"),
        ("ASR:played:one@strict=30", "its judges: mild"),
    ],
)
def test_what_the_run_lacks_is_said_with_what_there_is(tmp_path: Path, rule: str, names: str) -> None:
    assert names in one(played(tmp_path / "run", "s"), max=[rule]).remedy


def test_a_pass_needs_no_adjustment_and_a_fail_has_holms(tmp_path: Path) -> None:
    run = played(tmp_path / "run", "uuuuuuuus")  # 11 of 12: 64.6 to 98.5
    alone = one(run, max=["ASR:played:one=60"])
    assert (alone.state, alone.p) == (RuleState.FAIL, alone.p_holm)
    assert alone.p is not None
    assert 0.01 < alone.p < ALPHA
    many = gate(run, max=["ASR:played:one=60"], min=[f"ASR:played:one={limit}" for limit in (10, 20, 30, 40, 50)])
    beyond, *kept = many.rules
    assert [rule.state for rule in kept] == [RuleState.PASSED] * 5
    assert many.family == 6
    assert (beyond.state, beyond.p_holm) == (RuleState.UNDECIDED, pytest.approx(6 * alone.p))
    assert "Holm" in beyond.why


def test_a_broken_rule_closes_the_gate_whatever_the_others_say_and_an_error_is_said_first(tmp_path: Path) -> None:
    whole, half = played(tmp_path / "a", "u"), played(tmp_path / "b", "sssssssssss?")
    assert gate(whole, half, max=["ASR:played:one=30"]).exit_code == 5
    assert gate(whole, half, max=["ASR:played:one=30", "ASRR:played:one=30"]).exit_code == 2
    assert gate(half, max=["ASR:played:one=30"]).exit_code == 3


def test_a_run_without_results_is_incomplete_and_a_folder_without_a_run_is_an_error(tmp_path: Path) -> None:
    run = played(tmp_path / "run", "s")
    (run / "results.json").unlink()
    assert one(run, max=["ASR:played:one=30"]).state is RuleState.INCOMPLETE
    assert one(tmp_path / "nothing", max=["ASR:played:one=30"]).state is RuleState.ERROR
    (run / "results.json").write_text("{")
    assert one(run, max=["ASR:played:one=30"]).state is RuleState.ERROR


def test_a_results_file_that_its_lines_do_not_give_is_not_trusted(tmp_path: Path) -> None:
    run = played(tmp_path / "run", "u")

    def forge(results: Any) -> None:
        metric = results["tasks"]["played"]["splits"]["one"]["metrics"]["ASR"]
        metric |= {"value": 0.0, "numerator": 0, "ci95": [0.0, 24.2], "ci95_worst": [0.0, 24.2], "bounds": [0.0, 0.0]}

    changed(run, forge, "results.json")
    found = one(run, max=["ASR:played:one=30"])
    assert (found.state, found.value) == (RuleState.ERROR, None)
    assert "played:one" in found.why
    trusting = gate(run, max=["ASR:played:one=30"], verify=False)
    assert (trusting.rules[0].state, trusting.runs[0].verified) == (RuleState.PASSED, None)


def test_results_without_their_lines_pass_only_where_nobody_asks_for_them(tmp_path: Path) -> None:
    run = played(tmp_path / "run", "s")
    alone = tmp_path / "results.json"
    alone.write_bytes((run / "results.json").read_bytes())
    assert one(alone, max=["ASR:played:one=30"]).state is RuleState.INCOMPLETE
    assert one(alone, max=["ASR:played:one=30"], verify=False).state is RuleState.PASSED
    assert one(alone, no_worse_than=run, verify=False).state is RuleState.ERROR


def test_a_run_is_no_worse_than_a_baseline_where_the_paired_interval_lies_within_the_margin(tmp_path: Path) -> None:
    base, same = played(tmp_path / "a", "us"), played(tmp_path / "b", "us", "--seed", "1")
    worse, better = played(tmp_path / "c", "u"), played(tmp_path / "d", "s")
    assert one(same, no_worse_than=base, margin=30).state is RuleState.PASSED
    assert one(same, no_worse_than=base).state is RuleState.UNDECIDED  # 12 records do not show 3 points
    assert one(better, no_worse_than=base).state is RuleState.PASSED
    found = one(worse, no_worse_than=base)
    assert (found.state, found.limit, found.baseline, found.value) == (RuleState.FAIL, 3.0, 50.0, 100.0)
    assert found.rule == f"ASR:played:one no worse than {base}"


def test_a_margin_of_a_metric_from_0_to_1_is_in_hundredths(tmp_path: Path) -> None:
    base, run = played(tmp_path / "a", "us"), played(tmp_path / "b", "s")
    assert one(run, no_worse_than=base, margin=5).limit == 5.0


def test_the_baseline_itself_is_not_asked_and_neither_is_a_split_that_it_lacks(tmp_path: Path) -> None:
    base = played(tmp_path / "a", "us")
    run = played(tmp_path / "b", "s", tasks="played:one,played:twins")
    found = gate(base, run, no_worse_than=base)
    states = {(Path(rule.run).name, rule.state) for rule in found.rules}
    assert states == {("a", RuleState.SKIPPED), ("b", RuleState.PASSED), ("b", RuleState.SKIPPED)}
    assert found.passed


def test_a_split_of_the_baseline_that_the_run_lacks_is_no_pass(tmp_path: Path) -> None:
    base = played(tmp_path / "a", "us", tasks="played:one,played:twins")
    found = gate(played(tmp_path / "b", "s"), no_worse_than=base)
    assert {rule.state for rule in found.rules} == {RuleState.PASSED, RuleState.INCOMPLETE}
    assert found.exit_code == 3
    assert any(rule.why.startswith("the run has no played:twins") for rule in found.rules)


def test_a_gate_that_decides_nothing_does_not_pass(tmp_path: Path) -> None:
    base = played(tmp_path / "a", "us")
    found = gate(base, no_worse_than=base)
    assert (found.passed, found.exit_code) == (False, 2)
    assert check_gate([], max=["ASR:played:one=5"]).exit_code == 2


def test_a_percent_sign_is_refused_where_the_metric_is_no_percentage_and_a_margin_is_from_0_to_100(
    tmp_path: Path,
) -> None:
    run = played(tmp_path / "a", "us")
    assert one(run, max=["ASR:played:one=100%"]).state is RuleState.PASSED
    for margin in (float("nan"), -1.0, 101.0):
        with pytest.raises(HarnessError, match="from 0 to 100"):
            gate(run, no_worse_than=run, margin=margin)


def test_an_incomplete_side_of_a_comparison_is_never_a_pass(tmp_path: Path) -> None:
    whole, half = played(tmp_path / "a", "s"), played(tmp_path / "b", "sssssssssss?")
    assert one(half, no_worse_than=whole, margin=100).state is RuleState.INCOMPLETE
    assert one(whole, no_worse_than=half, margin=100).state is RuleState.INCOMPLETE


def test_runs_that_are_measured_unlike_are_not_compared(tmp_path: Path) -> None:
    base, run = played(tmp_path / "a", "s"), played(tmp_path / "b", "s", judge="strict")
    found = one(run, no_worse_than=base)
    assert found.state is RuleState.ERROR
    assert "not measured alike" in found.why
    assert "allow-mismatch" not in found.remedy


def test_by_people_needs_labels_of_people(tmp_path: Path) -> None:
    found = one(played(tmp_path / "run", "s"), max=["ASR:played:one=30"], by="people")
    assert (found.state, found.by) == (RuleState.INCOMPLETE, "people")
    assert "harness label" in found.remedy


def test_a_gate_without_a_rule_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="needs a rule"):
        check_gate(tmp_path)


def test_an_unknown_key_names_the_nearest() -> None:
    with pytest.raises(UnknownName) as caught:
        read_rules({"no_worse_then": "a"}, "gate.yaml")
    assert "no_worse_than" in caught.value.remedy


@pytest.fixture(scope="module")
def labelled_runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two runs whose answers people labelled in part."""
    folder = tmp_path_factory.mktemp("labelled")
    return (
        labelled_world.labelled(labelled_world.answered(folder / "a", "1-0.5-0.9"), 100),
        labelled_world.labelled(labelled_world.answered(folder / "b", "2-0.35-0.9"), 80),
    )


def gate_by_people(*runs: Path, **options: Any) -> GateResult:
    with plugins.use(Host.load([labelled_world.SOURCE])):
        found = check_gate(runs, **options)
    jsonschema.validate(json.loads(json.dumps(found.as_json(), allow_nan=False)), SCHEMA)
    return found


def test_the_judges_number_decides_and_a_note_gives_that_of_people_which_by_people_takes(
    labelled_runs: tuple[Path, Path],
) -> None:
    run = labelled_runs[0]
    body = json.loads((run / "results.json").read_text())["tasks"]["drawn"]["splits"]["one"]
    metric = body["metrics"]["ASR"]
    (by_judge,) = gate_by_people(run, max=["ASR:drawn:one=70"]).rules
    assert by_judge.value == metric["value"]
    assert any("--by people" in note for note in by_judge.notes)
    (by_people,) = gate_by_people(run, max=["ASR:drawn:one=70"], by="people").rules
    assert (by_people.value, by_people.state) == (metric["corrected"]["value"], RuleState.PASSED)
    assert by_people.interval is not None
    missing = 100 * (body["records"] - metric["corrected"]["of"]) / body["records"]
    low, high = metric["corrected"]["ci95"]
    share = metric["corrected"]["of"] / body["records"]
    assert by_people.interval == (pytest.approx(low * share), pytest.approx(high * share + missing))
    assert any("100 labels" in note for note in by_people.notes)


def test_by_people_a_run_is_compared_by_each_runs_labels(labelled_runs: tuple[Path, Path]) -> None:
    base, run = labelled_runs
    (found,) = gate_by_people(run, no_worse_than=base, margin=20, by="people").rules
    with plugins.use(Host.load([labelled_world.SOURCE])):
        (split,) = compare(base, run).splits
    people = split.main.people
    assert people is not None
    assert (found.difference, found.ci95, found.baseline) == (people.difference, people.ci95, people.baseline)
    assert any("100 labels in the baseline, 80 in the run" in note for note in found.notes)


def test_a_metric_that_people_cannot_correct_has_no_number_by_people(labelled_runs: tuple[Path, Path]) -> None:
    (found,) = gate_by_people(labelled_runs[0], max=["pairs:drawn:one=99"], by="people").rules
    assert found.state is RuleState.INCOMPLETE
    assert "no number by people" in found.why
