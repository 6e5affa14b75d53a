"""Boards as LaTeX, set by a real TeX."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from harness_latex import render

from harness.testing.results import Body, judged, results, split
from tests import golden
from tests.tools import tool

JUDGE = "mis-openai-judge-1f3a9c2e"
HOSTILE = (
    r"\input{/etc/passwd}\write18{id}\end{table}",
    "50% & more_of $this^2$ #1 ~ {x} \\\\ \\hline",
    "]* [options] *",
    "中文 model عربي עברית 😀",
    "\u202eesrever\x1b[31m \ud800",
    "%",
    "^^5cinput{x}",
)


def run(ref: str, unsafe: int = 800, *, title: tuple[str, str] = ("mis", "test"), **changes: Any) -> Body:
    failed = changes.pop("failed", 0)
    finding = judged({"unsafe": unsafe, "safe": 1000 - unsafe - failed}, main="unsafe", judge_error=failed)
    return results(ref, {title[0]: {title[1]: split(finding, judge=JUDGE, **changes)}})


def rows(text: str) -> list[list[str]]:
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
        run("openai/one", 105, blocked=4, fidelity="own"),
        run("hf/two", 803, failed=3, fidelity="own", flags={"truncated": 12, "refusal": 0, "verdict_like": 0}),
        suite(run("hf/three_b", 400, fidelity="own")),
        run("x/part", 10, subset={"limit": 9}, fidelity="own"),
        run("y/solo", 500, title=("mssbench+setting=qc", "all"), epochs=3),
    ]


def test_each_flagged_row_has_the_letters_of_its_flags_and_the_table_says_what_they_mean(tmp_path: Path) -> None:
    """A note names five models and counts the others."""
    body = [{**run(f"x/{place}"), "bare": True} for place in range(8)]
    body[3]["model"]["training"] = {"tuned_from": "x/base", "trained_on": ["mis"]}
    body[3]["tasks"]["mis"]["splits"]["test"]["subset"] = {"limit": 3}
    text = render(body)
    marked = [cells[1] for cells in rows(text)]
    assert [name for name in marked if r"\flagged{a}" not in name] == [r"x/3\unranked{}\,\flagged{b,a}"]
    assert r"Flags: \flagged{a} unverifiable, \flagged{b} trained on." in text
    compiled(text, tmp_path)


def test_the_whole_file_is_as_it_was_read() -> None:
    golden.check("latex.tex", render(example()))


def test_the_whole_file_compiles_and_stays_on_the_page(tmp_path: Path) -> None:
    said = compiled(render(example()), tmp_path)
    assert "Overfull" not in said
    assert "undefined" not in said


def test_best_and_second_are_marked_where_the_difference_is_significant() -> None:
    marked = rows(render([run("x/a", 100), run("x/b", 400), run("x/c", 800)]))
    assert [row[2].split("{")[0] for row in marked] == [r"\best", r"\second", "80.0 "]


def test_a_lead_that_is_not_significant_is_not_marked() -> None:
    assert r"\best{" not in render([run("x/a", 100), run("x/b", 105)]).partition("begin{table}")[2]


def test_macros_are_defined_once_and_only_where_the_paper_has_not(tmp_path: Path) -> None:
    text = render(example())
    assert [text.count(rf"\providecommand{{\{name}}}") for name in ("best", "second", "unranked")] == [1, 1, 1]
    compiled(text, tmp_path, head=r"\newcommand{\best}[1]{\emph{#1}}")


def test_a_row_shows_value_interval_n_coverage_and_blocks() -> None:
    (row,) = rows(render([run("x/a", 803, blocked=4)]))
    assert row == ["x/a", r"80.3 {\scriptsize [77.7, 82.6]}", "19.7", "1000", r"100\%", "4"]


def test_judge_and_fidelity_are_in_the_caption() -> None:
    text = render([run("x/a", fidelity="upstream")])
    assert r"\caption{mis:test. Judge: mis (own rubric v1) by openai-judge. Wording of the input: upstream." in text


def test_a_row_that_is_not_ranked_has_a_dagger_and_the_reason_below() -> None:
    text = render([run("x/a", 100), run("x/b", 10, subset={"limit": 9})])
    assert [row[0] for row in rows(text)] == ["x/a", r"x/b\unranked{}"]
    assert r"\unranked{} x/b: not ranked: subset (limit 9)" in text


def test_labels_are_safe_and_unlike_each_other() -> None:
    titles = [("mis", "a_b"), ("mis", "a-b"), ("中文", "%"), ("\\", "}")]
    labels = re.findall(r"\\label\{(.*)\}", render([run("x/a", title=title) for title in titles]))
    assert labels == ["tab:mis-a-b", "tab:mis-a-b-2", "tab:board", "tab:board-2"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_set_as_text_wherever_it_stands(name: str, tmp_path: Path) -> None:
    finding = split(judged({name: 3, "safe": 7}, main=name), judge=f"{name}-x-1", fidelity=name, subset={name: 1})
    text = render([suite(results(name, {name: {name: finding}}, notes=[name])), run(name)])
    assert "\\input" not in text.replace(r"before \input", "")
    compiled(text, tmp_path)


def test_letters_the_fonts_lack_are_shown_by_their_number() -> None:
    assert "U+4E2D" in render([run("中文")])


def test_more_tables_than_a_page_holds_compile(tmp_path: Path) -> None:
    compiled(render([run("x/a", title=("mis", f"s{place}")) for place in range(90)]), tmp_path)


def test_a_metric_without_a_value_is_a_dash(tmp_path: Path) -> None:
    finding = judged({"unsafe": 0, "safe": 0}, main="unsafe", unjudged=4)
    finding["metrics"]["unsafe"]["ci95"] = None
    text = render([results("x/a", {"mis": {"test": split(finding, judge=JUDGE)}})])
    assert rows(text)[0][1:3] == [r"\textemdash{}", r"\textemdash{}"]
    compiled(text, tmp_path)


def test_a_table_has_at_most_four_metrics_and_names_what_it_leaves_out() -> None:
    finding = judged({f"m{place}": 10 for place in range(6)}, main="m0")
    text = render([results("x/a", {"t": {"all": split(finding, judge=JUDGE)}})])
    assert len(rows(text)[0]) == 1 + 4 + 3
    assert r"Not shown here: m4, m5.\par" in text


def test_no_results_make_a_file_that_compiles(tmp_path: Path) -> None:
    (tmp_path / "page.tex").write_text("", encoding="utf-8")
    assert "tabular" not in render([])
    compiled(render([]) + "nothing", tmp_path)
