"""The workbook, read back by another library."""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from harness_excel import render
from openpyxl import Workbook, load_workbook
from openpyxl.cell import Cell

from harness import HarnessError
from harness.testing.results import Body, judged, results, split

JUDGE = "mis-openai-judge-1f3a9c2e"
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


def run(ref: str, unsafe: int = 803, *, task: str = "mis", **changes: Any) -> Body:
    finding = judged({"unsafe": unsafe, "safe": 997 - unsafe}, main="unsafe", judge_error=3)
    return results(ref, {task: {"test": split(finding, judge=JUDGE, blocked=4, **changes)}})


def opened(*runs: Body) -> Workbook:
    book: Workbook = load_workbook(io.BytesIO(render(runs)))
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
    (row,) = table(opened(run("openai/name", fidelity="own")), "mis test")
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
    book = opened(run("x/a"), run("x/b"))
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

    assert bold(run("x/a", 100), run("x/b", 800)) == [True, False]
    assert bold(run("x/a", 100), run("x/b", 101)) == [False, False]


def test_an_unranked_row_has_no_rank_and_says_why() -> None:
    book = opened(run("x/a"), run("x/b", subset={"limit": 9}))
    last = table(book, "mis test")[-1]
    assert (last["Rank"], last["Not ranked because"]) == (None, "subset (limit 9)")
    assert any("not ranked: subset (limit 9)" in row["Note"] for row in table(book, "Notes"))


def test_what_must_be_held_against_a_number_stands_in_its_row() -> None:
    body = run("x/a", settings={"temperature": None})
    body["model"]["resolved"] = ["name-2026-01-01"]
    (row,) = table(opened({**body, "bare": True}), "mis test")
    assert row["Flags"] == "sampling, unverifiable"
    assert (row["Model revision"], row["Finished"]) == ("name-2026-01-01", "2026-01-01T00:01:00Z")


def test_all_numbers_are_one_sheet_in_long_form() -> None:
    rows = table(opened(run("x/a")), "All numbers")
    (main,) = [row for row in rows if row["metric"] == "unsafe" and row["by"] is None]
    assert (main["value"], main["unresolved"], main["input_blocked"]) == (pytest.approx(100 * 803 / 997), 3, 4)
    assert ("category", "drawn", "unsafe") in {(row["by"], row["group"], row["metric"]) for row in rows}


def test_the_datas_licence_is_among_the_notes() -> None:
    told = {row["About"]: row["Note"] for row in table(opened(run("x/a")), "Notes") if row["Kind"] == "data"}
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
    body = {**run("x/a"), "suites": {"general": {"mean": mean}}}
    (row,) = table(opened(body), "Suites")
    assert (row["Suite"], row["Mean"], row["95% low"], row["Of"]) == ("general", 61.25, 60.0, "mis:test 61.2")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_text_wherever_it_stands(name: str) -> None:
    body = run(name, task=name, fidelity=name)
    finding = body["tasks"][name]["splits"]["test"]
    finding["metrics"][name] = {**finding["metrics"]["safe"]}
    finding["by"] = {name: {name: {"n": 1, "metrics": finding["metrics"]}}}
    data = render([body, run("x/b", task=name)])
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
    assert table(opened(run(name)), "mis test")[0]["Model"] == name


def test_boards_of_names_that_excel_cannot_tell_apart_have_sheets_of_their_own() -> None:
    long = "m" * 40
    book = opened(run("x/a", task=f"{long}1"), run("x/a", task=f"{long}2"), run("x/a", task=f"{long.upper()}3"))
    names = [sheet.title for sheet in book]
    assert len({name.casefold() for name in names}) == len(names) == 5
    assert max(map(len, names)) <= 31


def test_the_file_says_when_the_runs_ended_and_nothing_of_when_it_was_made() -> None:
    data = render([run("x/a")])
    assert str(load_workbook(io.BytesIO(data)).properties.created) == "2026-01-01 00:01:00"
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert {entry.date_time[0] for entry in archive.infolist()} == {1980}
        assert str(datetime.now(UTC).year).encode() not in archive.read("docProps/core.xml").replace(b"2026-01-01", b"")
    assert render([run("x/a")]) == data


def test_a_result_whose_time_cannot_be_read_is_written_all_the_same() -> None:
    assert opened({**run("x/a"), "finished": "yesterday"}).properties.created.year == 1980  # type: ignore[union-attr]


def test_no_results_make_a_workbook_of_notes() -> None:
    assert [sheet.title for sheet in opened()] == ["All numbers", "Notes"]


def test_without_xlsxwriter_the_command_that_installs_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    monkeypatch.delitem(sys.modules, "harness_excel.workbook", raising=False)
    with pytest.raises(HarnessError, match=r"pip install 'vlm-safety-harness\[excel\]'"):
        render([])
