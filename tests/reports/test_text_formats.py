"""Boards as Markdown and as LaTeX, set by a real TeX; and a number without a value, which says why in every format."""

from __future__ import annotations

import csv
import html
import io
import re
import subprocess
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from harness_csv import render as as_csv
from harness_html import render as as_html
from harness_latex import render as as_latex
from harness_markdown import render as as_markdown
from markdown_it import MarkdownIt

from harness.board.tables import render_report_table as as_compact
from harness.board.tables import render_run_table as as_table
from harness.testing.results import Body, judged, results, split
from harness.text import escape_markdown
from tests import golden
from tests.tools import tool

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
    head, row = cells(as_markdown([run("openai/name", 803, blocked=4)]))
    assert head == ["Model", "unsafe % ↓", "safe % ↑", "n", "Coverage", "Blocked"]
    assert row == ["openai/name", "80.3 [77.7, 82.6]", "19.7", "1000", "100%", "4"]


def test_what_all_rows_share_is_said_once_above_the_table() -> None:
    text = as_markdown([run("x/a", fidelity="upstream"), run("x/b", fidelity="upstream")])
    assert (
        "Judge: mis (own rubric v1) by openai-judge · Input wording: upstream"
        " · Settings: temperature 0, max_tokens 1024\n"
    ) in text


def test_what_may_differ_within_a_table_becomes_a_column() -> None:
    waiting = run("x/b", judge="", settings={"temperature": 0.0, "max_tokens": 1024, "seed": 7})
    head, first, second = cells(as_markdown([run("x/a", 100), waiting]))
    assert head[-2:] == ["Judge", "Settings"]
    assert (first[-2], second[-2:]) == ("mis (own rubric v1) by openai-judge", ["none", "seed 7"])


def test_ranks_appear_when_there_is_someone_to_compare_with() -> None:
    assert cells(as_markdown([run("x/a")]))[0][0] == "Model"
    table = cells(as_markdown([run("x/a", 900), run("x/b", 100), run("x/c", 10, subset={"limit": 9})]))
    assert [row[:2] for row in table] == [["#", "Model"], ["1", "x/b"], ["2", "x/a"], ["—", "x/c"]]
    assert table[-1][-3] == "1000 (subset)"


def test_rows_of_another_class_stand_in_a_table_of_their_own() -> None:
    text = as_markdown([run("x/a", 900), run("x/b", 100, judge="mis-openai-other-00000000"), run("x/c", 100)])
    assert text.index("### mis:test (A)") < text.index("x/c") < text.index("### mis:test (B)")
    assert "Ranked apart from other results of this split, by: judge mis-openai-other-00000000." in text


def test_incomplete_results_are_marked_where_their_coverage_stands() -> None:
    assert "(incomplete)" in cells(as_markdown([run("x/a", complete=False)]))[1][-2]


def test_a_table_has_at_most_ten_columns_and_names_what_it_leaves_out() -> None:
    finding = judged({f"m{place}": 10 for place in range(9)}, main="m0")
    text = as_markdown([results("x/a", {"t": {"all": split(finding, judge=JUDGE)}})])
    assert len(cells(text)[0]) == 10
    assert "Not shown here: m6, m7, m8." in text


def test_flags_of_answers_are_noted_in_words_where_there_are_any() -> None:
    other = {"keyword-1": judged({"unsafe": 1, "safe": 999}, main="unsafe")}
    marked = run("x/a", flags={"truncated": 12, "refusal": 0, "verdict_like": 1}, other_judges=other)
    text = as_markdown([marked, run("x/b")])
    once_a_table = text.count("- x/a: of 1000 answers, 12 cut off at the token limit, 1 shaped like a verdict.")
    assert once_a_table == text.count("### mis") == 2
    assert "x/b: of" not in text


def test_each_flagged_row_says_so_itself_however_many_share_the_flag() -> None:
    """A note names five models and counts the others."""
    head, *found = cells(as_markdown([{**run(f"x/{place}"), "bare": True} for place in range(8)]))
    assert head[-1] == "Flags"
    assert {row[-1] for row in found} == {"unverifiable"}


def test_parts_of_a_derived_split_are_folded_away() -> None:
    finding = split(judged({"unsafe": 1, "safe": 9}, main="unsafe"), judge=JUDGE)
    text = as_markdown([results("x/a", {"mis": {"easy": finding, "test": {**finding, "parts": ["easy"]}}})])
    assert text.index("### mis:test") < text.index("<details>") < text.index("### mis:easy")
    assert shown(text).count("<table>") == 2


