"""The tables of a terminal: the one a run ends with, and that of `harness report`, never wider than the terminal."""

from __future__ import annotations

import io
import re
import subprocess
import sys

import pytest
from rich.cells import cell_len
from rich.console import Console

from harness.board.tables import (
    draw_report_table,
    print_report_table,
    print_run_table,
    render_report_table,
    render_run_table,
    shorten_middle,
    shorten_names,
)
from harness.testing.results import Body, judged, metric, results, split

JUDGE = "mis-openai-judge-1f3a9c2e"


def run(ref: str = "openai/name", **changes: object) -> Body:
    finding = judged({"unsafe": 1342, "safe": 330}, main="unsafe", judge_unparsable=3)
    return results(ref, {"mis": {"easy": split(finding, judge=JUDGE, blocked=2, fidelity="own", **changes)}})


def test_each_number_stands_with_its_interval_and_what_it_was_divided_by() -> None:
    (main,) = [line for line in render_run_table(run()).splitlines() if line.strip().startswith("unsafe")]
    assert main.split() == ["unsafe", "%", "↓", "80.3", "[78.3,", "82.1]", "1342/1672,", "3", "unresolved"]


def test_the_head_says_how_many_who_judged_and_whose_words() -> None:
    first, second, *_ = render_run_table(run()).splitlines()
    assert first == "mis:easy  openai/name"
    assert second == (
        "  n 1675 · coverage 99.8% · blocked 2 · judge_unparsable 3"
        " · judge mis (own rubric v1) by openai-judge · wording own"
    )


def test_flags_of_answers_are_counted_where_there_are_any() -> None:
    _, second, *_ = render_run_table(
        run(flags={"truncated": 12, "refusal": 0, "verdict_like": 1, "cached": 3})
    ).splitlines()
    assert " · truncated 12 · verdict_like 1 · cached 3 · judge_unparsable 3 · " in second


def test_incomplete_and_subset_results_are_marked() -> None:
    shown = render_run_table(run(complete=False, subset={"limit": 5}))
    assert "(incomplete)" in shown
    assert "(subset)" in shown
    assert "not ranked" in shown


def test_a_mean_over_strata_shows_each_of_them() -> None:
    finding = judged({"mean_acc": 450, "wrong": 150}, main="mean_acc", better="higher")
    strata = {
        name: {"value": value, "numerator": part, "denominator": 300, "unresolved": 0}
        for name, value, part in (("safe", 80.0, 240), ("unsafe", 70.0, 210))
    }
    finding["metrics"]["mean_acc"].update(numerator=None, denominator=None, strata=strata)
    shown = render_run_table(results("x/a", {"mssbench": {"chat": split(finding, judge=JUDGE)}}))
    assert "mean of safe 80.0 (240/300), unsafe 70.0 (210/300)" in shown


def test_a_metric_without_a_value_shows_a_dash() -> None:
    nothing = metric(0, 0, better="lower", main=True)
    shown = render_run_table(run(metrics={"ASR": nothing}, coverage=None))
    (main,) = [line for line in shown.splitlines() if line.strip().startswith("ASR")]
    assert " ".join(main.split()) == "ASR % ↓ — 0/0; no record counts, so there is nothing to divide by"


def test_several_models_stand_in_one_table() -> None:
    lines = render_run_table([run("x/a"), run("x/b")]).splitlines()
    heads = [place for place, text in enumerate(lines) if text.startswith("mis:easy")]
    assert [lines[place] for place in heads] == ["mis:easy  x/a", "mis:easy  x/b"]
    assert lines[heads[1] - 1] == ""


def test_no_control_character_and_no_markup_of_a_name_is_obeyed() -> None:
    shown = render_run_table(run("evil\x1b[31m[bold]x[/bold]\u202e"))
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "[bold]x[/bold]" in shown


def test_a_pipe_gets_plain_text_and_a_terminal_gets_bold() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    pipe, terminal = io.StringIO(), Terminal()
    print_run_table(run(), pipe)
    print_run_table(run(), terminal)
    assert pipe.getvalue() == render_run_table(run())
    assert "mis:easy" in terminal.getvalue()


def test_rich_is_imported_only_when_a_table_is_drawn() -> None:
    code = "import sys, harness.board.tables; print('rich' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


