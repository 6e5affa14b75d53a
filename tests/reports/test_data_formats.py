"""Results as CSV, JSON and Excel: each number in full precision, and no text taken for anything else."""

from __future__ import annotations

import csv
import io
import json
import sys
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from harness_csv import render as as_csv
from harness_excel import render as as_excel
from harness_json import SCHEMA
from harness_json import render as as_json
from openpyxl import Workbook, load_workbook
from openpyxl.cell import Cell

from harness import HarnessError
from harness.stats.suites import suite_results
from harness.testing.results import Body, judged, results, split
from tests import golden

JUDGE = "mis-openai-judge-1f3a9c2e"


def lines(*runs: Body) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(as_csv(runs))))


def run(ref: str = "openai/name", **changes: object) -> Body:
    finding = judged({"unsafe": 1342, "safe": 330}, main="unsafe", judge_error=3)
    return results(ref, {"mis": {"test": split(finding, judge=JUDGE, blocked=2, **changes)}})


def test_each_metric_is_a_line_in_full_precision() -> None:
    main, *_ = [line for line in lines(run()) if line["metric"] == "unsafe" and not line["by"]]
    assert float(main["value"]) == 100 * 1342 / 1672
    assert (main["numerator"], main["denominator"], main["unresolved"]) == ("1342", "1672", "3")
    assert float(main["bounds_low"]) < float(main["ci95_low"]) + 3 < float(main["ci95_worst_high"])
    assert (main["model"], main["task"], main["split"], main["judge"]) == ("openai/name", "mis", "test", JUDGE)
    assert (main["input_blocked"], main["judge_error"], main["rank"]) == ("2", "3", "1")


def test_flags_of_answers_have_columns() -> None:
    first, *_ = lines(run(flags={"truncated": 12, "refusal": 0, "verdict_like": 1}))
    assert (first["truncated"], first["refusal"], first["verdict_like"]) == ("12", "0", "1")


def test_what_must_be_held_against_a_number_stands_in_its_line() -> None:
    body = run(settings={"temperature": None})
    body["model"].update(resolved=["name-2026-01-01"], training={"tuned_from": "x/base", "trained_on": ["mis-train"]})
    first, *_ = lines({**body, "bare": True})
    assert first["flags"] == "trained_on, sampling, unverifiable"
    assert (first["resolved"], first["finished"]) == ("name-2026-01-01", "2026-01-01T00:01:00Z")


def test_breakdowns_have_lines_of_their_own() -> None:
    groups = {(line["by"], line["group"], line["metric"]) for line in lines(run())}
    assert ("category", "drawn", "unsafe") in groups
    assert ("", "", "unsafe") in groups


def test_strata_have_lines_without_intervals() -> None:
    body = run()
    metric = body["tasks"]["mis"]["splits"]["test"]["metrics"]["unsafe"]
    metric["strata"] = {"safe": {"value": 80.0, "numerator": 240, "denominator": 300, "unresolved": 0}}
    (stratum,) = [line for line in lines(body) if line["by"] == "stratum"]
    assert (stratum["group"], stratum["value"], stratum["denominator"]) == ("safe", "80.0", "300")
    assert stratum["ci95_low"] == stratum["bounds_high"] == ""


def test_an_unranked_row_says_why_and_has_no_rank() -> None:
    first, *_ = lines(run(subset={"limit": 20}))
    assert (first["rank"], first["unranked"]) == ("", "subset (limit 20)")
    assert first["subset"] == '{"limit": 20}'


@pytest.mark.parametrize("name", ["=1+1", "+x", "-x", "@SUM(A1)", "\t=1", "\r=1", " =1", "\x00=1", "\u202e=1"])
def test_no_cell_begins_like_a_formula(name: str) -> None:
    body = run(name)
    finding = body["tasks"]["mis"]["splits"]["test"]
    finding["by"] = {name: {name: {"n": 1, "metrics": finding["metrics"]}}}
    body["tasks"] = {name: {**body["tasks"]["mis"], "splits": {name: finding}}}
    for line in lines(body):
        assert not any(cell[:1] in ("=", "+", "-", "@", "\t", "\r") for cell in line.values())


