"""The paper table: what stands in which cell, what is best, which footnote stands where, and what is refused."""

from __future__ import annotations

import copy
import csv
import html
import io
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner, Result
from harness_csv import tabulate as as_csv
from harness_html import tabulate as as_html
from harness_latex import tabulate as as_latex
from harness_markdown import tabulate as as_markdown

from harness import plugins
from harness.board.matrix import build_matrix, suggest_template
from harness.board.matrix_template import find_template, list_templates, parse_template, write_template
from harness.cli import cli
from harness.contracts import Split
from harness.errors import BadData, HarnessError, UnknownName
from harness.matrix import Matrix, MatrixCell
from harness.settings import effective
from harness.testing.results import Body, judged, split
from tests.reports.matrix_runs import GPT, RULE, mean, rates, run, three
from tests.reports.test_text_formats import HOSTILE, HOSTILE_TEX, cells, compiled, shown

FORMATS: dict[str, Callable[[Matrix], str]] = {
    "markdown": as_markdown,
    "latex": as_latex,
    "csv": as_csv,
    "html": as_html,
}
PACKAGES = r"\usepackage{graphicx}\usepackage{rotating}"


def table(runs: Sequence[Body], template: str = "", **options: Any) -> Matrix:
    return build_matrix(runs, parse_template(template, "table.yaml") if template else None, **options)


def refused(runs: Sequence[Body], template: str = "", **options: Any) -> HarnessError:
    with pytest.raises(HarnessError) as found:
        table(runs, template, **options)
    return found.value


def numbers(made: Matrix) -> dict[str, list[str]]:
    return {row.name: [cell.number for cell in row.cells] for row in made.rows}


def cell(made: Matrix, row: int, column: int) -> MatrixCell:
    return made.rows[row].cells[column]


def texts(made: Matrix) -> dict[str, str]:
    return {note.mark: note.text for note in made.notes}


def offered() -> list[Any]:
    return [task for task, _ in plugins.current().offers("tasks")]


# -- Columns -----------------------------------------------------------------------------------------------------------
def test_without_a_template_each_split_has_its_main_metric_below_the_head_of_its_group() -> None:
    made = table(three(**{"xstest:safe": rates(ASR=30)}))
    assert [column.title for column in made.columns] == [
        "Safety / mis:easy / ASR ↓",
        "Over-refusal / xstest:safe / ASR ↓",
        "Ability / mmstar:val / accuracy ↑",
    ]
    assert numbers(made) == {"x/a": ["10.0", "3.0", "10.0"], "x/b": ["40.0", "—", "40.0"], "x/c": ["80.0", "—", "80.0"]}


def test_a_pooled_split_stands_for_its_parts_unless_the_template_names_them() -> None:
    runs = [
        run(ref, {"mis:easy": rates(ASR=easy), "mis:test": {**rates(ASR=easy), "parts": ["easy"]}})
        for ref, easy in (("x/a", 100), ("x/b", 200))
    ]
    assert [column.split for column in table(runs).columns] == ["test"]
    assert numbers(table(runs, 'columns: ["mis:easy", "mis:test"]'))["x/a"] == ["10.0", "10.0"]


def test_a_template_chooses_heads_metrics_digits_and_intervals() -> None:
    made = table(
        three(),
        """
        title: Mine
        digits: 2
        columns:
          - head: Safety
            columns: [{head: easy, split: "mis:easy", metrics: {RSR: Reasoned, ASR: Attacks}, intervals: true}]
          - {head: Stars, split: "mmstar:val", digits: 0}
        """,
    )
    assert [column.title for column in made.columns] == [
        "Safety / easy / Reasoned ↑",
        "Safety / easy / Attacks ↓",
        "Stars / accuracy ↑",
    ]
    assert made.title == "Mine"
    assert [each.text for each in made.rows[0].cells] == ["45.00 [41.94, 48.10]", "10.00 [8.29, 12.02]", "10"]


def test_runs_of_one_model_fill_one_row_together() -> None:
    easy, stars = {"mis:easy": rates(ASR=100)}, {"mmstar:val": rates(judge=RULE, main="accuracy", accuracy=5)}
    made = table([run("x/a", easy), run("x/b", {**easy, **stars}), run("x/a", stars)])
    assert numbers(made) == {"x/a": ["10.0", "0.5"], "x/b": ["10.0", "0.5"]}


