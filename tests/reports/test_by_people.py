"""The number that people's labels give, beside the judge's, in every report."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from harness_csv import render as as_csv
from harness_excel.workbook import build_workbook
from harness_html import render as as_page
from harness_html.figures import draw_figures
from harness_html.page import list_numbers
from harness_json import render as as_json
from harness_latex import render as as_latex
from harness_markdown import render as as_markdown
from openpyxl import load_workbook

from harness.board.leaderboard import boards, list_flags
from harness.board.palette import LIGHT
from harness.board.results import find_fault
from harness.board.sheet import CORRECTED
from harness.runs.results import to_frame
from harness.testing.results import Body, judged
from tests.reports.labelled_runs import ALPHA, ANNOTATORS, JUDGE, corrected, run_labelled
from tests.reports.test_text_formats import compiled

LABELLED = run_labelled("x/a", 800, corrected(alpha=ALPHA, annotators=ANNOTATORS))
ALONE = run_labelled("x/b", 500, corrected(44.0, adds_nothing=True))
PLAIN = run_labelled("x/c", 300)
TOO_FEW = run_labelled("x/d", 200, corrected(None))
EVERY = [LABELLED, ALONE, PLAIN, TOO_FEW]
WHY = "12 answers are labelled, and 40 are needed"


def words(html: str) -> str:
    """The text that a browser would show."""
    found: list[str] = []
    parser = HTMLParser()
    parser.handle_data = found.append  # type: ignore[method-assign]
    parser.feed(html)
    return " ".join(" ".join(found).split())


def without_escapes(text: str) -> str:
    return re.sub(r"\\(?=\W)", "", text).replace("{[}", "[").replace("{]}", "]")


FORMATS: Mapping[str, Callable[[list[Body]], str]] = {
    "markdown": lambda runs: without_escapes(as_markdown(runs)),
    "latex": lambda runs: without_escapes(as_latex(runs)),
    "html": lambda runs: words(as_page(runs)),
    "json": lambda runs: "\n".join(list_flags(boards(runs)[0])),
}


@pytest.mark.parametrize("name", FORMATS)
def test_the_number_by_people_stands_with_its_labels_and_how_far_people_agree(name: str) -> None:
    text = FORMATS[name](EVERY)
    assert "x/a: by people ASR 73.0 [69.0, 77.2], from labels of 120 answers, for all 1000" in text
    assert "alpha 0.812 [0.700, 0.900] on 48 answers" in text
    assert (
        "ASR by each person alone: anna 71.5 [66.0, 77.0] (80 labels), ben none (20 labels: 20 answers are labelled"
        in text
    )


@pytest.mark.parametrize("name", FORMATS)
def test_one_annotator_alone_is_shown_with_an_unknown_agreement_and_a_judge_that_adds_nothing_is_told(
    name: str,
) -> None:
    text = FORMATS[name](EVERY)
    assert "x/b: by people ASR 44.0 [40.0, 48.2], from labels of 120 answers, for all 1000; agreement unknown;" in text
    assert "the judge adds nothing: as many labels without a judge would be about as exact" in text


@pytest.mark.parametrize("name", FORMATS)
def test_labels_that_give_no_number_say_why_and_change_nothing_else(name: str) -> None:
    text = FORMATS[name]([TOO_FEW, PLAIN])
    assert f"x/d: no number by people of ASR: {WHY}." in text
    assert "not on the number by people" not in text


@pytest.mark.parametrize("name", FORMATS)
def test_ranks_stay_those_of_the_judge_and_every_report_says_so(name: str) -> None:
    assert "Ranks rest on the judge's number, not on the number by people." in FORMATS[name](EVERY)
    best = boards([run_labelled("x/a", 300, corrected(90.0)), run_labelled("x/b", 500, corrected(10.0))])[0].rows
    assert [(row.model, row.rank) for row in best] == [("x/a", 1), ("x/b", 2)]


def test_reports_without_labels_have_no_column_and_no_word_of_people() -> None:
    for render in (as_markdown, as_latex, as_page):
        assert "by people" not in render([PLAIN]).lower()


def test_markdown_and_latex_have_a_column_behind_the_main_number() -> None:
    assert "| 73.0 [69.0, 77.2] (120 labels) |" in as_markdown(EVERY)
    assert r"& 73.0 {\scriptsize [69.0, 77.2]} &" in as_latex(EVERY)
    assert r"\textemdash{} & 70.0" in as_latex(EVERY)


def test_a_sheet_has_five_columns_in_full_precision() -> None:
    rows = {(row["model"], row["metric"]): row for row in csv.DictReader(io.StringIO(as_csv(EVERY)))}
    assert [rows["x/a", "ASR"][name] for name in CORRECTED] == ["73.0", "69.0", "77.25", "120", ""]
    assert [rows["x/d", "ASR"][name] for name in CORRECTED] == ["", "", "", "12", WHY]
    assert [rows["x/a", "RSR"][name] for name in CORRECTED] == [""] * 5
    page = {(row["model"], row["metric"]): row for row in list_numbers(boards(EVERY))}
    assert [page["x/a", "ASR"][name] for name in CORRECTED] == [73.0, 69.0, 77.25, 120, ""]


def test_a_frame_has_the_same_columns() -> None:
    rows = {(row["model"], row["metric"]): row for row in to_frame(EVERY).to_dict("records")}
    assert [rows["x/a", "ASR"][name] for name in CORRECTED] == [73.0, 69.0, 77.25, 120, ""]
    assert rows["x/d", "ASR"]["corrected_why"] == WHY
    assert pd.isna(rows["x/c", "ASR"]["labels"])


def test_a_workbook_has_them_on_the_sheet_of_the_board() -> None:
    book = load_workbook(io.BytesIO(build_workbook(EVERY)))
    head, *rows = book["mis test"].iter_rows(values_only=True)
    place = head.index("ASR by people %")
    assert head[place : place + 5] == (
        "ASR by people %",
        "By people 95% low",
        "By people 95% high",
        "Labels",
        "By people none because",
    )
    assert rows[-1][place : place + 4] == (73, 69, 77.25, 120)
    assert rows[0][place : place + 5] == (None, None, None, 12, WHY)
    assert "ASR by people %" not in [
        cell.value for cell in load_workbook(io.BytesIO(build_workbook([PLAIN])))["mis test"][1]
    ]


def test_json_holds_all_of_it() -> None:
    rows = {row["model"]: row for row in json.loads(as_json(EVERY))["boards"][0]["rows"]}
    found = rows["x/a"]["measures"][0]["corrected"]
    assert (found["value"], found["ci95"], found["labels"], found["alpha_n"]) == (73.0, [69.0, 77.25], 120, 48)
    assert found["annotators"]["human-anna"]["value"] == 71.5
    assert [part["labels"] for part in found["parts"]] == [60, 60]
    assert rows["x/c"]["measures"][0]["corrected"] is None


def test_the_page_has_a_second_line_in_the_cell_and_a_table_of_what_it_rests_on() -> None:
    text = words(as_page(EVERY))
    assert "by people 73.0 [69.0, 77.2] 120 labels" in text
    assert "By people: what labels say of these numbers" in text
    assert "unsafe 60 of 800: 90.0 safe 60 of 200: 5.0" in text
    assert f"none: {WHY}" in text
    assert "It changes no rank, since not every model has labels." in text


def test_the_forest_has_a_diamond_for_each_number_by_people() -> None:
    (forest,) = [each for each in draw_figures(boards(EVERY)) if each.name == "forest-mis-test"]
    assert "diamonds below are what people's labels say, with 95% intervals, of 2 models;" in forest.caption
    assert forest.table[0] == ("Model", "ASR % ↓", "By people", "n")
    assert ("x/a", "80.0 [77.4, 82.4], 800 of 1,000", "73.0 [69.0, 77.2]", "1,000") in forest.table
    assert forest.svg.count('stroke-dasharray="3 2"') == 2
    assert forest.svg.count(f'fill="{LIGHT.people}"') == 2
    (plain,) = [each for each in draw_figures(boards([PLAIN, ALONE])) if each.name == "forest-mis-test"]
    assert "of 1 model;" in plain.caption


def test_metrics_that_rest_on_the_same_labels_share_a_sentence() -> None:
    run = run_labelled("x/a", 800, corrected(alpha=ALPHA, annotators=ANNOTATORS))
    metrics = run["tasks"]["mis"]["splits"]["test"]["metrics"]
    metrics["RSR"]["corrected"] = corrected(27.0, alpha=ALPHA, annotators=ANNOTATORS, adds_nothing=True)
    (told,) = [each for each in list_flags(boards([run])[0]) if each.startswith("x/a")]
    assert told.startswith("x/a: by people ASR 73.0 [69.0, 77.2], RSR 27.0 [23.0, 31.2], from labels of 120 answers")
    assert "; of RSR the judge adds nothing: " in told
    assert told.count("anna") == 1


def test_a_person_who_labelled_a_drawn_part_has_no_table_of_his_own() -> None:
    part = judged({"ASR": 60, "RSR": 60}, main="ASR", unjudged=880)
    run = run_labelled("x/a", 800, corrected(), other_judges={"human-anna": part})
    run["judges"]["human-anna"]["rubric"] = "human"
    assert [row.judge.id for board in boards([run]) for row in board.rows] == [JUDGE]
    mean: Body = {**run, "model": {**run["model"], "seeds": [{"ref": "x/a", "seed": seed} for seed in "12"]}}
    del mean["tasks"]["mis"]["splits"]["test"]["metrics"]["ASR"]["corrected"]
    assert [row.judge.id for board in boards([mean]) for row in board.rows] == [JUDGE]
    whole = judged({"ASR": 600, "RSR": 400}, main="ASR")
    run["tasks"]["mis"]["splits"]["test"]["other_judges"]["human-anna"] = whole
    assert {row.judge.id for board in boards([run]) for row in board.rows} == {JUDGE, "human-anna"}


def test_a_damaged_number_by_people_is_refused_with_its_place() -> None:
    broken: Body = run_labelled("x/a", 800, corrected(labels="many"))
    assert "metrics.ASR.corrected.labels" in find_fault(broken)


def test_the_number_by_people_keeps_a_latex_table_on_the_page(tmp_path: Path) -> None:
    said = compiled(as_latex([run_labelled("x/a", 800, corrected()), run_labelled("x/b", 500)]), tmp_path)
    assert "Overfull" not in said