REPORT_JUDGE = "mis-openai-gpt-5-1f3a9c2e"
LONG = "hf/some-lab/a-rather-long-name-of-a-model-with-a-tail-that-matters"


def report_run(
    ref: str, unsafe: int, *, judge: str = REPORT_JUDGE, model: Body | None = None, **changes: object
) -> Body:
    body = split(judged({"unsafe": unsafe, "safe": 950 - unsafe, "odd": 50}, main="unsafe"), judge=judge, **changes)
    return results(ref, {"mis": {"easy": body}}, **(model or {}))


def drawn(width: int, *runs: Body) -> list[str]:
    out = io.StringIO()
    draw_report_table(Console(file=out, width=width, color_system=None, highlight=False), runs)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def row(lines: list[str], name: str) -> str:
    """The row of a model: notes, which are indented, name it too."""
    (found,) = [line for line in lines if name in line and not line.startswith("  ")]
    return found


RUNS = (
    report_run(LONG, 500),
    report_run("anthropic/b", 100, blocked=7),
    report_run("openai/gpt-x", 800, subset={"limit": 9}),
)


@pytest.mark.parametrize("width", [60, 80, 81, 100, 120, 160, 240])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert max(cell_len(line) for line in drawn(width, *RUNS)) <= width


def test_a_board_is_one_block_with_its_judge_and_a_line_for_each_row() -> None:
    lines = drawn(80, *RUNS)
    assert lines[0] == "mis:easy  judge mis (own rubric v1) by openai-gpt-5"
    assert lines[1].split()[:5] == ["#", "model", "unsafe", "%", "↓"]
    assert row(lines, "anthropic/b").split()[:6] == ["1*", "anthropic/b", "10.0", "[8.3,", "12.0]", "1000"]


def test_a_name_is_shortened_on_a_terminal_and_stands_whole_where_there_is_room() -> None:
    assert row(drawn(80, *RUNS), "matters").split()[1].endswith("matters")
    assert "…" in row(drawn(80, *RUNS), "matters")
    assert LONG in row(drawn(200, *RUNS), "hf/some")


ALIKE = ("hf/Qwen/Qwen2-VL-7B-Instruct", "hf/Qwen/Qwen2-VL-72B-Instruct", "hf/OpenGVLab/InternVL2_5-8B")


@pytest.mark.parametrize(
    ("width", "short"),
    [
        (30, list(ALIKE)),
        (24, ["…Qwen2-VL-7B-Instruct", "…Qwen2-VL-72B-Instruct", "…InternVL2_5-8B"]),
        (20, ["…VL-7B-Instruct", "…VL-72B-Instruct", "…InternVL2_5-8B"]),
        (5, ["…7B…", "…72B…", "…I…8B"]),
    ],
)
def test_names_lose_what_they_share_and_keep_what_tells_them_apart(width: int, short: list[str]) -> None:
    assert shorten_names(ALIKE, width) == short


@pytest.mark.parametrize("width", [4, 8, 20, 33])
@pytest.mark.parametrize(
    "names",
    [
        ("lab/" + "x" * 40 + "a" + "x" * 40, "lab/" + "x" * 40 + "b" + "x" * 40),
        ("a/same-name", "b/same-name", "c/same-name + cot"),
        ("lab/model", "lab/model-chat", "lab/model-chat-chat"),
        ("名前" * 30 + "甲", "名前" * 30 + "乙"),
        ("…", "……", "/", "//", "-"),
    ],
)
def test_names_that_differ_never_look_the_same(names: tuple[str, ...], width: int) -> None:
    short = shorten_names(names, width)
    assert len(set(short)) == len(names)
    assert all(cell_len(each) <= width for each in short)


def test_a_metric_makes_room_for_names_that_would_look_the_same() -> None:
    sizes = [f"hf/lab/{'a-long-middle-' * 2}{size}" for size in ("7B-Instruct-2025-01", "72B-Instruct-2025-01")]
    lines = drawn(80, *(report_run(name, 100 + place) for place, name in enumerate(sizes)))
    assert [line.split()[1].count("#") for line in lines[2:4]] == [0, 0]
    assert ["7B" in lines[2], "72B" in lines[3]] == [True, True]


