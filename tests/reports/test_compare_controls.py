"""`harness compare --controls`: each model's run beside its runs under attacks, paired, in every format."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from harness_compare.controls import render_controls

import harness
from harness import plugins
from harness.cli import cli
from harness.contracts import Attack, Attacked
from harness.errors import HarnessError
from harness.plugins import Host
from harness.runs.comparing.controls import compare_controls
from harness.testing.fakes import fake_judge, fake_provider, fake_sample, fake_task, host_of
from harness.types import Sample

HOST = Host.load(tell=lambda _: None)


def command(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, ["compare", "--controls", *map(str, words)])


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """`mini/mirage`, which looks at its images, plain and under controls."""
    base = tmp_path_factory.mktemp("controls")
    folders = {name: base / (name or "plain") for name in ("", "order", "blank", "drop")}
    with plugins.use(HOST):
        for name, folder in folders.items():
            harness.run("mini/mirage", "mis:mini", attack=name, output=folder, limit=16)
    return folders


def test_the_table_of_the_mini_world_shows_what_its_model_needs_the_images_for(runs: dict[str, Path]) -> None:
    with plugins.use(HOST):
        table = compare_controls(list(runs.values()))
    rows = {row.attack: row for row in table.rows}
    assert {row.model for row in table.rows} == {"mini/mirage"}
    assert [rows[name].difference for name in ("order", "blank", "drop")] == [0.0, 100.0, 100.0]
    drop, order = rows["drop"], rows["order"]
    assert drop.ci95 is not None
    assert drop.ci95[0] > 50
    assert (drop.resolved, drop.plain, drop.value, drop.control) == (16, 0.0, 100.0, True)
    assert drop.p_holm is not None
    assert (order.may_change, drop.may_change) == (16, 0), "each question says `first image`"
    assert {(row.plain_of, row.value_of) for row in table.rows} == {(16.0, 16.0)}


def test_only_items_that_both_runs_resolved_are_said_to_change_and_each_number_says_what_it_is_divided_by(
    tmp_path: Path,
) -> None:
    with plugins.use(HOST):
        plain = harness.run("mini/mirage", "mis:mini", output=tmp_path / "plain", limit=8)
        under = harness.run("mini/mirage", "mis:mini", attack="order", output=tmp_path / "order", limit=16, epochs=3)
        (row,) = compare_controls([plain.folder, under.folder]).rows
        said = command(plain.folder, under.folder).stdout
    assert (row.common, row.resolved, row.may_change, row.plain_of, row.value_of) == (8, 8, 8, 8.0, 8.0)
    line = next(line for line in said.splitlines() if line.startswith("order "))
    assert "8 of 8" in line
    assert line.split()[1] == "8"


def test_numbers_that_are_divided_by_different_counts_say_both(runs: dict[str, Path]) -> None:
    with plugins.use(HOST):
        table = compare_controls([runs[""], runs["drop"]])
    odd = replace(table, rows=tuple(replace(row, plain_of=14.0) for row in table.rows))
    for form in ("terminal", "markdown"):
        assert "14 / 16" in render_controls(odd, form)
    (line,) = csv.DictReader(io.StringIO(render_controls(odd, "csv")))
    assert (line["plain_of"], line["value_of"]) == ("14.0", "16.0")


def test_the_runs_may_come_in_any_order_and_by_a_pattern(runs: dict[str, Path]) -> None:
    first = command(*runs.values(), "--format", "json")
    second = command(*reversed(runs.values()), "--format", "json")
    third = command(runs[""].parent / "*", "--format", "json")
    found = [sorted(row["attack"] for row in json.loads(each.stdout)["rows"]) for each in (first, second, third)]
    assert found[0] == found[1] == found[2] == ["blank", "drop", "order"]


def test_the_terminal_names_the_split_once_and_each_control_in_a_row(runs: dict[str, Path]) -> None:
    said = command(*runs.values()).stdout
    assert "mini/mirage · mis:mini · ASR % ↓" in said
    row = next(line.split() for line in said.splitlines() if line.startswith("drop "))
    assert row[:5] == ["drop", "16", "0.0", "100.0", "+100.0"]
    assert "toy data: shows the tool, measures nothing: mis:mini" in said
    assert "May change" in said


def test_the_other_forms_hold_the_same_rows(runs: dict[str, Path], tmp_path: Path) -> None:
    assert "| drop | 16 | 0.0 | 100.0 | +100.0 |" in command(*runs.values(), "--format", "markdown").stdout
    (line,) = [
        row
        for row in csv.DictReader(io.StringIO(command(*runs.values(), "--format", "csv").stdout))
        if row["attack"] == "drop"
    ]
    assert (line["difference"], line["resolved"], line["control"]) == ("100.0", "16", "True")
    assert command(*runs.values(), "--output", tmp_path / "table.md").exit_code == 0
    assert "| drop |" in (tmp_path / "table.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--by", "category"), "--by has no effect with --controls"),
        (("--show", "3"), "--show has no effect"),
        (("--group-by", "seed"), "--group-by has no effect"),
        (("--format", "html"), "--controls has no html form"),
    ],
)
def test_flags_that_mean_nothing_there_are_refused(flags: tuple[str, ...], said: str, runs: dict[str, Path]) -> None:
    found = command(*runs.values(), *flags)
    assert found.exit_code == 2
    assert said in found.stderr


def test_a_model_needs_one_run_without_an_attack_and_one_with(runs: dict[str, Path], tmp_path: Path) -> None:
    with plugins.use(HOST):
        harness.run("mini/mirage", "mis:mini", output=tmp_path / "again", limit=4)
        for given, said in (
            ([runs["drop"], runs["blank"]], "no run of mini/mirage without an attack"),
            ([runs[""]], "no run of mini/mirage under an attack"),
            ([runs[""], tmp_path / "again", runs["drop"]], "2 runs of mini/mirage without an attack"),
        ):
            with pytest.raises(HarnessError, match=said):
                compare_controls(given)


def same(sample: Sample, *_: object) -> Attacked:
    return Attacked(request=sample.request)


SAME = Attack(
    name="same",
    version="1",
    description="nothing",
    apply=same,
    check=lambda sample, _: "odd" if sample.id == "q9" else "",
    variants=1,
)


def hosted(said: str) -> Host:
    samples = [fake_sample(f"q{n}", text=f"question {n}") for n in range(10)]
    return host_of(fake_provider(said), fake_task(lambda: samples), fake_judge(), SAME)


def answered(folder: Path, said: str, attack: str = "", **options: Any) -> Path:
    """A run of ten questions, one of which the attack cannot take."""
    with plugins.use(hosted(said)):
        harness.run("fake/one", "fake", attack=attack, output=folder, probe=False, min_coverage=0.0, **options)
    return folder


def test_items_that_the_attack_cannot_take_are_outside_the_difference_and_widen_its_worst_case(tmp_path: Path) -> None:
    plain, under = answered(tmp_path / "plain", "no"), answered(tmp_path / "same", "yes", "same")
    with plugins.use(hosted("no")):
        table = compare_controls([plain, under])
    (row,) = table.rows
    assert (row.common, row.resolved, row.difference, row.control) == (10, 9, 100.0, False)
    assert row.ci95_worst is not None
    said = render_controls(table, "terminal")
    assert "fake:all under same: 1 of 10 items are not resolved in both" in said
    assert "worst case" in said


def test_several_models_have_a_table_each_and_settings_tell_their_groups_apart(tmp_path: Path) -> None:
    asked = {"a": ("", ""), "b": ("same", ""), "c": ("", "Be."), "d": ("same", "Be.")}
    runs = [answered(tmp_path / name, "no", attack, system=system) for name, (attack, system) in asked.items()]
    with plugins.use(hosted("no")):
        table = compare_controls(runs)
    found = [(row.model, Path(row.run).name) for row in table.rows]
    assert found == [("fake/one", "b"), ("fake/one + system prompt", "d")]


def test_a_comparison_of_two_says_that_only_the_attack_differs(runs: dict[str, Path]) -> None:
    said = CliRunner().invoke(cli, ["compare", str(runs[""]), str(runs["drop"])]).stdout
    assert "the same samples, and only the attack differs: B - A is the difference that it makes" in said
    assert "mini/mirage + attack drop" in said