def averaged(gone: str = "", **model: object) -> Body:
    """A run of two tasks and a suite of both, or of one more that is not there."""
    rate = judged({"right": 60, "wrong": 30}, main="right", better="higher", judge_error=10)
    other = judged({"right": 50, "wrong": 50}, main="right", better="higher")
    tasks = {"one": {"all": split(rate, judge=JUDGE)}, "two": {"all": split(other, judge=JUDGE)}}
    body = results("openai/name", tasks, **model)
    titles = ("one:all", "two:all", *([gone] if gone else []))
    return {
        **body,
        "suites": {"both": suite_results(titles, titles, body["tasks"]), "none": suite_results(titles, (), {})},
    }


def test_the_mean_of_a_suite_is_a_line_of_its_kind_with_its_intervals_and_bounds() -> None:
    body = averaged(strategy={"name": "ecso"})
    *splits, line = lines(body)
    mean = body["suites"]["both"]["mean"]
    assert {each["kind"] for each in splits} == {"split"}
    assert (line["kind"], line["suite"], line["metric"], line["better"]) == ("suite", "both", "mean", "higher")
    assert (line["model"], line["ref"], line["strategy"]) == ("openai/name + ecso", "openai/name", "ecso")
    for name in ("ci95", "ci95_worst", "bounds"):
        assert [float(line[f"{name}_{end}"]) for end in ("low", "high")] == mean[name]
    assert (float(line["value"]), line["complete"], line["missing"]) == (mean["value"], str(mean["complete"]), "")
    assert line["task"] == line["split"] == line["rank"] == line["n"] == ""


def test_a_mean_with_a_part_missing_has_no_value_and_names_it() -> None:
    line = lines(averaged("gone:all"))[-1]
    assert (line["kind"], line["value"], line["ci95_low"], line["missing"]) == ("suite", "", "", "gone:all")
    assert line["complete"] == "False"


def test_a_negative_number_stays_a_number() -> None:
    body = run()
    body["tasks"]["mis"]["splits"]["test"]["metrics"]["unsafe"]["value"] = -1.5
    assert "-1.5" in {line["value"] for line in lines(body)}


def test_a_name_with_commas_quotes_and_line_ends_is_one_cell() -> None:
    first, *_ = lines(run('a,"b"\nc'))
    assert first["model"] == 'a,"b" c'


def test_no_results_make_the_header_alone() -> None:
    assert as_csv([]).count("\n") == 1


def test_each_line_says_what_the_publisher_of_the_data_allows() -> None:
    found = run()
    found["tasks"]["mis"]["data"] |= {"source": "someone/set", "revision": "0123", "licence": "CC BY-NC 4.0"}
    assert {(line["source"], line["revision"], line["licence"]) for line in lines(found)} == {
        ("someone/set", "0123", "CC BY-NC 4.0")
    }


def test_the_whole_file_is_as_it_was_read() -> None:
    golden.check("leaderboard.csv", as_csv([run("x/a"), run("x/b", subset={"limit": 9})]))


# -- JSON --------------------------------------------------------------------------------------------------------------


def run_json(ref: str, **changes: Any) -> Body:
    finding = judged({"unsafe": 1342, "safe": 330}, main="unsafe", judge_error=3)
    return results(ref, {"mis": {"test": split(finding, judge="mis-openai-judge-1f3a9c2e", **changes)}})


def json_board(*runs: Body) -> dict[str, Any]:
    read = json.loads(as_json(runs))
    assert read["schema"] == SCHEMA
    (only,) = read["boards"]
    assert isinstance(only, dict)
    return only


def test_a_row_holds_what_the_leaderboard_knows_in_full_precision() -> None:
    made = json_board(run_json("x/a", fidelity="own"))
    (row,) = made["rows"]
    main = row["measures"][0]
    assert made["name"] == "mis:test"
    assert main["value"] == 100 * 1342 / 1672
    assert len(main["ci95_worst"]) == 2
    assert (row["rank"], row["coverage"], row["fidelity"]) == (1, 1672 / 1675, "own")
    assert row["judge"]["fidelity"] == "own"


def test_an_unranked_row_says_why_in_json() -> None:
    (row,) = json_board(run_json("x/a", subset={"limit": 20}))["rows"]
    assert (row["rank"], row["unranked"]) == (None, "subset (limit 20)")


def test_control_characters_travel_escaped() -> None:
    text = as_json([run_json("a\x1b[2J\u202e\ud800")])
    assert text.isascii()
    assert text.replace("\n", "").isprintable()
    assert json_board(run_json("a\x1bb"))["rows"][0]["model"] == "a\x1bb"


