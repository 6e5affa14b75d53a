"""`harness agree` on runs with known verdicts: what is counted, what is shown, and what is hidden."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from harness_agree.agreement import measure_split
from harness_agree.tables import draw_tables
from rich.console import Console

from harness import plugins
from harness.cli import cli
from harness.errors import HarnessError, UnknownName
from harness.plugins.host import Host
from harness.runs.stored import open_run
from tests.plugins.agree_asking import SOURCE, WORLD, agree, judged, told

NUMBER = re.compile(r"\d+\.\d+|(?<= )\d+(?= |$)", re.MULTILINE)


def split(run: Path, *flags: str, name: str = "twice:one") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(told(run, "--json", *flags))["splits"][name]
    return found


def test_two_judges_are_compared_in_the_splits_words_over_the_answers_both_have_scored(judged_run: Path) -> None:
    found = split(judged_run)
    (pair,) = found["pairs"]
    assert (found["records"], found["answered"], found["labels"]) == (10, 9, ["unsafe", "safe"])
    assert [name.rpartition("-")[0] for name in pair["judges"]] == ["first", "second"]
    assert (pair["n"], pair["not_common"], pair["confusion"]) == (8, 1, [[3, 1], [1, 3]])
    assert (pair["agreement"]["value"], pair["kappa"]["value"]) == (75.0, 0.5)
    assert pair["kappa"]["ci95"][0] < 0.5 < pair["kappa"]["ci95"][1]


def test_each_judge_says_why_it_has_not_scored_the_rest(judged_run: Path) -> None:
    states = {name.rpartition("-")[0]: states for name, states in split(judged_run)["judges"].items()}
    assert states == {"first": {"scored": 9}, "second": {"scored": 8, "judge_unparsable": 1}}


def test_the_main_metric_stands_under_each_judge_over_all_and_over_what_all_have_scored(judged_run: Path) -> None:
    main = split(judged_run)["main_metric"]
    views = {name.rpartition("-")[0]: view for name, view in main["judges"].items()}
    assert main["name"] == "ASR"
    assert (views["first"]["value"], views["second"]["value"]) == (50.0, pytest.approx(400 / 9))
    assert (views["first"]["coverage"], views["second"]["coverage"]) == (1.0, 0.9)
    assert (views["first"]["common"], views["second"]["common"], main["range"]) == (50.0, 50.0, [50.0, 50.0])
    whole = json.loads((judged_run / "results.json").read_text())["tasks"]["twice"]["splits"]["one"]
    assert whole["metrics"]["ASR"]["value"] == views["first"]["value"]


def test_the_same_run_gives_the_same_numbers(judged_run: Path) -> None:
    assert told(judged_run, "--json") == told(judged_run, "--json")


def test_disagreements_are_listed_by_item_and_nothing_that_was_said_is_shown(judged_run: Path) -> None:
    found = split(judged_run)["disagreements"]
    assert [(each["item"], sorted(each["labels"].values())) for each in found] == [
        ("twice/one/q3#0", ["safe", "unsafe"]),
        ("twice/one/q4#0", ["safe", "unsafe"]),
    ]
    for shown in (told(judged_run), told(judged_run, "--json")):
        assert "told us" not in shown
        assert "heard" not in shown


def test_texts_and_reasons_are_shown_where_they_are_asked_for(judged_run: Path) -> None:
    (first,) = split(judged_run, "--reveal", "--show", "1")["disagreements"]
    assert (first["question"], first["answer"]) == ("us", "=told us\nand [bold]more[/bold]")
    assert sorted(first["reasons"].values()) == ["first heard u", "second heard s"]
    shown = told(judged_run, "--reveal", "--show", "1")
    assert "[bold]more[/bold]" in shown
    assert "second heard s" in shown
    assert "told su" not in shown


def test_a_derived_split_is_pooled_from_its_parts(judged_run: Path) -> None:
    (pair,) = split(judged_run, name="twice:both")["pairs"]
    assert (pair["n"], pair["confusion"]) == (16, [[6, 2], [2, 6]])
    alone = json.loads(told(judged_run, "--tasks", "twice:both", "--json"))["splits"]
    assert (list(alone), alone["twice:both"]["pairs"][0]) == (["twice:both"], pair)


def test_only_the_splits_and_judges_that_are_named_are_compared(judged_run: Path) -> None:
    found = json.loads(told(judged_run, "--tasks", "twice:two", "--judges", "first,second", "--json"))["splits"]
    assert list(found) == ["twice:two"]
    with pytest.raises(UnknownName, match="--judges frist: no judge of this run") as error:
        agree(judged_run, "--judges", "frist")
    assert "did you mean 'first" in error.value.remedy


def test_a_rubric_is_known_by_its_whole_name_and_not_by_what_it_begins_with(tmp_path: Path) -> None:
    run = judged(tmp_path / "run", tasks="twice:one")
    done = CliRunner().invoke(cli, ["judge", str(run), "--judge", "first-strict", "--no-probe", *WORLD])
    assert done.exit_code == 0, done.output
    shown = [judge.rpartition("-")[0] for judge in split(run, "--judges", "first,second")["judges"]]
    assert shown == ["first", "second"]
    assert len(split(run, "--judges", "first-strict,second")["judges"]) == 2
    assert len(split(run)["judges"]) == 3
    flags = ("--combine", "majority", "--members", "first,second", "--json")
    made = json.loads(CliRunner().invoke(cli, ["judge", str(run), *flags, *WORLD]).stdout)["judges"]
    (members,) = [card["settings"]["of"] for card in made.values() if card["rubric"] == "combine-majority"]
    assert [judge.rpartition("-")[0] for judge in members] == ["first", "second"]


def test_one_judge_alone_is_told_how_to_get_a_second(judged_run: Path) -> None:
    with pytest.raises(HarnessError, match="no split of this run has been judged by two") as error:
        agree(judged_run, "--judges", "first")
    assert "harness judge RUN --judge" in error.value.remedy


def test_an_ensemble_is_left_out_unless_it_is_named(judged_run: Path) -> None:
    done = CliRunner().invoke(cli, ["judge", str(judged_run), "--combine", "majority", *WORLD])
    assert done.exception is None or done.exit_code == 3, done.output
    assert len(split(judged_run)["judges"]) == 2
    assert len(split(judged_run, "--judges", "first,combine-majority")["judges"]) == 2


def test_judges_that_never_differ_have_no_kappa_and_it_is_said_why(tmp_path: Path) -> None:
    run = judged(tmp_path / "same", asks="ss ss ss")
    found = split(run)
    assert found["pairs"][0]["kappa"] == {
        "n": 3,
        "value": None,
        "ci95": None,
        "why": "one label only: chance alone would agree always",
    }
    assert "A B, Fleiss' kappa, Krippendorff's alpha: one label only" in told(run)


def test_judges_without_an_answer_in_common_have_no_number(tmp_path: Path) -> None:
    run = judged(tmp_path / "apart", asks="u? ?s u?")
    (pair,) = split(run)["pairs"]
    assert (pair["n"], pair["agreement"]["value"], pair["agreement"]["why"]) == (0, None, "no item in common")
    assert split(run)["main_metric"]["range"] is None
    shown = told(run, "--tasks", "twice:one")
    assert "no item in common" in shown
    assert "B →" not in shown  # no table of labels without a label


def test_the_table_names_each_judge_once_and_shows_every_number(judged_run: Path) -> None:
    shown = told(judged_run)
    lines = [line.split() for line in shown.splitlines()]
    assert shown.startswith("twice:one  said/x\n  10 records · 9 answered · 8 scored by all\n")
    assert any(line[:1] == ["A"] and line[1].startswith("first-") and line[2:] == ["9"] for line in lines)
    assert any(line[:1] == ["B"] and line[2:] == ["8", "judge_unparsable", "1"] for line in lines)
    assert any(line[:6] == ["A", "B", "Cohen's", "kappa", "8", "75.0"] and "0.500" in line for line in lines)
    assert ["unsafe", "3", "1"] in lines
    assert ["range", "50.0", "to", "50.0"] in lines
    assert "2 answers are labelled differently; texts are folded (--reveal)" in shown
    assert all(line == line.rstrip() for line in shown.splitlines())


def test_no_number_is_cut_on_a_narrow_terminal(judged_run: Path) -> None:
    out = io.StringIO()
    with plugins.use(Host.load([SOURCE])):
        every = [measure_split(each) for each in open_run(judged_run, ()).load_splits()]
        draw_tables(Console(file=out, width=72, color_system=None), "said/x", every, {}, None)
    assert NUMBER.findall(out.getvalue()) == NUMBER.findall(told(judged_run))


def refused(*flags: str) -> Result:
    done = CliRunner().invoke(cli, ["agree", *flags])
    assert done.exit_code == 2, done.output
    return done


def test_flags_that_mean_nothing_beside_each_other_are_refused(judged_run: Path) -> None:
    place = str(judged_run)
    assert "two commands" in refused(place, "--export", "a.csv", "--import", "b.csv", "--as", "x").output
    assert "belong together" in refused(place, "--import", "b.csv").output
    assert "--sample needs --export" in refused(place, "--sample", "3").output
    assert "--seed needs --sample" in refused(place, "--seed", "3", "--export", "a.csv").output
    assert "--json has no effect with" in refused(place, "--json", "--export", "a.csv").output


def test_a_folder_without_a_run_is_the_users_to_mend(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="there is no run here"):
        agree(tmp_path)