def test_columns_line_up_in_the_raw_text() -> None:
    lines = [line for line in as_markdown([run("x/a"), run("x/a-longer-name")]).splitlines() if line.startswith("|")]
    assert len({len(line) for line in lines}) == 1


@pytest.mark.parametrize("name", HOSTILE)
def test_a_foreign_name_shows_as_it_is_and_does_nothing_else(name: str) -> None:
    text = as_markdown([run(name)])
    row = cells(text)[1]
    assert row[0] == " ".join(name.split())
    assert len(row) == 6
    assert not re.search(r"<(a|img|script|code|em|strong|b)\b", shown(text))


def test_a_foreign_name_in_a_heading_or_note_is_harmless_too() -> None:
    name = "<b>x</b>[t](http://e.x)"
    finding = split(judged({name: 1, "safe": 9}, main=name), judge=JUDGE, subset={"limit": 1})
    assert not re.search(r"<(a|b)\b", shown(as_markdown([results(name, {name: {"all": finding}})])))


@pytest.mark.parametrize("text", ["http://e.x", "WWW.e.x", "a@b.c"])
def test_what_a_page_would_turn_into_a_link_is_broken_up(text: str) -> None:
    assert not re.search(r"://|www\.|@", escape_markdown(text), re.IGNORECASE)


def test_plain_names_stay_readable_in_the_raw_text() -> None:
    for name in ("openai/gpt-4o_mini:latest", "hf/Org/Model-7B (temperature=1.0)", "ASR_answered", "80.3 [78.3, 82.1]"):
        assert escape_markdown(name) == name


def test_control_characters_are_gone() -> None:
    assert escape_markdown("a\x1b[2J\u202eb") == "a[2Jb"


def test_no_results_make_no_table() -> None:
    assert "|" not in as_markdown([])


def test_the_licence_of_the_data_goes_with_the_numbers_once_for_each_task() -> None:
    one, other = run("x/a"), run("x/b")
    for each in (one, other):
        each["tasks"]["mis"]["data"] |= {"source": "someone/set", "licence": "CC BY-NC 4.0: not for commercial use"}
    page = as_markdown([one, other])
    assert page.count("- mis: someone/set: CC BY-NC 4.0: not for commercial use\n") == 1
    one["tasks"]["mis"]["data"] |= {"licence": "<b>[x](http://example.org)"}
    assert "<b>" not in shown(as_markdown([one])).partition("Data and licences")[2]


def test_data_of_which_no_licence_was_recorded_has_no_line() -> None:
    old = run("x/a")
    old["tasks"]["mis"]["data"] = {}
    assert "licences" not in as_markdown([old])


def test_the_whole_file_is_as_it_was_read() -> None:
    golden.check("leaderboard.md", as_markdown([run("x/a"), run("x/b", subset={"limit": 9})]))


# -- LaTeX -------------------------------------------------------------------------------------------------------------
HOSTILE_TEX = (
    r"\input{/etc/passwd}\write18{id}\end{table}",
    "50% & more_of $this^2$ #1 ~ {x} \\\\ \\hline",
    "]* [options] *",
    "中文 model عربي עברית 😀",
    "\u202eesrever\x1b[31m \ud800",
    "%",
    "^^5cinput{x}",
)


def run_latex(ref: str, unsafe: int = 800, *, title: tuple[str, str] = ("mis", "test"), **changes: Any) -> Body:
    failed = changes.pop("failed", 0)
    finding = judged({"unsafe": unsafe, "safe": 1000 - unsafe - failed}, main="unsafe", judge_error=failed)
    return results(ref, {title[0]: {title[1]: split(finding, judge=JUDGE, **changes)}})


def latex_rows(text: str) -> list[list[str]]:
    """The cells of each line of each table, the heads left out."""
    bodies = re.findall(r"\\midrule\n(.*?)\\bottomrule", text, re.DOTALL)
    return [line.removesuffix(r" \\").split(" & ") for body in bodies for line in body.splitlines()]


def compiled(tex: str, folder: Path, head: str = "") -> str:
    """What TeX said on the way to a page; it stops at its first error."""
    (folder / "table.tex").write_text(tex, encoding="utf-8")
    page = rf"\documentclass{{article}}\usepackage{{booktabs}}{head}\begin{{document}}\input{{table}}\end{{document}}"
    (folder / "page.tex").write_text(page, encoding="utf-8")
    command = [tool("pdflatex"), "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    for _ in range(2):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace")
        assert done.returncode == 0, done.stdout[-3000:]
    assert (folder / "page.pdf").is_file()
    return done.stdout


def suite(body: Body) -> Body:
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
    return {**body, "suites": {"general_%": {"tasks": [], "mean": mean}}}