@pytest.mark.parametrize("columns", ["80", None])
def test_a_pipe_never_cuts_a_name_and_shows_all_metrics_unless_columns_says_less(
    monkeypatch: pytest.MonkeyPatch, columns: str | None
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    out = io.StringIO()
    print_report_table(RUNS, out)
    assert LONG in out.getvalue()
    assert ("not shown: " in out.getvalue()) is (columns is not None)
    assert out.getvalue() == render_report_table(RUNS, int(columns) if columns else None)


def test_metrics_that_do_not_fit_are_named_with_where_to_see_them() -> None:
    lines = drawn(60, report_run("x/a", 100), report_run("x/b", 900))
    assert "  not shown: odd; without intervals: safe. A wider terminal," in lines
    assert not any("not shown" in line for line in drawn(200, report_run("x/a", 100), report_run("x/b", 900)))


def test_ranks_stand_in_order_where_a_wide_interval_shares_a_better_rank() -> None:
    def ranked(ref: str, value: int, worst: list[float]) -> Body:
        body = report_run(ref, value)
        body["tasks"]["mis"]["splits"]["easy"]["metrics"]["unsafe"]["ci95_worst"] = worst
        return body

    lines = drawn(100, ranked("x/a", 100, [9, 11]), ranked("x/b", 150, [14, 16]), ranked("x/wide", 170, [5, 30]))
    assert [line.split()[:2] for line in lines[2:5]] == [["1", "x/a"], ["1", "x/wide"], ["2", "x/b"]]


def test_more_room_is_for_more_metrics_and_then_for_their_intervals() -> None:
    shown = [drawn(width, report_run("x/a", 100), report_run("x/b", 900)) for width in (40, 45, 60, 200)]
    assert [row(lines, "#").count("%") for lines in shown] == [1, 1, 2, 3]
    assert [row(lines, "x/a").count("[") for lines in shown] == [0, 1, 1, 3]


def test_best_and_second_are_marked_only_where_no_interval_reaches_them() -> None:
    lines = drawn(100, report_run("x/a", 100), report_run("x/b", 500), report_run("x/c", 900))
    assert [row(lines, name).split()[0] for name in ("x/a", "x/b", "x/c")] == ["1*", "2°", "3"]
    level = drawn(100, report_run("x/a", 500), report_run("x/b", 501), report_run("x/c", 900))
    assert not re.search(r"[*°]", "\n".join(level))


def test_what_is_not_ranked_has_a_dash_and_says_why() -> None:
    lines = drawn(80, *RUNS)
    assert row(lines, "openai/gpt-x").split()[0] == "—"
    assert "openai/gpt-x: not ranked: subset (limit 9)." in "\n".join(lines)


def test_cautions_are_words_in_the_row_and_sentences_below() -> None:
    lines = drawn(
        160, *RUNS, report_run("x/tuned", 200, model={"training": {"tuned_from": "", "trained_on": ["mis-train"]}})
    )
    assert row(lines, "openai/gpt-x").endswith("subset own-family")
    assert row(lines, "x/tuned").endswith("trained-on")
    text = " ".join(" ".join(lines).split())
    assert "openai/gpt-x: judged by a model of its own family (OpenAI)." in text
    assert "x/tuned: trained on data of this test's source (mis-train)." in text


def test_flags_stand_beneath_each_other_where_they_would_not_fit_beside_each_other() -> None:
    lines = drawn(70, report_run(LONG.replace("hf/", "openai/gpt-"), 500, subset={"limit": 9}))
    place = next(number for number, line in enumerate(lines) if line.startswith("—"))
    assert [line.split()[-1] for line in lines[place : place + 2]] == ["subset", "own-family"]


def test_flagged_answers_are_counted_below() -> None:
    lines = drawn(120, report_run("x/a", 100, flags={"truncated": 12}))
    assert row(lines, "x/a").endswith("truncated")
    assert "  x/a: of 1000 answers, 12 cut off at the token limit." in lines


def test_classes_are_blocks_of_their_own() -> None:
    lines = drawn(80, report_run("x/a", 100), report_run("x/b", 200, judge="keyword-0000aaaa"))
    assert [line.split("  ")[0] for line in lines if line.startswith("mis:easy")] == ["mis:easy (A)", "mis:easy (B)"]


def test_suites_have_their_means_at_the_end() -> None:
    body = report_run("x/a", 100)
    of = {"mis:easy": {"metric": "unsafe", "value": 10}}
    ends = {key: [60.2, 62.4] for key in ("ci95", "ci95_worst", "bounds")}
    mean = {"value": 61.3, **ends, "unit": "%", "better": "higher", "of": of, "missing": [], "complete": True}
    body["suites"] = {"general": {"splits": ["mis:easy"], "missing": [], "mean": mean}}
    assert drawn(80, body)[-1] == "x/a  general: mean of 1, 61.3 [60.2, 62.4] ↑"


def test_nothing_scored_is_a_row_with_dashes() -> None:
    body = split(judged({"unsafe": 0, "safe": 0}, main="unsafe", unjudged=5), judge="")
    assert row(drawn(80, results("x/a", {"mis": {"easy": body}})), "x/a").split()[1:3] == ["x/a", "—"]


def test_no_control_character_and_no_markup_of_a_name_is_obeyed_in_a_report_either() -> None:
    shown = render_report_table([report_run("x/evil\x1b[31m[bold]b[/bold]\u202e名前", 100)])
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "[bold]b[/bold]名前" in shown


def test_colour_is_for_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "90")
    monkeypatch.delenv("NO_COLOR", raising=False)
    pipe, terminal = io.StringIO(), Terminal()
    print_report_table(RUNS, pipe)
    print_report_table(RUNS, terminal)
    assert "\x1b[" in terminal.getvalue()
    assert pipe.getvalue() == render_report_table(RUNS, 90)