def test_two_runs_of_one_model_on_one_split_are_two_rows_with_names_of_their_own() -> None:
    runs = [run("x/a", {"mis:easy": rates(ASR=100)}), run("x/a", {"mis:easy": rates(ASR=200)})]
    runs[1]["finished"] = "2026-01-02T00:00:00Z"
    assert list(numbers(table(runs))) == ["x/a (finished 2026-01-01T00:01:00Z)", "x/a (finished 2026-01-02T00:00:00Z)"]


def test_a_column_without_settings_finds_the_task_under_any_settings() -> None:
    runs = [run(ref, {"mis+prompts=upstream:easy": rates(ASR=100)}) for ref in ("x/a", "x/b")]
    made = table(runs, 'columns: ["mis:easy"]')
    assert [(column.task, column.split) for column in made.columns] == [("mis+prompts=upstream", "easy")]


def test_settings_of_a_task_that_differ_between_models_do_not_compare() -> None:
    runs = [run("x/a", {"mis:easy": rates(ASR=1)}), run("x/b", {"mis+prompts=upstream:easy": rates(ASR=1)})]
    made = table(runs, 'columns: ["mis:easy"]', allow_mismatch=True)
    assert (numbers(made)["x/b"], cell(made, 1, 0).told) == (
        ["—"],
        ("run with other settings only (mis+prompts=upstream:easy)",),
    )
    runs[0]["tasks"] = {"mis+prompts=own": runs[0]["tasks"]["mis"]}
    assert "settings of the task prompts=upstream, not prompts=own" in refused(runs, 'columns: ["mis:easy"]').where


def test_the_mean_of_a_suite_is_a_column_and_says_what_it_is_the_mean_of() -> None:
    runs = [mean(each, "general", {"mmstar:val": value}) for each, value in zip(three(), (61, 72, 83), strict=True)]
    runs[2] = mean(runs[2], "general", {}, missing=("mmstar:val",))
    made = table(runs)
    assert [column.title for column in made.columns][-1] == "Ability / general ↑"
    assert [each.cells[-1].number for each in made.rows] == ["61.0", "72.0", "—"]
    assert cell(made, 1, 2).standing == "best"
    assert "General: the unweighted mean of mmstar:val." in [fact[:1].upper() + fact[1:] for fact in made.facts]
    assert "Missing of the mean: mmstar:val." in texts(made).values()


def test_several_suites_with_the_same_parts_fill_one_column() -> None:
    runs = [
        mean(each, suite, {"mmstar:val": value})
        for each, suite, value in zip(three()[:2], ("general", "mirage-paper"), (61, 72), strict=True)
    ]
    made = table(runs, 'columns: [{head: Avg, suite: "general, mirage-paper"}]')
    assert numbers(made) == {"x/a": ["61.0"], "x/b": ["72.0"]}
    assert made.columns[0].title == "Avg / mean ↑"


# -- Best and second ---------------------------------------------------------------------------------------------------
def test_best_and_second_are_marked_in_each_column_in_its_own_direction() -> None:
    made = table(three(), 'columns: [{split: "mis:easy", metrics: [ASR, RSR]}, "mmstar:val"]')
    assert [[each.standing for each in row.cells] for row in made.rows] == [
        ["best", "best", ""],
        ["second", "second", "second"],
        ["", "", "best"],
    ]


def test_a_lead_that_is_not_significant_is_not_marked() -> None:
    runs = [run(ref, {"mis:easy": rates(ASR=count)}) for ref, count in (("x/a", 100), ("x/b", 105))]
    assert {each.standing for row in table(runs).rows for each in row.cells} == {""}


def test_best_can_be_left_unmarked() -> None:
    made = table(three(), 'best: false\ncolumns: ["mis:easy"]')
    assert {each.standing for row in made.rows for each in row.cells} == {""}
    assert not any("Bold" in fact for fact in made.facts)


@pytest.mark.parametrize("changes", [{"subset": {"limit": 9}}, {"complete": False, "coverage": 0.5}])
def test_a_part_of_a_split_is_marked_and_never_best(changes: Body) -> None:
    runs = three()
    runs[0]["tasks"]["mis"]["splits"]["easy"] |= changes
    made = table(runs)
    assert [each.cells[0].standing for each in made.rows] == ["", "best", ""]
    (mark,) = cell(made, 0, 0).notes
    assert texts(made)[mark].startswith(("Not compared: subset (limit 9)", "Not compared: incomplete (coverage 50.0%)"))


