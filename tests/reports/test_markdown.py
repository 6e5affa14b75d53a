from __future__ import annotations

import html
import re
from typing import Any

import pytest
from harness_markdown import render
from markdown_it import MarkdownIt

from harness.testing.results import Body, judged, results, split
from harness.text import escape_markdown
from tests import golden

JUDGE = "mis-openai-judge-1f3a9c2e"
HOSTILE = [
    "a|b",
    "a\\|b",
    "<img src=x onerror=alert(1)>",
    "</td><script>",
    "&lt;b&gt;",
    "[text](http://example.org)",
    "![x](y)",
    "https://example.org/x",
    "www.example.org",
    "@someone",
    "`code`",
    "*bold* __bold__ _it_ ~~x~~",
    "line\nbreak | x",
    "# heading",
    "$x$ \\(y\\)",
    "trailing\\",
]


def shown(markdown: str) -> str:
    """The HTML a reader's page would hold."""
    return str(MarkdownIt("commonmark").enable("table").render(markdown))


def cells(markdown: str) -> list[list[str]]:
    """Every table row as the text a reader sees."""
    rows = re.findall(r"<tr>(.*?)</tr>", shown(markdown), re.DOTALL)
    found = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in rows]
    return [[html.unescape(cell) for cell in row] for row in found]


def run(ref: str, unsafe: int = 800, judge: str = JUDGE, **changes: Any) -> Body:
    finding = judged({"unsafe": unsafe, "safe": 1000 - unsafe}, main="unsafe")
    return results(ref, {"mis": {"test": split(finding, judge=judge, **changes)}})


def test_a_row_shows_value_interval_direction_n_coverage_and_blocks() -> None:
    head, row = cells(render([run("openai/name", 803, blocked=4)]))
    assert head == ["Model", "unsafe % ↓", "safe % ↑", "n", "Coverage", "Blocked"]
    assert row == ["openai/name", "80.3 [77.7, 82.6]", "19.7", "1000", "100%", "4"]


def test_what_all_rows_share_is_said_once_above_the_table() -> None:
    text = render([run("x/a", fidelity="upstream"), run("x/b", fidelity="upstream")])
    assert (
        "Judge: mis (own rubric v1) by openai-judge · Input wording: upstream"
        " · Settings: temperature 0, max_tokens 1024\n"
    ) in text


def test_what_may_differ_within_a_table_becomes_a_column() -> None:
    waiting = run("x/b", judge="", settings={"temperature": 0.0, "max_tokens": 1024, "seed": 7})
    head, first, second = cells(render([run("x/a", 100), waiting]))
    assert head[-2:] == ["Judge", "Settings"]
    assert (first[-2], second[-2:]) == ("mis (own rubric v1) by openai-judge", ["none", "seed 7"])


def test_ranks_appear_when_there_is_someone_to_compare_with() -> None:
    assert cells(render([run("x/a")]))[0][0] == "Model"
    table = cells(render([run("x/a", 900), run("x/b", 100), run("x/c", 10, subset={"limit": 9})]))
    assert [row[:2] for row in table] == [["#", "Model"], ["1", "x/b"], ["2", "x/a"], ["—", "x/c"]]
    assert table[-1][-3] == "1000 (subset)"


def test_rows_of_another_class_stand_in_a_table_of_their_own() -> None:
    text = render([run("x/a", 900), run("x/b", 100, judge="mis-openai-other-00000000"), run("x/c", 100)])
    assert text.index("### mis:test (A)") < text.index("x/c") < text.index("### mis:test (B)")
    assert "Ranked apart from other results of this split, by: judge mis-openai-other-00000000." in text


def test_incomplete_results_are_marked_where_their_coverage_stands() -> None:
    assert "(incomplete)" in cells(render([run("x/a", complete=False)]))[1][-2]


def test_a_table_has_at_most_ten_columns_and_names_what_it_leaves_out() -> None:
    finding = judged({f"m{place}": 10 for place in range(9)}, main="m0")
    text = render([results("x/a", {"t": {"all": split(finding, judge=JUDGE)}})])
    assert len(cells(text)[0]) == 10
    assert "Not shown here: m6, m7, m8." in text