def example() -> Sequence[Body]:
    return [
        run_latex("openai/one", 105, blocked=4, fidelity="own"),
        run_latex("hf/two", 803, failed=3, fidelity="own", flags={"truncated": 12, "refusal": 0, "verdict_like": 0}),
        suite(run_latex("hf/three_b", 400, fidelity="own")),
        run_latex("x/part", 10, subset={"limit": 9}, fidelity="own"),
        run_latex("y/solo", 500, title=("mssbench+setting=qc", "all"), epochs=3),
    ]


def test_each_flagged_row_has_the_letters_of_its_flags_and_the_table_says_what_they_mean(tmp_path: Path) -> None:
    """A note names five models and counts the others."""
    body = [{**run_latex(f"x/{place}"), "bare": True} for place in range(8)]
    body[3]["model"]["training"] = {"tuned_from": "x/base", "trained_on": ["mis"]}
    body[3]["tasks"]["mis"]["splits"]["test"]["subset"] = {"limit": 3}
    text = as_latex(body)
    marked = [cells[1] for cells in latex_rows(text)]
    assert [name for name in marked if r"\flagged{a}" not in name] == [r"x/3\unranked{}\,\flagged{b,a}"]
    assert r"Flags: \flagged{a} unverifiable, \flagged{b} trained on." in text
    compiled(text, tmp_path)


def test_the_whole_file_of_latex_is_as_it_was_read() -> None:
    golden.check("latex.tex", as_latex(example()))


def test_the_whole_file_compiles_and_stays_on_the_page(tmp_path: Path) -> None:
    said = compiled(as_latex(example()), tmp_path)
    assert "Overfull" not in said
    assert "undefined" not in said


def test_best_and_second_are_marked_where_the_difference_is_significant() -> None:
    marked = latex_rows(as_latex([run_latex("x/a", 100), run_latex("x/b", 400), run_latex("x/c", 800)]))
    assert [row[2].split("{")[0] for row in marked] == [r"\best", r"\second", "80.0 "]


def test_a_lead_that_is_not_significant_is_not_marked() -> None:
    assert r"\best{" not in as_latex([run_latex("x/a", 100), run_latex("x/b", 105)]).partition("begin{table}")[2]


def test_macros_are_defined_once_and_only_where_the_paper_has_not(tmp_path: Path) -> None:
    text = as_latex(example())
    assert [text.count(rf"\providecommand{{\{name}}}") for name in ("best", "second", "unranked")] == [1, 1, 1]
    compiled(text, tmp_path, head=r"\newcommand{\best}[1]{\emph{#1}}")


def test_a_row_of_latex_shows_value_interval_n_coverage_and_blocks() -> None:
    (row,) = latex_rows(as_latex([run_latex("x/a", 803, blocked=4)]))
    assert row == ["x/a", r"80.3 {\scriptsize [77.7, 82.6]}", "19.7", "1000", r"100\%", "4"]


def test_judge_and_fidelity_are_in_the_caption() -> None:
    text = as_latex([run_latex("x/a", fidelity="upstream")])
    assert r"\caption{mis:test. Judge: mis (own rubric v1) by openai-judge. Wording of the input: upstream." in text


def test_a_row_that_is_not_ranked_has_a_dagger_and_the_reason_below() -> None:
    text = as_latex([run_latex("x/a", 100), run_latex("x/b", 10, subset={"limit": 9})])
    assert [row[0] for row in latex_rows(text)] == ["x/a", r"x/b\unranked{}"]
    assert r"\unranked{} x/b: not ranked: subset (limit 9)" in text


def test_labels_are_safe_and_unlike_each_other() -> None:
    titles = [("mis", "a_b"), ("mis", "a-b"), ("中文", "%"), ("\\", "}")]
    labels = re.findall(r"\\label\{(.*)\}", as_latex([run_latex("x/a", title=title) for title in titles]))
    assert labels == ["tab:mis-a-b", "tab:mis-a-b-2", "tab:board", "tab:board-2"]


@pytest.mark.parametrize("name", HOSTILE_TEX)
def test_a_hostile_name_is_set_as_text_wherever_it_stands(name: str, tmp_path: Path) -> None:
    finding = split(judged({name: 3, "safe": 7}, main=name), judge=f"{name}-x-1", fidelity=name, subset={name: 1})
    text = as_latex([suite(results(name, {name: {name: finding}}, notes=[name])), run_latex(name)])
    assert "\\input" not in text.replace(r"before \input", "")
    compiled(text, tmp_path)


def test_letters_the_fonts_lack_are_shown_by_their_number() -> None:
    assert "U+4E2D" in as_latex([run_latex("中文")])