# -- Footnotes ---------------------------------------------------------------------------------------------------------
def test_a_missing_number_is_a_dash_with_its_reason() -> None:
    runs = three(**{"figstep:full": rates(ASR=5)})
    del runs[1]["tasks"]["mmstar"]
    runs[2]["tasks"]["mis"]["splits"]["easy"]["metrics"]["ASR"] |= {"value": None, "ci95": None, "why": "nobody judged"}
    made = table(runs)
    found = {row.name: [(each.number, each.told) for each in row.cells if each.value is None] for row in made.rows}
    assert found["x/b"] == [("—", ("not run",)), ("—", ("not run",))]
    assert found["x/c"] == [("—", ("nobody judged",)), ("—", ("not run",))]
    assert [note.text for note in made.notes] == ["Not run.", "Nobody judged."]
    assert {mark for row in made.rows for each in row.cells for mark in each.notes} == {"a", "b"}


def test_a_caution_stands_once_at_the_row_at_the_column_or_at_its_cell() -> None:
    runs = three(**{"xstest:safe": rates(ASR=30)})
    runs[1]["model"]["notes"] = ["answered in German"]
    for each in runs:
        each["tasks"]["mmstar"]["splits"]["val"]["data"] = {"toy": True}
    runs[0]["tasks"]["xstest"]["splits"]["safe"]["n_expected"] = 2000
    made = table(runs)
    found = texts(made)
    assert [found[mark] for mark in made.rows[1].notes] == ["Answered in German."]
    assert [found[mark] for mark in made.columns[2].notes] == ["Toy data: shows the tool, measures nothing."]
    assert [found[mark] for mark in cell(made, 0, 1).notes] == ["1000 samples, where 2000 are published."]
    assert not cell(made, 1, 0).notes
    assert len(found) == 4  # these and `not run`


def test_what_holds_for_every_number_is_said_once_without_a_mark() -> None:
    made = table([{**each, "bare": True} for each in three()])
    assert "Not verifiable: its results stand without the answers they count." in made.facts
    assert not made.notes


def test_the_table_says_who_judged_which_column_on_what_data() -> None:
    made = table(three())
    judge = "Judge: mis (own rubric v1) by openai-gpt-4o (mis:easy); choice (own rubric v1) (mmstar:val)."
    assert judge in made.facts
    assert "Data: example." in made.facts
    assert "Samples: 1000." in made.facts


def test_a_mean_over_seeds_has_its_standard_deviation_and_a_new_name_still_says_how_many() -> None:
    runs = three()
    for each in runs[:1]:
        each["model"]["seeds"] = [{"ref": "x/a", "seed": str(seed)} for seed in range(3)]
        each["tasks"]["mis"]["splits"]["easy"]["metrics"]["ASR"]["seeds"] = {"values": [9.0, 10.0, 11.0], "sd": 1.04}
    made = table(runs)
    assert next(iter(numbers(made))) == "x/a (3 seeds)"
    assert cell(made, 0, 0).text == "10.0 ± 1.0"
    assert any(fact.startswith("±: standard deviation") for fact in made.facts)
    named = table(runs, 'columns: ["mis:easy", "mmstar:val"]\nrows: [{model: "x/a*", name: Ours}]')
    assert [texts(named)[mark] for mark in named.rows[0].notes] == ["Mean over 3 seeds."]


# -- People ------------------------------------------------------------------------------------------------------------
def with_people(body: Body, **changes: Any) -> Body:
    found = {"value": 12.5, "ci95": [8.0, 17.0], "labels": 120, "of": 1000, "why": None, "alpha": None, **changes}
    body["tasks"]["mis"]["splits"]["easy"]["metrics"]["ASR"]["corrected"] = found
    return body


def test_numbers_by_people_are_a_column_of_their_own_where_the_template_asks_for_them() -> None:
    runs = three()
    with_people(runs[0])
    with_people(runs[1], value=None, ci95=None, why="5 labels: an estimate needs 40", labels=5)
    template = 'corrected: true\nintervals: true\ncolumns: ["mis:easy", "mmstar:val"]'
    made = table(runs, template)
    assert [column.title for column in made.columns] == [
        "mis:easy / ASR ↓",
        "mis:easy / by people ↓",
        "mmstar:val / accuracy ↑",
    ]
    assert cell(made, 0, 1).text == "12.5 [8.0, 17.0]"
    assert cell(made, 0, 1).told == ("from labels of 120 answers, for all 1000; agreement unknown",)
    assert cell(made, 1, 1).told == ("5 labels: an estimate needs 40",)
    assert cell(made, 2, 1).told == ("not labelled by people",)
    assert len(table(runs).columns) == 2
    assert "harness label" in refused(three(), template).remedy