def test_no_results_make_no_boards_in_json() -> None:
    assert json.loads(as_json([])) == {"schema": SCHEMA, "boards": [], "means": []}


# -- Excel -------------------------------------------------------------------------------------------------------------
HOSTILE = [
    "=1+1",
    "+x",
    "-x",
    "@SUM(A1)",
    "\t=1",
    "http://example.org/x",
    "mailto:a@b.c",
    "a\x1b[2J\u202eb\ud800\uffff\x00",
    "_x0041_",
    "[a]:*?/\\b",
    "'quoted'",
    "history",
    "x" * 40_000,
    "</t><b>&amp;",
]


def run_excel(ref: str, unsafe: int = 803, *, task: str = "mis", **changes: Any) -> Body:
    finding = judged({"unsafe": unsafe, "safe": 997 - unsafe}, main="unsafe", judge_error=3)
    return results(ref, {task: {"test": split(finding, judge=JUDGE, blocked=4, **changes)}})


def opened(*runs: Body) -> Workbook:
    book: Workbook = load_workbook(io.BytesIO(as_excel(runs)))
    return book


def table(book: Workbook, name: str) -> list[Mapping[str, Any]]:
    head, *rows = book[name].iter_rows(values_only=True)
    return [dict(zip(head, row, strict=True)) for row in rows]


def cell(book: Workbook, sheet: str, head: str, row: int) -> Cell:
    place = [each.value for each in book[sheet][1]].index(head)
    found = book[sheet][row][place]
    assert isinstance(found, Cell)
    return found


def test_a_board_is_a_sheet_with_each_number_in_a_cell_of_its_own() -> None:
    (row,) = table(opened(run_excel("openai/name", fidelity="own")), "mis test")
    assert row["unsafe % (lower is better)"] == pytest.approx(100 * 803 / 997, rel=1e-15)
    assert row["unsafe 95% low"] < row["unsafe % (lower is better)"] < row["unsafe 95% high"]
    assert (row["Numerator"], row["Denominator"], row["Unresolved"]) == (803, 997, 3)
    assert (row["Model"], row["n"], row["Coverage"], row["Complete"], row["Blocked"]) == (
        "openai/name",
        1000,
        0.997,
        True,
        4,
    )
    assert (row["Judge"], row["Input wording"]) == ("mis (own rubric v1) by openai-judge", "own")


def test_numbers_have_formats_and_the_head_stays_and_filters() -> None:
    book = opened(run_excel("x/a"), run_excel("x/b"))
    assert cell(book, "mis test", "unsafe % (lower is better)", 2).number_format == "0.0"
    assert cell(book, "mis test", "Coverage", 2).number_format == "0.0%"
    for sheet in book:
        assert sheet.freeze_panes == "A2"
        assert sheet.auto_filter.ref == sheet.dimensions
        assert sheet["A1"].font.bold
    assert book["mis test"].column_dimensions["B"].width > 5


def test_best_is_bold_only_where_the_difference_is_significant() -> None:
    def bold(*runs: Body) -> list[bool]:
        book = opened(*runs)
        rows = range(2, 2 + len(runs))
        return [bool(cell(book, "mis test", "unsafe % (lower is better)", row).font.bold) for row in rows]

    assert bold(run_excel("x/a", 100), run_excel("x/b", 800)) == [True, False]
    assert bold(run_excel("x/a", 100), run_excel("x/b", 101)) == [False, False]


def test_an_unranked_row_of_a_sheet_has_no_rank_and_says_why() -> None:
    book = opened(run_excel("x/a"), run_excel("x/b", subset={"limit": 9}))
    last = table(book, "mis test")[-1]
    assert (last["Rank"], last["Not ranked because"]) == (None, "subset (limit 9)")
    assert any("not ranked: subset (limit 9)" in row["Note"] for row in table(book, "Notes"))


def test_what_must_be_held_against_a_number_stands_in_its_row_of_a_sheet() -> None:
    body = run_excel("x/a", settings={"temperature": None})
    body["model"]["resolved"] = ["name-2026-01-01"]
    (row,) = table(opened({**body, "bare": True}), "mis test")
    assert row["Flags"] == "sampling, unverifiable"
    assert (row["Model revision"], row["Finished"]) == ("name-2026-01-01", "2026-01-01T00:01:00Z")


