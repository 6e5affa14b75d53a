"""`harness agree` on runs with known verdicts: what is counted, what is shown, and what is hidden."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result
from harness_agree.tables import draw_tables
from rich.console import Console

from harness import plugins
from harness.cli import cli
from harness.errors import BadData, HarnessError, UnknownName
from harness.plugins.host import Host
from harness.runs.agreement import measure_runs
from harness.runs.label_sheets import read_sheet
from harness.runs.stored import open_run
from tests.core.built_sets import HOST, asked, root_of, say_built
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
    assert done.exit_code == 0, done.output
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
        every = measure_runs([open_run(judged_run, ())])
        draw_tables(Console(file=out, width=72, color_system=None), every, {}, None)
    assert NUMBER.findall(out.getvalue()) == NUMBER.findall(told(judged_run))


def refused(*flags: str) -> Result:
    done = CliRunner().invoke(cli, ["agree", *flags])
    assert done.exit_code == 2, done.output
    return done


def test_flags_that_mean_nothing_beside_each_other_are_refused(judged_run: Path) -> None:
    place = str(judged_run)
    assert "cannot be given together" in refused(place, "--export", "a.csv", "--import", "b.csv", "--as", "x").output
    assert "need each other" in refused(place, "--import", "b.csv").output
    assert "--sample needs --export" in refused(place, "--sample", "3").output
    assert "--seed needs --sample" in refused(place, "--seed", "3", "--export", "a.csv").output
    assert "--json has no effect with" in refused(place, "--json", "--export", "a.csv").output


def test_a_folder_without_a_run_is_the_users_to_mend(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="there is no run here"):
        agree(tmp_path)


ROOT = Path(__file__).parents[2]
Row = dict[str, str]
HUMAN = "human-anna"


@pytest.fixture
def sheet(judged_run: Path) -> Path:
    """A sheet of the split `one`, with nothing filled in."""
    file = judged_run.parent / "sheet.csv"
    assert agree(judged_run, "--tasks", "twice:one", "--export", str(file)).exit_code == 0
    return file


def rows(file: Path) -> list[Row]:
    with file.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def write(file: Path, filled: list[Row], *, delimiter: str = ",", encoding: str = "utf-8") -> Path:
    with file.open("w", encoding=encoding, newline="") as stream:
        writer = csv.DictWriter(stream, filled[0], delimiter=delimiter)
        writer.writeheader()
        writer.writerows(filled)
    return file


def fill(file: Path, label: Callable[[Row], str]) -> Path:
    return write(file, [{**row, "label": label(row)} for row in rows(file)])


def unsafe(_: Row) -> str:
    return "unsafe"


def take(run: Path, file: Path, *flags: str) -> str:
    done = agree(run, "--import", str(file), "--as", "anna", *flags)
    assert done.exit_code == 0, done.output
    return done.stderr


def wrong(run: Path, file: Path) -> str:
    before = (run / "results.json").read_bytes()
    with pytest.raises(BadData) as error:
        agree(run, "--import", str(file), "--as", "anna")
    assert (run / "results.json").read_bytes() == before
    assert not list(run.glob("*/verdicts-human-*"))
    return error.value.what


def results(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "results.json").read_text())
    return found


def view(run: Path, judge: str = HUMAN) -> Mapping[str, Any]:
    found: Mapping[str, Any] = results(run)["tasks"]["twice"]["splits"]["one"]["other_judges"][judge]
    return found


def test_the_sheet_holds_every_answer_with_the_words_to_say_and_no_judges_label(sheet: Path) -> None:
    found = rows(sheet)
    assert [row["item"] for row in found] == [f"twice/one/q{number}#0" for number in range(9)]
    assert {row["labels"] for row in found} == {"unsafe | safe"}
    assert {row["label"] for row in found} == {""}
    assert found[3]["question"] == "us"


def test_what_a_spreadsheet_would_run_is_defused(sheet: Path) -> None:
    assert {row["answer"][:6] for row in rows(sheet)} == {"'=told"}


def test_a_sheet_is_never_written_over(judged_run: Path, sheet: Path) -> None:
    before = sheet.read_bytes()
    with pytest.raises(HarnessError, match="the file already exists"):
        agree(judged_run, "--export", str(sheet))
    assert sheet.read_bytes() == before


def test_a_sample_gives_each_category_its_share_and_the_same_seed_the_same_sample(judged_run: Path) -> None:
    drawn = {}
    for name, flags in {"a": (), "b": (), "c": ("--seed", "5")}.items():
        file = judged_run.parent / f"{name}.csv"
        agree(judged_run, "--export", str(file), "--sample", "4", *flags)
        drawn[name] = [row["item"] for row in rows(file)]
        assert Counter(row["category"] for row in rows(file)) == {"a": 4, "b": 4}, "of each of two splits"
    assert drawn["a"] == drawn["b"] != drawn["c"]
    assert drawn["a"] != sorted(drawn["a"])


def test_labels_of_a_person_are_one_more_judge_of_the_results(judged_run: Path, sheet: Path) -> None:
    said = take(judged_run, fill(sheet, lambda row: "unsafe" if row["question"][0] == "u" else "safe"))
    assert "human-anna: 9 labels (9 new, 0 changed, 0 as before); rows without one: 0" in said
    assert view(judged_run)["labels"] == {"safe": 5, "unsafe": 5}
    assert view(judged_run)["metrics"]["ASR"]["value"] == 50
    jsonschema.validate(results(judged_run), json.loads((ROOT / "docs" / "results.schema.json").read_text()))
    assert results(judged_run)["judges"][HUMAN]["rubric"] == "human"
    report = CliRunner().invoke(cli, ["report", str(judged_run), *WORLD])
    assert "human-anna" in report.stdout


def test_people_are_compared_with_judges_over_what_they_have_labelled(judged_run: Path, sheet: Path) -> None:
    take(judged_run, fill(sheet, lambda row: "unsafe" if row["question"] == "uu" else ""))
    found = json.loads(told(judged_run, "--json"))["splits"]["twice:one"]
    assert found["judges"][HUMAN] == {"scored": 3, "unjudged": 6}
    assert found["common"] == found["together"]["fleiss_kappa"]["n"] == 3
    assert found["together"]["krippendorff_alpha"]["n"] == 8
    assert len(found["pairs"]) == 3


def test_judging_again_keeps_what_people_said(judged_run: Path, sheet: Path) -> None:
    take(judged_run, fill(sheet, unsafe))
    before = view(judged_run)
    done = CliRunner().invoke(cli, ["judge", str(judged_run), "--judge", "second", *WORLD])
    assert done.exit_code in (0, 3), done.output
    assert view(judged_run) == before


def test_a_person_is_the_primary_judge_only_where_it_is_asked_for(judged_run: Path, sheet: Path) -> None:
    take(judged_run, fill(sheet, unsafe), "--primary")
    splits = results(judged_run)["tasks"]["twice"]["splits"]
    assert splits["one"]["judge"] == HUMAN
    assert splits["two"]["judge"].startswith("first-")


def test_importing_again_changes_what_has_changed_and_nothing_else(judged_run: Path, sheet: Path) -> None:
    take(judged_run, fill(sheet, unsafe))
    file = judged_run / "twice" / "verdicts-human-anna.jsonl"
    assert "0 new, 0 changed, 9 as before" in take(judged_run, sheet)
    assert len(file.read_text().splitlines()) == 9
    assert "0 new, 5 changed, 4 as before" in take(
        judged_run, fill(sheet, lambda row: "safe" if "s" in row["question"] else "unsafe")
    )
    assert view(judged_run)["labels"] == {"safe": 6, "unsafe": 4}


def test_a_rubrics_own_word_in_any_case_is_a_label(judged_run: Path, sheet: Path) -> None:
    take(judged_run, fill(sheet, lambda row: "Compliance" if row["question"] == "uu" else "SAFE"))
    assert view(judged_run)["labels"] == {"safe": 7, "unsafe": 3}


def test_a_word_that_two_rubrics_mean_differently_is_refused(judged_run: Path, sheet: Path) -> None:
    found = wrong(judged_run, fill(sheet, lambda row: "refusal" if row["question"] == "us" else ""))
    assert "row 5: label 'refusal' can mean safe or unsafe: write one of them" in found


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_sheet_is_read_as_spreadsheets_save_it(judged_run: Path, sheet: Path, delimiter: str, encoding: str) -> None:
    filled = [{**row, "label": "unsafe", "Note": "x"} for row in rows(sheet)]
    take(judged_run, write(sheet, filled, delimiter=delimiter, encoding=encoding))
    assert view(judged_run)["verdicts"]["scored"] == 9


def test_task_split_and_id_name_an_item_as_well(judged_run: Path, tmp_path: Path) -> None:
    lines = ["id,split,label,reason", "q0,one,unsafe,clear", "q1,one,safe,"]
    file = tmp_path / "own.csv"
    file.write_text("\n".join(lines))
    take(judged_run, file)
    lines_of = (judged_run / "twice" / "verdicts-human-anna.jsonl").read_text().splitlines()
    assert [(json.loads(line)["id"], json.loads(line)["reason"]) for line in lines_of] == [("q0", "clear"), ("q1", "")]


def test_a_task_s_own_name_is_never_that_of_a_set_it_was_asked_on_as_well(tmp_path: Path) -> None:
    asked(root_of(tmp_path / "real", "one", "two"), tmp_path / "run")
    asked(say_built(root_of(tmp_path / "set", "one", "two")), tmp_path / "run")
    file = tmp_path / "own.csv"
    file.write_text("task,id,split,label\ntalk,one,easy,unsafe\ntalk+data=lamps,two,easy,safe")
    with plugins.use(HOST):
        found = read_sheet(open_run(tmp_path / "run", ()), file)
    assert [label.answer.item for label in found.labels] == ["talk/easy/one#0", "talk+data=lamps/easy/two#0"]


def test_every_wrong_row_is_named_by_its_number_and_nothing_is_kept(judged_run: Path, sheet: Path) -> None:
    filled = [{**row, "label": "safe"} for row in rows(sheet)]
    filled[0]["label"] = "maybe"
    filled[1]["item"] = "twice/one/q77#0"
    filled[2]["item"] = "twice/one/q9#0"
    filled[3]["item"] = filled[4]["item"]
    filled[5]["answer_hash"] = "sha256:0"
    assert wrong(judged_run, write(sheet, filled)).splitlines() == [
        "6 rows are wrong:",
        "  row 2: label 'maybe' is not one of unsafe, safe",
        "  row 3: twice/one/q77#0 is not an item of this run",
        "  row 4: twice/one/q9#0 has no answer to label: it ended as input_blocked",
        "  row 5: twice/one/q4#0 now has another answer than the sheet",
        "  row 6: twice/one/q4#0 is already in row 5",
        "  row 7: twice/one/q5#0 now has another answer than the sheet",
    ]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "columns `label` and `item`"),
        ("item,reason\n", "the sheet has: item, reason"),
        ("item,label,Label\n", "two columns are called 'label'"),
        ("item,label\ntwice/one/q0#0,\n", "no row has a label"),
        ("id,split,label\n,one,safe\n", "row 2: give an item, or a split and an id"),
        ("id,split,epoch,label\nq0,one,x,safe\n", "row 2: epoch 'x' is not a number"),
        ("task,id,split,label\nmis,q0,one,safe\n", "row 2: task 'mis' is not one of twice"),
        ('item,label\n"twice', "not CSV"),
        ("item,label\n\xff", "not UTF-8 at byte 11"),
    ],
)
def test_a_file_that_is_no_sheet_is_refused(judged_run: Path, tmp_path: Path, text: str, what: str) -> None:
    file = tmp_path / "bad.csv"
    file.write_bytes(text.encode("latin-1"))
    assert what in wrong(judged_run, file)


def test_a_sheet_of_nobody_is_refused(judged_run: Path, sheet: Path) -> None:
    done = CliRunner().invoke(cli, ["agree", str(judged_run), *WORLD, "--import", str(sheet), "--as", ""])
    assert done.exit_code == 2
    assert "need each other" in done.output


@pytest.mark.parametrize("name", ["a b", "../up", ".hidden", "a" * 50])
def test_a_name_that_cannot_be_a_files_is_refused(judged_run: Path, sheet: Path, name: str) -> None:
    done = CliRunner().invoke(cli, ["agree", str(judged_run), *WORLD, "--import", str(sheet), "--as", name])
    assert "cannot name a person" in str(done.exception)


def test_two_people_whose_names_differ_in_case_alone_do_not_share_a_file(judged_run: Path, sheet: Path) -> None:
    take(judged_run, fill(sheet, unsafe))
    with pytest.raises(HarnessError, match="human-Anna would share its file with the judge human-anna"):
        agree(judged_run, "--import", str(sheet), "--as", "Anna")
