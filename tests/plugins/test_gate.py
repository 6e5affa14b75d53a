"""`harness gate` as a command: its exit codes, its rules from files, and its outputs for people, scripts and CI."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import jsonschema
import junitparser
import pytest
from click.testing import CliRunner
from harness_gate.junit import render_junit
from harness_gate.summary import append_summary, list_annotations, render_markdown

from harness.cli import cli
from harness.errors import HarnessError
from harness.runs.gating.result import GatedRun, GateResult, RuleResult, RuleState
from tests.core.compared import WORLD, changed, played

junit: Any = junitparser  #: its classes have no types
SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "gate.schema.json").read_text(encoding="utf-8"))
HOSTILE = 'a|b`<b>\x00\x1b[31m\ud800%0A::error::x,y:z\n# head & "q" ￾‮'


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    exit_code: int
    stdout: str
    stderr: str


def gate(*flags: str | Path, env: dict[str, str] | None = None) -> Done:
    """`harness gate`; what it raises is raised here."""
    given = ["gate", *map(str, flags), *WORLD]
    done = CliRunner().invoke(cli, given, env=env, catch_exceptions=False, standalone_mode=False)
    return Done(exit_code=done.return_value, stdout=done.stdout, stderr=done.stderr)


def rule(state: RuleState, name: str = "max ASR:mis:test=5", **more: object) -> RuleResult:
    known = RuleResult(
        run="runs/x",
        rule=name,
        kind="max",
        metric="ASR",
        task="mis",
        split="test",
        unit="%",
        limit=5.0,
        value=3.0,
        interval=(1.0, 7.0),
        state=state,
        why="because",
    )
    return replace(known, **more)  # type: ignore[arg-type]  # the fields are given by name


def result(*rules: RuleResult, undecided: str = "fail") -> GateResult:
    return GateResult(runs=(GatedRun(run="runs/x", model="m", verified="same"),), rules=rules, undecided=undecided)  # type: ignore[arg-type]  # one of two words


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("runs")
    letters = {"safe": "s", "unsafe": "u", "half": "us", "open": "sssssssssss?"}
    return {name: played(place / name, played_as) for name, played_as in letters.items()}


@pytest.mark.parametrize(
    ("name", "flags", "code", "said"),
    [
        ("safe", ("--max", "ASR:played:one=30"), 0, "The gate passes (1 kept; exit 0)"),
        ("unsafe", ("--max", "ASR:played:one=30"), 5, "BROKEN"),
        ("half", ("--max", "ASR:played:one=50"), 5, "The gate is closed: 1 rule is undecided (1 undecided; exit 5)"),
        ("half", ("--max", "ASR:played:one=50", "--undecided", "pass"), 0, "undecided, counts as passed"),
        ("open", ("--max", "ASR:played:one=99"), 3, "no number yet"),
        ("safe", ("--max", "ASRR:played:one=99"), 2, "did you mean 'ASR'?"),
    ],
)
def test_the_exit_code_and_the_table_say_how_the_gate_ended(
    runs: dict[str, Path], name: str, flags: tuple[str, ...], code: int, said: str
) -> None:
    done = gate(runs[name], *flags)
    assert done.exit_code == code, done.stdout
    assert said in done.stdout


def test_a_comparison_shows_both_numbers_and_their_difference(runs: dict[str, Path]) -> None:
    done = gate(runs["unsafe"], "--no-worse-than", runs["half"], "--margin", "10")
    assert done.exit_code == 5
    assert "+50.0 (50.0 → 100.0)" in done.stdout
    assert "worse by at most 10" in done.stdout


def test_rules_of_a_file_and_of_flags_are_all_decided_and_a_flag_wins_over_the_file(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    file = tmp_path / "gate.yaml"
    file.write_text(
        f"max: {{ASR:played:one: 50}}\nundecided: pass\nno_worse_than: {{run: {runs['half']}, margin: 90}}\n"
    )
    flags = (runs["half"], "--rules", file, "--min", "safe:played:one=10", "--json")
    assert gate(*flags).exit_code == 0
    done = gate(*flags, "--undecided", "fail")
    assert done.exit_code == 5
    body = json.loads(done.stdout)
    jsonschema.validate(body, SCHEMA)
    assert [each["state"] for each in body["rules"]] == ["pass", "undecided", "skipped"]


def test_a_config_has_the_rules_where_no_other_is_given(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HarnessError, match="needs a rule"):
        gate(runs["safe"])
    Path("harness.yaml").write_text("model: [played/s]\ngate: {max: {ASR:played:one: 30}}\n")
    assert gate(runs["safe"]).exit_code == 0
    assert gate(runs["safe"], "--max", "ASR:played:one=20").exit_code == 5
    done = CliRunner().invoke(cli, ["run", "--tasks", "played:one", "--judge", "mild", "--no-probe", *WORLD])
    assert done.exit_code == 0, done.output  # `harness run` leaves the rules alone


def test_a_pattern_stands_for_the_runs_that_it_matches(runs: dict[str, Path]) -> None:
    done = gate(runs["safe"].parent / "*", "--max", "ASR:played:one=30", "--json")
    body = json.loads(done.stdout)
    assert (done.exit_code, len(body["runs"])) == (5, 4)


def test_outputs_go_by_their_suffix_and_an_unknown_one_is_refused_before_anything_is_read(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    files = [tmp_path / name for name in ("gate.json", "gate.xml", "gate.md")]
    done = gate(runs["safe"], "--max", "ASR:played:one=30", *(x for file in files for x in ("--output", file)))
    assert done.exit_code == 0
    jsonschema.validate(json.loads(files[0].read_text()), SCHEMA)
    assert ET.fromstring(files[1].read_text()).get("tests") == "1"
    assert "| kept |" in files[2].read_text()
    bad = CliRunner().invoke(cli, ["gate", "nothing", "--max", "ASR:a:b=1", "--output", "gate.pdf"])
    assert "ends with .pdf" in str(bad.exception)


def test_junit_tells_broken_rules_from_those_without_a_number_and_from_those_not_asked(tmp_path: Path) -> None:
    found = result(
        rule(RuleState.PASSED, "kept"),
        rule(RuleState.FAIL, "broken"),
        rule(RuleState.UNDECIDED, "open"),
        rule(RuleState.INCOMPLETE, "waits"),
        rule(RuleState.ERROR, "lacks", metric="", task="", split="", unit="", value=None, interval=None),
        rule(RuleState.SKIPPED, "aside", split="easy"),
    )
    path = tmp_path / "gate.xml"
    path.write_text(render_junit(found), encoding="utf-8")
    read = junit.JUnitXml.fromfile(str(path))
    cases: dict[str, Any] = {case.name: [type(each) for each in case.result] for suite in read for case in suite}
    assert [suite.name for suite in read] == ["mis:test", "no split", "mis:easy"]
    assert cases == {
        "kept": [],
        "broken": [junit.Failure],
        "open": [junit.Failure],
        "waits": [junit.Error],
        "lacks": [junit.Error],
        "aside": [junit.Skipped],
    }
    assert (read.tests, read.failures, read.errors, read.skipped) == (6, 2, 2, 1)
    lenient = junit.JUnitXml.fromstring(render_junit(replace(found, undecided="pass")).encode())
    assert lenient.failures == 1


def test_hostile_names_break_neither_junit_nor_the_summary_nor_an_annotation(tmp_path: Path) -> None:
    bad = rule(
        RuleState.FAIL, HOSTILE, run=HOSTILE, metric=HOSTILE, task=HOSTILE, split=HOSTILE, why=HOSTILE, notes=(HOSTILE,)
    )
    found = GateResult(
        runs=(GatedRun(run=HOSTILE, model=HOSTILE), GatedRun(run="b")), rules=(bad, replace(bad, run="b"))
    )
    path, pretty = tmp_path / "gate.xml", tmp_path / "pretty.xml"
    path.write_text(render_junit(found), encoding="utf-8")
    junit.JUnitXml.fromfile(str(path)).write(str(pretty), pretty=True)  # minidom is strict
    assert junit.JUnitXml.fromfile(str(pretty)).failures == 2
    text = render_markdown(found)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in lines} == {10}
    assert "<b>" not in text
    for line in list_annotations(found):
        assert "\n" not in line
        assert "\x1b" not in line
        title, message = re.fullmatch(r"::error title=([^:,]*)::(.*)", line).groups()  # type: ignore[union-attr]  # else it fails
        assert "%250A%3A%3Aerror" in title
        assert "%250A" in message
    append_summary(tmp_path / "summary.md", found)
    assert "\ud800" not in (tmp_path / "summary.md").read_text(encoding="utf-8")


def test_a_summary_is_appended_and_never_larger_than_github_shows(tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    path.write_text("# before\n" + "x" * 1000)
    many = [rule(RuleState.PASSED, f"max {'n' * 200}{number}=5") for number in range(6000)]
    append_summary(path, result(*many, rule(RuleState.FAIL, "the broken one")))
    text = path.read_text()
    assert text.startswith("# before\n")
    assert len(text.encode()) <= 1024 * 1024
    assert "the broken one" in text  # broken rules come first
    assert "more rules do not fit" in text


def test_github_gets_a_summary_and_an_error_line_for_each_broken_rule(runs: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    flags = (runs["unsafe"], "--max", "ASR:played:one=30", "--min", "safe:played:one=0", "--summary")
    done = gate(*flags, env={"GITHUB_STEP_SUMMARY": str(path)})
    assert done.exit_code == 5
    errors = [line for line in done.stdout.splitlines() if line.startswith("::error")]
    assert len(errors) == 1
    assert errors[0].startswith("::error title=harness gate%2C broken%3A max ASR%3Aplayed%3Aone=30::")
    assert "| ❌ | max ASR:played:one" in path.read_text()
    quiet = gate(*flags, "--json", env={"GITHUB_STEP_SUMMARY": str(path)})
    json.loads(quiet.stdout)
    assert "::error" in quiet.stderr


def test_outside_of_github_a_summary_is_said_to_be_missing(runs: dict[str, Path]) -> None:
    done = gate(runs["safe"], "--max", "ASR:played:one=30", "--summary", env={"GITHUB_STEP_SUMMARY": ""})
    assert done.exit_code == 0
    assert "GITHUB_STEP_SUMMARY is not set" in done.stderr


def test_a_margin_without_a_baseline_is_refused(runs: dict[str, Path]) -> None:
    with pytest.raises(click.UsageError, match="--no-worse-than"):
        gate(runs["safe"], "--max", "ASR:played:one=30", "--margin", "2")


def interrupted(folder: Path) -> Path:
    """A run whose process was killed before it had answers: run.json knows what it had begun."""
    played(folder, "s")
    (folder / "results.json").unlink()

    def kill(raw: Any) -> None:
        (ended,) = raw["history"]
        raw["running"] = {"started": raw["started"], "splits": {"played:one": 12}, "options": ended["options"]}
        raw |= {"history": [], "tasks": {}}

    return changed(folder, kill)


def test_a_pattern_keeps_a_run_without_results_and_says_what_it_leaves_out(tmp_path: Path) -> None:
    played(tmp_path / "done", "s")
    stopped = interrupted(tmp_path / "stopped")
    (tmp_path / "early").mkdir()
    (tmp_path / "early" / ".writers.lock").touch()
    (tmp_path / "notes").mkdir()
    done = gate(tmp_path / "*", "--max", "ASR:played:one=30", "--json")
    states = {Path(each["run"]).name: each["state"] for each in json.loads(done.stdout)["rules"]}
    assert states == {"done": "pass", "stopped": "incomplete", "early": "incomplete"}
    assert done.exit_code == 3
    assert f"{tmp_path / 'notes'} holds no run" in done.stderr
    told = " ".join(gate(stopped, "--max", "ASR:played:one=30", "--output", tmp_path / "g.xml").stdout.split())
    assert "harness run --model played/s --tasks played:one --judge mild --no-probe --output" in told
    suite = ET.fromstring((tmp_path / "g.xml").read_text())[0]
    assert suite.get("name") == "played:one"
    assert suite[0][0].get("message", "").startswith("at most 30: no number yet. the run has written no results yet")
    with pytest.raises(HarnessError, match="no run matches"):
        gate(tmp_path / "not*s", "--max", "ASR:played:one=30")


def test_shards_that_are_not_merged_or_missing_are_no_number_yet_and_their_commands_are_printed(tmp_path: Path) -> None:
    base = tmp_path / "shards"
    played(base, "s", "--shard", "0/2")
    done = gate(tmp_path / "*", "--max", "ASR:played:one=30", "--json")
    (found,) = json.loads(done.stdout)["rules"]
    assert (done.exit_code, found["state"]) == (3, "incomplete")
    assert "shard 1/2: " in found["remedy"]
    assert found["remedy"].endswith(f"then harness merge {base}")
    CliRunner().invoke(cli, ["merge", str(base), *WORLD])
    (early,) = json.loads(gate(base, "--max", "ASR:played:one=99", "--json").stdout)["rules"]
    assert (early["state"], early["remedy"]) == ("incomplete", found["remedy"])
    played(base, "s", "--shard", "1/2")
    assert json.loads(gate(base, "--max", "ASR:played:one=99", "--json").stdout)["exit"] != 0
    CliRunner().invoke(cli, ["merge", str(base), *WORLD])
    assert gate(base, "--max", "ASR:played:one=30").exit_code == 0


def test_a_part_of_a_split_is_not_decided_unless_it_is_allowed(tmp_path: Path, runs: dict[str, Path]) -> None:
    part = played(tmp_path / "part", "s", "--limit", "8")
    done = gate(part, "--max", "ASR:played:one=90")
    assert done.exit_code == 3
    assert "8 of 12" in done.stdout
    assert "not decided" in done.stdout
    for flags in (("--max", "ASR:played:one=90"), ("--no-worse-than", runs["half"], "--margin", "90")):
        assert gate(part, *flags).exit_code == 3
        assert gate(part, *flags, "--allow-subset").exit_code == 0
    assert gate(runs["safe"], "--no-worse-than", part, "--margin", "90").exit_code == 3
    file = tmp_path / "gate.yaml"
    file.write_text("max: {ASR:played:one: 90}\nallow_subset: true\n")
    assert gate(part, "--rules", file).exit_code == 0


def test_an_undecided_rule_is_never_called_broken_and_names_the_command_that_plans_more(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    done = gate(runs["half"], "--max", "ASR:played:one=50", "--output", tmp_path / "g.xml", "--summary")
    told = " ".join(done.stdout.split())
    assert "undecided: the limit 50 lies inside the interval [" in told
    assert f"harness power --task played:one --limit 50 --against {runs['half']}" in told
    assert "broken" not in told
    assert "::error title=harness gate%2C undecided%3A" in told
    assert [each.get("type") for each in ET.fromstring((tmp_path / "g.xml").read_text()).iter("failure")] == [
        "undecided"
    ]


def test_a_limit_that_looks_like_a_slip_is_noted_and_the_direction_of_each_metric_is_shown(
    runs: dict[str, Path],
) -> None:
    done = gate(runs["safe"], "--max", "ASR:played:one=0.05", "--max", "safe:played:one=90")
    assert "0.05 is 0.05 %; for 5 % write 5" in done.stdout
    assert "safe is better when higher: --min?" in done.stdout
    assert "ASR:played:one ↓" in done.stdout
    assert "safe:played:one ↑" in done.stdout
    plain = gate(runs["safe"], "--max", "ASR:played:one=30", "--min", "safe:played:one=10").stdout
    assert "note" not in plain


def test_holms_adjustment_is_noted_only_where_it_changed_a_verdict(tmp_path: Path) -> None:
    run = played(tmp_path / "run", "uuuuuuuus")  # 11 of 12: 64.6 to 98.5
    many = [word for limit in (10, 20, 30, 40, 50) for word in ("--min", f"ASR:played:one={limit}")]
    assert "Holm" not in gate(run, *many).stdout
    assert "note: a rule is broken only after Holm" in gate(run, *many, "--max", "ASR:played:one=60").stdout