# -- Rows --------------------------------------------------------------------------------------------------------------
def test_a_template_orders_names_groups_and_leaves_out_rows() -> None:
    made = table(
        three(),
        """
        columns: ["mis:easy"]
        rows:
          - section: Ours
          - {model: x/c, name: Model C}
          - section: Theirs
          - x/a
        other_rows: false
        """,
    )
    assert [(row.section, row.name, row.model) for row in made.rows] == [
        ("Ours", "Model C", "x/c"),
        ("Theirs", "x/a", "x/a"),
    ]
    assert [row.name for row in table(three(), 'columns: ["mis:easy"]\nrows: [x/c]').rows] == ["x/c", "x/a", "x/b"]


def test_a_row_that_is_left_out_is_not_compared_with() -> None:
    made = table(three(), 'columns: ["mis:easy"]\nrows: [x/b, x/c]\nother_rows: false')
    assert [row.cells[0].standing for row in made.rows] == ["best", ""]


def test_a_model_without_any_of_the_columns_is_left_out_and_named_unless_the_template_names_it() -> None:
    runs = [*three(), run("x/d", {"xstest:safe": rates(ASR=1)})]
    made = table(runs, 'columns: ["mis:easy"]')
    assert list(numbers(made)) == ["x/a", "x/b", "x/c"]
    assert "Left out, since it has no number of these columns: x/d." in made.facts
    assert numbers(table(runs, 'columns: ["mis:easy"]\nrows: [x/d]'))["x/d"] == ["—"]


def test_cautions_of_runs_do_not_reach_published_rows_and_means() -> None:
    runs = [mean({**each, "bare": True}, "general", {"mmstar:val": 60.0}) for each in three()]
    template = "columns: [{split: 'mis:easy', metrics: [ASR, RSR]}, {suite: general}]\nrows: [{published: GPT-4o}]"
    made = table(runs, template, tasks=offered(), suites=["general"])
    assert "Of all runs: not verifiable: its results stand without the answers they count." in made.facts
    assert [len(row.notes) for row in made.rows] == [1, 0, 0, 0]
    assert made.rows[0].cells[0].notes == ()


def test_published_rows_stand_beside_with_their_source_and_are_never_best() -> None:
    template = """
        digits: 2
        columns: [{split: "mis:easy", metrics: [ASR, RSR]}]
        rows: [{published: "GPT-4o"}, {published: "Qwen2-VL-7B", name: Qwen as published}]
    """
    made = table(three(), template, tasks=offered())
    assert numbers(made)["GPT-4o"] == ["46.21", "13.49"]
    assert numbers(made)["Qwen as published"] == ["90.03", "9.73"]
    assert [row.published for row in made.rows] == [True, True, False, False, False]
    assert {each.standing for row in made.rows[:2] for each in row.cells} == {""}
    found = [texts(made)[mark] for mark in made.rows[0].notes]
    assert found[0].startswith("As published: MIS and MIRage (arXiv 2501.18533); Table 4 of v3; judge: GPT-4o")
    assert any("sums to 100.12, not 100" in text.lower() for text in texts(made).values())


# -- What does not compare ---------------------------------------------------------------------------------------------
def other_judge() -> list[Body]:
    runs = three()
    other = copy.deepcopy(runs[1]["tasks"]["mis"]["splits"]["easy"])
    runs[1] = run(
        "x/b",
        {
            "mis:easy": {**other, "judge": "mis-openai-other-00000000"},
            "mmstar:val": rates(judge=RULE, main="accuracy", accuracy=400),
        },
    )
    return runs


def test_other_judges_in_one_column_are_refused_with_what_differs() -> None:
    error = refused(other_judge())
    assert error.where.count("\n  - ") == 1
    assert "numbers of one column do not compare" in error.what
    assert f"mis:easy: x/b: judge mis-openai-other-00000000, not {GPT}" in error.where
    assert "harness judge" in error.remedy
    assert "--allow-mismatch" in error.remedy


def test_a_judge_that_all_runs_have_is_named_as_the_way_out_and_can_be_chosen() -> None:
    runs = other_judge()
    for each in runs:
        each["judges"]["keyword-1"] = {**each["judges"][RULE], "rubric": "keyword"}
        body = each["tasks"]["mis"]["splits"]["easy"]
        body["other_judges"] = {"keyword-1": judged({"ASR": 500, "rest": 500}, main="ASR")}
    assert "`judge: keyword-1`" in refused(runs).remedy
    for judge in ("keyword-1", "keyword"):
        made = table(runs, f'columns: [{{split: "mis:easy", judge: {judge}}}]')
        assert numbers(made) == {"x/a": ["50.0"], "x/b": ["50.0"], "x/c": ["50.0"]}
    assert "did you mean 'keyword-1'?" in refused(runs, 'columns: [{split: "mis:easy", judge: keywrd-1}]').remedy


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"data": {"source": "hub:x", "revision": "def"}}, "data revision def, not unset"),
        ({"settings": {"temperature": 1.0, "max_tokens": 1024}}, "temperature 1.0, not 0.0"),
        ({"fidelity": "upstream"}, "wording of the input upstream, not unset"),
    ],
)
def test_other_data_settings_or_wording_are_refused(change: Body, told: str) -> None:
    runs = three()
    runs[1]["tasks"]["mis"]["splits"]["easy"] |= change
    assert told in refused(runs).where