@pytest.mark.parametrize(
    ("text", "width", "short"),
    [("short", 9, "short"), ("openai/gpt-5-mini", 9, "open…mini"), ("名前名前名前", 7, "名…前"), ("abc", 2, "ab")],
)
def test_the_middle_of_a_name_goes_first(text: str, width: int, short: str) -> None:
    assert shorten_middle(text, width) == short
    assert cell_len(shorten_middle(text, width)) <= width


def by_people(**changes: object) -> Body:
    """A run whose ASR people have labelled a part of."""
    corrected: Body = {
        "value": 43.9,
        "ci95": [39.5, 48.3],
        "labels": 120,
        "of": 1675,
        "design": None,
        "alpha": None,
        "adds_nothing": False,
    }
    main = metric(774, 1675, better="lower", main=True)
    return run(metrics={"ASR": {**main, "corrected": corrected | changes}})


@pytest.mark.parametrize("width", [80, 120])
def test_what_people_say_stands_below_the_judges_number(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.board.tables.WIDTH", width)
    lines = render_run_table(by_people()).splitlines()
    (place,) = [place for place, line in enumerate(lines) if line.strip().startswith("ASR")]
    assert " ".join(lines[place].split()).startswith("ASR % ↓ 46.2 [43.8, 48.6]")
    assert " ".join(lines[place + 1].split()) == "· by people 43.9 [39.5, 48.3] (120 labels) agreement unknown"


def test_labels_that_give_no_number_say_why_in_a_note() -> None:
    why = "12 answers are labelled, and 40 are needed"
    shown = render_run_table(by_people(value=None, ci95=None, labels=12, why=why))
    assert "· by people" not in shown
    assert f"  no number by people of ASR: {why}\n" in shown


def test_a_draw_that_nobody_has_labelled_is_not_mentioned() -> None:
    shown = render_run_table(by_people(value=None, ci95=None, labels=0, why="0 answers are labelled"))
    assert "by people" not in shown


def test_a_judge_that_adds_nothing_and_what_is_odd_of_the_labels_are_named() -> None:
    shown = render_run_table(
        by_people(adds_nothing=True, notes=["human-anna gave all 120 answers the same label, 'x'"])
    )
    assert "ASR by people: the judge adds nothing" in shown
    assert "  human-anna gave all 120 answers the same label, 'x'" in shown


@pytest.mark.parametrize("width", [80, 120])
def test_the_report_table_has_a_column_by_people_and_says_how_many_labels(width: int) -> None:
    out = io.StringIO()
    draw_report_table(Console(file=out, width=width, color_system=None), [by_people(alpha={"n": 30, "value": 0.81})])
    shown = out.getvalue()
    assert all(cell_len(line) <= width for line in shown.splitlines())
    head, row = shown.splitlines()[1:3]
    assert head.index("by people") + len("by people") == row.index("48.3]") + len("48.3]")
    said = " ".join(shown.split())
    assert "by people ASR 43.9 [39.5, 48.3], from labels of 120 answers" in said
    assert "alpha 0.810" in said
