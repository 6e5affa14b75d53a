"""Labels of people: a sheet goes out, comes back filled in, and is one more judge or is refused row by row."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner
from harness_agree.sheets import read_sheet

from harness import plugins
from harness.cli import cli
from harness.errors import BadData, HarnessError
from harness.runs.stored import open_run
from tests.core.built_sets import HOST, asked, root_of, say_built
from tests.plugins.agree_asking import WORLD, agree, told

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
    with pytest.raises(HarnessError, match="the file is there already"):
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
    assert "row 5: label 'refusal' can mean safe or unsafe: write which" in found


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
        "  row 2: label 'maybe' is none of unsafe, safe",
        "  row 3: twice/one/q77#0 is not an item of this run",
        "  row 4: twice/one/q9#0 has no answer to label: it ended as input_blocked",
        "  row 5: twice/one/q4#0 has another answer now than the sheet shows",
        "  row 6: twice/one/q4#0 is in row 5 already",
        "  row 7: twice/one/q5#0 has another answer now than the sheet shows",
    ]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "columns `label` and `item`"),
        ("item,reason\n", "there are: item, reason"),
        ("item,label,Label\n", "two columns are called 'label'"),
        ("item,label\ntwice/one/q0#0,\n", "no row has a label"),
        ("id,split,label\n,one,safe\n", "row 2: neither an item nor a split and an id"),
        ("id,split,epoch,label\nq0,one,x,safe\n", "row 2: epoch 'x' is not a number"),
        ("task,id,split,label\nmis,q0,one,safe\n", "row 2: task 'mis' is none of twice"),
        ('item,label\n"twice', "not CSV"),
        ("item,label\n\xff", "not UTF-8 at byte 11"),
    ],
)
def test_a_file_that_is_no_sheet_is_refused(judged_run: Path, tmp_path: Path, text: str, what: str) -> None:
    file = tmp_path / "bad.csv"
    file.write_bytes(text.encode("latin-1"))
    assert what in wrong(judged_run, file)


@pytest.mark.parametrize("name", ["", "a b", "../up", ".hidden", "a" * 50])
def test_a_name_that_cannot_be_a_files_is_refused(judged_run: Path, sheet: Path, name: str) -> None:
    done = CliRunner().invoke(cli, ["agree", str(judged_run), *WORLD, "--import", str(sheet), "--as", name])
    assert done.exit_code != 0
    assert "cannot name a person" in str(done.exception) or "belong together" in done.output


def test_two_people_whose_names_differ_in_case_alone_do_not_share_a_file(judged_run: Path, sheet: Path) -> None:
    take(judged_run, fill(sheet, unsafe))
    with pytest.raises(HarnessError, match="human-Anna would share its file with the judge human-anna"):
        agree(judged_run, "--import", str(sheet), "--as", "Anna")