def test_what_does_not_compare_can_be_marked_instead_and_is_never_best() -> None:
    runs = other_judge()
    runs[1]["tasks"]["mis"]["splits"]["easy"] = {**rates(ASR=1), "judge": "mis-openai-other-00000000"}
    made = table(runs, allow_mismatch=True)
    assert [row.cells[0].standing for row in made.rows] == ["best", "", ""]
    (mark,) = cell(made, 1, 0).notes
    assert texts(made)[mark] == f"Not compared: judge mis-openai-other-00000000, not {GPT}."


def test_a_rubric_that_another_model_reads_in_another_column_is_refused_or_marked_at_its_head() -> None:
    other = "mis-openai-other-00000000"
    runs = [
        run(ref, {"mis:easy": rates(ASR=1), "mis:hard": rates(ASR=9), "mis:real": rates(ASR=2, judge=other)})
        for ref in ("x/a", "x/b")
    ]
    error = refused(runs)
    assert "mis:real: judge mis (own rubric v1) by openai-other, in other columns mis (own" in error.where
    assert "name the judge in its column" in error.remedy
    made = table(runs, allow_mismatch=True)
    (mark,) = made.columns[2].notes
    assert texts(made)[mark].startswith(
        "Judged by mis (own rubric v1) by openai-other; other columns of the rubric mis by"
    )
    named = "columns: ['mis:easy', 'mis:hard', {split: 'mis:real', judge: mis}]"
    assert not table(runs, named).notes


def test_the_judge_of_a_column_is_that_of_most_of_its_numbers() -> None:
    first = run("x/0", {"mis:easy": rates(ASR=1, judge="mis-openai-other-00000000"), "mis:hard": rates(ASR=1)})
    rest = [run(f"x/{place}", {"mis:easy": rates(ASR=1), "mis:hard": rates(ASR=1)}) for place in (1, 2)]
    made = table([first, *rest], allow_mismatch=True)
    assert {column.judge for column in made.columns} == {"mis (own rubric v1) by openai-gpt-4o"}
    assert [note.text for note in made.notes] == [f"Not compared: judge mis-openai-other-00000000, not {GPT}."]


def test_means_whose_parts_do_not_compare_are_refused_too() -> None:
    runs = [mean(each, "general", {"mmstar:val": 60.0}) for each in three()]
    runs[2]["tasks"]["mmstar"]["splits"]["val"]["settings"] = {"temperature": 1.0}
    assert "mmstar:val: x/c: temperature 1.0" in refused(runs, "columns: [{suite: general}]").where


def test_a_subset_does_not_make_a_class_of_its_own() -> None:
    runs = three()
    runs[1]["tasks"]["mis"]["splits"]["easy"] = {**rates(n=9, ASR=3), "subset": {"limit": 9}}
    assert table(runs)


# -- Bad input ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("template", "told", "remedy"),
    [
        ("columns: [", "is not YAML", "--show-columns"),
        ("- a\n- b", "is not a mapping", "columns"),
        ("colums: []", "no key 'colums'", "did you mean 'columns'?"),
        ("title: x", "columns: the list is empty", "--show-columns"),
        ("columns: mis", "is not a list", "hyphen"),
        ("columns: [{split: 'mis:easy', metric: ASR}]", "columns.1: there is no key 'metric'", "'metrics'"),
        ("columns: [{head: x}]", "it needs a split or a suite", "TASK:SPLIT"),
        ("columns: [{head: x, columns: [{split: 'mis:easy', digit: 1}]}]", "columns.1.columns.1", "'digits'"),
        ("columns: ['mis:easy']\ndigits: 1.5", "digits: 1.5 is not a whole number", ""),
        ("columns: ['mis:easy']\ndigits: 40", "not between 0 and 6", ""),
        ("columns: ['mis:easy']\nintervals: maybe", "neither true nor false", ""),
        ("columns: ['mis:easy']\nfit: sidways", "fit: 'sidways' is not one of its values", "did you mean 'sideways'?"),
        ("columns: ['mis:easy']\nlabel: 'a}b'", "letters, digits and hyphens", ""),
        ("columns: ['mis:easy']\nrows: [{name: x}]", "rows.1: it needs one of model", "section: TEXT"),
        ("columns: [{suite: general, metrics: [x]}]", "has one mean and no metrics", "leave"),
        ("columns: [!!python/object/apply:os.system ['true']]", "is not YAML", ""),
    ],
)
def test_a_template_that_is_none_is_refused_with_its_place(template: str, told: str, remedy: str) -> None:
    error = refused(three(), template)
    assert isinstance(error, BadData)
    assert told in f"{error.what}: {error.where}"
    assert "table.yaml" in error.where
    assert remedy in error.remedy