def test_flags_of_answers_are_noted_in_words_where_there_are_any() -> None:
    other = {"keyword-1": judged({"unsafe": 1, "safe": 999}, main="unsafe")}
    marked = run("x/a", flags={"truncated": 12, "refusal": 0, "verdict_like": 1}, other_judges=other)
    text = render([marked, run("x/b")])
    once_a_table = text.count("- x/a: of 1000 answers, 12 cut off at the token limit, 1 shaped like a verdict.")
    assert once_a_table == text.count("### mis") == 2
    assert "x/b: of" not in text


def test_each_flagged_row_says_so_itself_however_many_share_the_flag() -> None:
    """A note names five models and counts the others."""
    head, *found = cells(render([{**run(f"x/{place}"), "bare": True} for place in range(8)]))
    assert head[-1] == "Flags"
    assert {row[-1] for row in found} == {"unverifiable"}


def test_parts_of_a_derived_split_are_folded_away() -> None:
    finding = split(judged({"unsafe": 1, "safe": 9}, main="unsafe"), judge=JUDGE)
    text = render([results("x/a", {"mis": {"easy": finding, "test": {**finding, "parts": ["easy"]}}})])
    assert text.index("### mis:test") < text.index("<details>") < text.index("### mis:easy")
    assert shown(text).count("<table>") == 2


def test_columns_line_up_in_the_raw_text() -> None:
    lines = [line for line in render([run("x/a"), run("x/a-longer-name")]).splitlines() if line.startswith("|")]
    assert len({len(line) for line in lines}) == 1


@pytest.mark.parametrize("name", HOSTILE)
def test_a_foreign_name_shows_as_it_is_and_does_nothing_else(name: str) -> None:
    text = render([run(name)])
    row = cells(text)[1]
    assert row[0] == " ".join(name.split())
    assert len(row) == 6
    assert not re.search(r"<(a|img|script|code|em|strong|b)\b", shown(text))


def test_a_foreign_name_in_a_heading_or_note_is_harmless_too() -> None:
    name = "<b>x</b>[t](http://e.x)"
    finding = split(judged({name: 1, "safe": 9}, main=name), judge=JUDGE, subset={"limit": 1})
    assert not re.search(r"<(a|b)\b", shown(render([results(name, {name: {"all": finding}})])))


@pytest.mark.parametrize("text", ["http://e.x", "WWW.e.x", "a@b.c"])
def test_what_a_page_would_turn_into_a_link_is_broken_up(text: str) -> None:
    assert not re.search(r"://|www\.|@", escape_markdown(text), re.IGNORECASE)


def test_plain_names_stay_readable_in_the_raw_text() -> None:
    for name in ("openai/gpt-4o_mini:latest", "hf/Org/Model-7B (temperature=1.0)", "ASR_answered", "80.3 [78.3, 82.1]"):
        assert escape_markdown(name) == name


def test_control_characters_are_gone() -> None:
    assert escape_markdown("a\x1b[2J\u202eb") == "a[2Jb"


def test_no_results_make_no_table() -> None:
    assert "|" not in render([])


def test_the_licence_of_the_data_goes_with_the_numbers_once_for_each_task() -> None:
    one, other = run("x/a"), run("x/b")
    for each in (one, other):
        each["tasks"]["mis"]["data"] |= {"source": "someone/set", "licence": "CC BY-NC 4.0: not for commercial use"}
    page = render([one, other])
    assert page.count("- mis: someone/set: CC BY-NC 4.0: not for commercial use\n") == 1
    one["tasks"]["mis"]["data"] |= {"licence": "<b>[x](http://example.org)"}
    assert "<b>" not in shown(render([one])).partition("Data and licences")[2]


def test_data_of_which_no_licence_was_recorded_has_no_line() -> None:
    old = run("x/a")
    old["tasks"]["mis"]["data"] = {}
    assert "licences" not in render([old])


def test_the_whole_file_is_as_it_was_read() -> None:
    golden.check("leaderboard.md", render([run("x/a"), run("x/b", subset={"limit": 9})]))