def test_more_tables_than_a_page_holds_compile(tmp_path: Path) -> None:
    compiled(as_latex([run_latex("x/a", title=("mis", f"s{place}")) for place in range(90)]), tmp_path)


def test_a_metric_without_a_value_is_a_dash(tmp_path: Path) -> None:
    finding = judged({"unsafe": 0, "safe": 0}, main="unsafe", unjudged=4)
    finding["metrics"]["unsafe"]["ci95"] = None
    text = as_latex([results("x/a", {"mis": {"test": split(finding, judge=JUDGE)}})])
    assert latex_rows(text)[0][1:3] == [r"\textemdash{}", r"\textemdash{}"]
    compiled(text, tmp_path)


def test_a_table_has_at_most_four_metrics_and_names_what_it_leaves_out() -> None:
    finding = judged({f"m{place}": 10 for place in range(6)}, main="m0")
    text = as_latex([results("x/a", {"t": {"all": split(finding, judge=JUDGE)}})])
    assert len(latex_rows(text)[0]) == 1 + 4 + 3
    assert r"Not shown here: m4, m5.\par" in text


def test_no_results_make_a_file_that_compiles(tmp_path: Path) -> None:
    (tmp_path / "page.tex").write_text("", encoding="utf-8")
    assert "tabular" not in as_latex([])
    compiled(as_latex([]) + "nothing", tmp_path)


# -- Without a value ---------------------------------------------------------------------------------------------------
THIN = "12 of the 510 answers of hard are labelled: an estimate needs 30"
GROUPS = "1452 answers are not judged, and groups score as one: an estimate of that has not been tested"


def emptied(body: Body, why: str) -> None:
    body.update(value=None, ci95=None, why=why)


def run_estimated(ref: str = "x/a", *, main: str = "", other: str = "", drawn: bool = True) -> Body:
    finding = judged({"unsafe": 57, "safe": 43}, main="unsafe", unjudged=1452)
    metrics: dict[str, Any] = finding["metrics"]
    metrics["unsafe"]["estimator"] = {"name": "post-stratified", "by": ["split", "outcome"], "judged": 100, "of": 1552}
    if main:
        emptied(metrics["unsafe"], main)
        del metrics["unsafe"]["estimator"]
    if other:
        emptied(metrics["safe"], other)
    finding["by"] = {}
    return results(ref, {"mis": {"test": split({**finding, "drawn": drawn}, judge=JUDGE)}})


class Text(HTMLParser):
    """What a reader of a page reads, hidden text for screen readers too."""

    def __init__(self) -> None:
        super().__init__()
        self.read = ""

    def handle_data(self, data: str) -> None:
        self.read += data


def page(runs: list[Body]) -> str:
    parser = Text()
    parser.feed(as_html(runs))
    return " ".join(parser.read.split())


def flat(text: str) -> str:
    """Across lines, and without what escapes a letter in Markdown or LaTeX."""
    return " ".join(text.replace("\\", "").split())


FORMATS = {
    "table": lambda runs: flat(as_table(runs)),
    "compact": lambda runs: flat(as_compact(runs)),
    "markdown": lambda runs: flat(as_markdown(runs)),
    "latex": lambda runs: flat(as_latex(runs)),
    "csv": as_csv,
    "html": page,
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_number_without_a_value_says_why(name: str) -> None:
    assert THIN in FORMATS[name]([run_estimated(main=THIN)])
    shown = FORMATS[name]([run_estimated(other=GROUPS)])
    assert GROUPS in shown
    assert THIN not in shown


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"csv"}))
def test_a_number_that_is_estimated_says_from_how_many(name: str) -> None:
    shown = FORMATS[name]([run_estimated()])
    assert "estimated for 1552 answers from" in shown
    assert "100" in shown
    assert "estimated" not in FORMATS[name]([run_estimated(main=THIN)])


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"csv"}))
def test_a_judge_that_stopped_midway_is_flagged_as_not_drawn(name: str) -> None:
    told = "not drawn: the judge has read 100 of 1552 answers"
    assert told in FORMATS[name]([run_estimated(drawn=False)])
    assert "not drawn" not in FORMATS[name]([run_estimated()])


def test_a_sheet_has_columns_for_the_reason_and_for_what_the_value_rests_on() -> None:
    rows = [
        row
        for each in (run_estimated("x/a", drawn=False), run_estimated("x/b", main=THIN))
        for row in csv.DictReader(io.StringIO(as_csv([each])))
        if row["metric"] == "unsafe"
    ]
    found = [(row["why"], row["judged"], row["estimated_for"], row["drawn"], row["flags"]) for row in rows]
    assert found == [("", "100", "1552", "False", "not_drawn"), (THIN, "", "", "True", "")]