@pytest.mark.parametrize(
    ("template", "told", "remedy"),
    [
        ("columns: ['mis:esay']", "no run and no task has the column 'mis:esay'", "did you mean 'mis:easy'?"),
        ("columns: [{split: 'mis:easy', metrics: [ASRR]}]", "mis:easy has no metric 'ASRR'", "did you mean 'ASR'?"),
        ("columns: [{suite: genral}]", "no run has a mean of a suite called 'genral'", "did you mean 'general'?"),
        ("columns: ['mis:easy']\nrows: [x/z]", "no run's model is called 'x/z'", "did you mean"),
        (
            "columns: ['mis:easy']\nrows: [{published: GPT4o}]",
            "no published row is called 'GPT4o'",
            "did you mean 'GPT-4o'?",
        ),
        (
            "columns: ['mis:easy']\nrows: [{model: 'x/*', name: One}]",
            "which cannot all be called 'One'",
            "x/a, x/b, x/c",
        ),
        ("columns: ['figstep:full']", "no run has a column of the table", "the runs have mis:easy, mmstar:val"),
    ],
)
def test_what_is_not_there_is_refused_with_the_nearest(template: str, told: str, remedy: str) -> None:
    error = refused(three(), template, tasks=offered(), suites=["general"])
    assert told in error.what
    assert remedy in error.remedy


def test_runs_without_a_shared_column_are_refused_unless_asked_for() -> None:
    runs = [run("x/a", {"mis:easy": rates(ASR=1)}), run("x/b", {"figstep:full": rates(ASR=1)})]
    assert "no two rows share a column" in refused(runs).what
    assert numbers(table(runs, allow_mismatch=True)) == {"x/a": ["0.1", "—"], "x/b": ["—", "0.1"]}


def test_a_column_that_no_run_has_yet_is_left_out_and_named() -> None:
    made = table(
        three(), "columns: ['mis:easy', 'figstep:full', {suite: general}]", tasks=offered(), suites=["general"]
    )
    assert len(made.columns) == 1
    assert "Left out, since no run has it: figstep:full, general." in made.facts


# -- Templates that come with the harness ------------------------------------------------------------------------------
@pytest.mark.parametrize("name", list_templates())
def test_each_packaged_template_names_splits_and_metrics_that_the_tasks_have(name: str) -> None:
    template = parse_template(*find_template(name))
    tasks = {task.name: task for task in offered()}
    suites = {suite.name for suite, _ in plugins.current().offers("suites")}
    for choice in template.columns:
        if choice.suite:
            assert {each.strip() for each in choice.title.split(",")} <= suites
            continue
        task, _, split_name = choice.title.partition(":")
        declared: Any = tasks[task].splits
        defaults = effective(tasks[task].settings, {}, owner=task)
        splits = cast("dict[str, Split]", declared(defaults, Path("none")) if callable(declared) else declared)
        assert {metric for metric, _ in choice.metrics} <= {metric.name for metric in splits[split_name].metrics}


def test_the_template_of_the_mis_paper_makes_its_tables_of_published_rows() -> None:
    text, where = find_template("mis-paper")
    rows = 'rows: [{published: "InternVL2.5-8B"}, {published: "InternVL2.5-8B + MIRage"}]\nother_rows: false\n'
    made = build_matrix(
        three(), parse_template(text + rows, where), tasks=offered(), suites=["mirage-paper", "general"]
    )
    assert [head for head, _ in made.heads[0]] == ["MIS", "Other safety", "General"]
    first = numbers(made)["InternVL2.5-8B"]
    assert first[:4] == ["80.12", "0.54", "14.81", "4.53"]
    assert first[12:] == [
        "38.80",
        "15.58",
        "18.57",
        "24.85",
        "99.67",
        "3.00",
        "73.11",
        "62.87",
        "54.33",
        "51.35",
        "60.70",
    ]
    assert "Average" in made.facts[-1]