def test_all_numbers_are_one_sheet_in_long_form() -> None:
    rows = table(opened(run_excel("x/a")), "All numbers")
    (main,) = [row for row in rows if row["metric"] == "unsafe" and row["by"] is None]
    assert (main["value"], main["unresolved"], main["input_blocked"]) == (pytest.approx(100 * 803 / 997), 3, 4)
    assert ("category", "drawn", "unsafe") in {(row["by"], row["group"], row["metric"]) for row in rows}


def test_the_datas_licence_is_among_the_notes() -> None:
    told = {row["About"]: row["Note"] for row in table(opened(run_excel("x/a")), "Notes") if row["Kind"] == "data"}
    assert told == {"mis": "source: example, licence: CC0-1.0"}


def test_the_means_of_suites_have_a_sheet() -> None:
    mean = {
        "value": 61.25,
        "unit": "%",
        "better": "higher",
        "ci95": [60.0, 62.5],
        "ci95_worst": [60.0, 62.5],
        "complete": True,
        "missing": [],
        "of": {"mis:test": {"metric": "unsafe", "value": 61.25}},
    }
    body = {**run_excel("x/a"), "suites": {"general": {"mean": mean}}}
    (row,) = table(opened(body), "Suites")
    assert (row["Suite"], row["Mean"], row["95% low"], row["Of"]) == ("general", 61.25, 60.0, "mis:test 61.2")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_text_wherever_it_stands(name: str) -> None:
    body = run_excel(name, task=name, fidelity=name)
    finding = body["tasks"][name]["splits"]["test"]
    finding["metrics"][name] = {**finding["metrics"]["safe"]}
    finding["by"] = {name: {name: {"n": 1, "metrics": finding["metrics"]}}}
    data = as_excel([body, run_excel("x/b", task=name)])
    book = load_workbook(io.BytesIO(data))
    kinds = {each.data_type for sheet in book for row in sheet.iter_rows() for each in row if each.value is not None}
    assert kinds <= {"s", "n", "b"}, "no formula"
    assert not any(each.hyperlink for sheet in book for row in sheet.iter_rows() for each in row)
    texts = [each.value for sheet in book for row in sheet.iter_rows() for each in row if isinstance(each.value, str)]
    assert not any(char in text for text in texts for char in "\x1b\u202e\x00\ud800\uffff")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert not any("external" in each.lower() for each in archive.namelist())
        assert not any(b'TargetMode="External"' in archive.read(each) for each in archive.namelist())


@pytest.mark.parametrize("name", ["=1+1", "-x", "@SUM(A1)", "http://example.org/x"])
def test_text_is_kept_as_it_is(name: str) -> None:
    assert table(opened(run_excel(name)), "mis test")[0]["Model"] == name


def test_boards_of_names_that_excel_cannot_tell_apart_have_sheets_of_their_own() -> None:
    long = "m" * 40
    book = opened(
        run_excel("x/a", task=f"{long}1"), run_excel("x/a", task=f"{long}2"), run_excel("x/a", task=f"{long.upper()}3")
    )
    names = [sheet.title for sheet in book]
    assert len({name.casefold() for name in names}) == len(names) == 5
    assert max(map(len, names)) <= 31


def test_the_file_says_when_the_runs_ended_and_nothing_of_when_it_was_made() -> None:
    data = as_excel([run_excel("x/a")])
    assert str(load_workbook(io.BytesIO(data)).properties.created) == "2026-01-01 00:01:00"
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert {entry.date_time[0] for entry in archive.infolist()} == {1980}
        assert str(datetime.now(UTC).year).encode() not in archive.read("docProps/core.xml").replace(b"2026-01-01", b"")
    assert as_excel([run_excel("x/a")]) == data


def test_a_result_whose_time_cannot_be_read_is_written_all_the_same() -> None:
    assert opened({**run_excel("x/a"), "finished": "yesterday"}).properties.created.year == 1980  # type: ignore[union-attr]


def test_no_results_make_a_workbook_of_notes() -> None:
    assert [sheet.title for sheet in opened()] == ["All numbers", "Notes"]


def test_without_xlsxwriter_the_command_that_installs_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    monkeypatch.delitem(sys.modules, "harness_excel.workbook", raising=False)
    with pytest.raises(HarnessError, match=r"pip install 'vlm-safety-harness\[excel\]'"):
        as_excel([])