def test_a_suggested_template_makes_the_same_table() -> None:
    runs = [mean(each, "general", {"mmstar:val": 60.0}) for each in three()]
    again = parse_template(write_template(suggest_template(runs)), "again.yaml")
    made, first = build_matrix(runs, again), build_matrix(runs)
    assert (made.rows, made.notes) == (first.rows, first.notes)
    assert [(column.group, column.task, column.metric) for column in made.columns] == [
        (column.group, column.task, column.metric) for column in first.columns
    ]


# -- Formats -----------------------------------------------------------------------------------------------------------
def full() -> Matrix:
    """A table with all that a format must set."""
    runs = three(**{"xstest:safe": rates(ASR=30)})
    runs[0]["tasks"]["mis"]["splits"]["easy"]["metrics"]["ASR"]["seeds"] = {"values": [9.0, 11.0], "sd": 1.4}
    runs[2]["tasks"]["mis"]["splits"]["easy"]["subset"] = {"limit": 9}
    runs[1]["model"]["notes"] = ["answered in German"]
    return table(
        runs,
        """
        title: Safety & ability
        label: my-table
        intervals: true
        columns:
          - {head: Safety, columns: [{head: easy, split: "mis:easy", metrics: [ASR, RSR]}, "xstest:safe"]}
          - {head: Ability, columns: [{head: Stars, split: "mmstar:val"}]}
        rows:
          - {published: GPT-4o, name: GPT-4o (published)}
          - section: Runs
          - "x/*"
        """,
        tasks=offered(),
    )


def test_markdown_is_one_table_with_footnotes_below() -> None:
    text = as_markdown(full())
    found = cells(text)
    assert len({len(row) for row in found}) == 1
    assert found[0][1] == "Safety<br>easy<br>ASR ↓"
    names = [re.sub(r"<.*?>", "", row[0]) for row in found[1:]]
    assert names == ["GPT-4o (published)a", "Runs", "x/a", "x/bc", "x/c"]
    assert shown(text).count("<table>") == 1
    assert "<ins>40.0</ins> [37.0, 43.1]" in text
    assert "- <sup>c</sup> Answered in German.\n" in text


def test_csv_is_flat_with_a_line_for_each_cell() -> None:
    made = full()
    rows = list(csv.DictReader(io.StringIO(as_csv(made))))
    assert len(rows) == len(made.rows) * len(made.columns)
    first = next(row for row in rows if row["model"] == "x/a")
    found = [first[name] for name in ("group", "over", "metric", "value", "shown", "seed_sd", "standing")]
    assert found == ["Safety", "easy", "ASR", "10.0", "10.0", "1.4", "best"]
    missing = [row["notes"] for row in rows if row["value"] == "" and row["model"] == "x/c"]
    assert missing == ["not run"]


@pytest.mark.parametrize("fit", ["resize", "sideways", "none"])
def test_latex_compiles_and_stays_on_the_page(fit: str, tmp_path: Path) -> None:
    text = as_latex(replace(full(), fit=fit))
    assert r"\multicolumn{3}{c}{Safety}" in text
    assert r"\cmidrule(lr){2-4}" in text
    assert r"\label{tab:my-table}" in text
    said = compiled(text, tmp_path, head=PACKAGES)
    assert ("Overfull" in said) == (fit == "none")
    assert "undefined" not in said


def test_a_table_of_many_columns_still_fits_the_page(tmp_path: Path) -> None:
    runs = [
        run(ref, {f"task-{place}:split": rates(ASR=100 + place) for place in range(24)})
        for ref in ("hf/some-organisation/some-model-7B", "x/b")
    ]
    said = compiled(as_latex(table(runs)), tmp_path, head=PACKAGES)
    assert "Overfull" not in said


@pytest.mark.parametrize("name", HOSTILE_TEX)
def test_a_hostile_name_is_set_as_text_by_tex(name: str, tmp_path: Path) -> None:
    finding = split(judged({name: 3, "safe": 7}, main=name), judge=f"{name}-x-1", fidelity=name, subset={name: 1})
    text = as_latex(table([run(name, {f"{name}": finding}, notes=[name])]))
    assert "\\input" not in text.replace(r"before \input", "")
    compiled(text, tmp_path, head=PACKAGES)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_does_nothing_in_markdown_and_html(name: str) -> None:
    finding = split(judged({name: 3, "safe": 7}, main=name), judge=f"{name}-x-1", fidelity=name, subset={name: 1})
    made = table([run(name, {"task": finding}, notes=[name])])
    written = re.sub(r"</?(sup|br|sub|ins)>", "", as_markdown(made))
    assert not re.search(r"<(a|img|script|code|b)\b", shown(written))
    page = as_html(made)
    assert not re.search(r"<(img|script|code|b)\b", page)
    assert " ".join(name.split()) in " ".join(html.unescape(page).replace("<wbr>", "").split())


def test_no_cell_of_the_csv_acts_as_a_formula() -> None:
    made = table([run("=1+1", {"mis:easy": rates(ASR=1)})])
    assert "'=1+1" in as_csv(made)


def test_the_page_has_heads_for_groups_and_rows_and_links_to_its_footnotes() -> None:
    page = as_html(full())
    assert '<th scope="colgroup" colspan="3" class="over"><bdi>Safety</bdi></th>' in page
    assert page.count('<th scope="row">') == 4
    assert '<th scope="rowgroup" colspan="5" class="part">' in page
    for target in set(re.findall(r'href="#([^"]+)"', page)):
        assert page.count(f'id="{target}"') == 1
    assert "<script" not in page
    assert "default-src 'none'" in html.unescape(page)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_shows_every_number_and_every_footnote(name: str) -> None:
    made = full()
    text = html.unescape(FORMATS[name](made)).replace("<wbr>", "")
    for row in made.rows:
        assert all(each.number in text for each in row.cells if each.value is not None)
    if name != "csv":
        assert all(note.text.split(":")[0] in text.replace("\\", "") for note in made.notes)


# -- The command -------------------------------------------------------------------------------------------------------
@pytest.fixture
def folders(tmp_path: Path) -> Path:
    for body, name in zip(three(), "abc", strict=True):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "results.json").write_text(json.dumps(body), encoding="utf-8")
    return tmp_path / "runs"


def report(*arguments: str | Path, told: str | None = None) -> Result:
    return CliRunner().invoke(cli, ["report", *map(str, arguments)], input=told)


def test_the_command_prints_markdown_and_takes_the_format_of_the_output(folders: Path, tmp_path: Path) -> None:
    assert report(folders / "*", "--matrix").stdout.startswith("### Models and benchmarks\n")
    for name, begins in (("t.tex", "% Needs"), ("t.html", "<!doctype html>"), ("t.csv", "model,name"), ("t.md", "###")):
        done = report(folders / "*", "--matrix", "--output", tmp_path / name)
        assert done.exit_code == 0, done.exception
        assert (tmp_path / name).read_text(encoding="utf-8").startswith(begins)


def test_a_template_comes_from_a_file_from_stdin_or_by_name(folders: Path, tmp_path: Path) -> None:
    template = "title: Mine\ncolumns: ['mis:easy']"
    (tmp_path / "table.yaml").write_text(template, encoding="utf-8")
    for done in (
        report(folders / "*", "--columns", tmp_path / "table.yaml"),
        report(folders / "*", "--columns", "-", told=template),
    ):
        assert done.stdout.startswith("### Mine\n"), done.exception
    error = report(folders / "*", "--columns", "mis-papr").exception
    assert isinstance(error, UnknownName)
    assert "did you mean 'mis-paper'?" in error.remedy


def test_the_columns_of_a_table_can_be_printed_edited_and_given_again(folders: Path, tmp_path: Path) -> None:
    shown_columns = report(folders / "*", "--matrix", "--show-columns")
    assert shown_columns.exit_code == 0
    (tmp_path / "table.yaml").write_text(shown_columns.stdout, encoding="utf-8")
    again = report(folders / "*", "--columns", tmp_path / "table.yaml")
    assert again.stdout.count("\n| x/") == 3
    packaged = report("--columns", "mis-paper", "--show-columns")
    assert packaged.stdout == find_template("mis-paper")[0]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--format", "json", "--matrix"], "report json has no paper table"),
        (["--matrix", "--output", "table.docx"], "no format with a paper table has this ending"),
        (["--matrix", "--figures", "x"], "leave out --figures"),
        (["--allow-mismatch"], "give --matrix too"),
    ],
)
def test_what_the_paper_table_cannot_do_is_refused(folders: Path, arguments: list[str], told: str) -> None:
    done = report(folders / "*", *arguments)
    assert done.exit_code != 0
    assert told in f"{done.exception} {done.stderr}"


def test_without_runs_only_a_named_template_can_be_printed() -> None:
    assert "Missing argument 'RUNS...'" in report("--matrix", "--show-columns").stderr
    assert "Missing argument 'RUNS...'" in report().stderr


def test_the_template_that_the_page_shows_is_one() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reports" / "matrix.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    template = parse_template(text, "matrix.md")
    assert len(template.columns) == 5
    assert len(template.rows) == 3
