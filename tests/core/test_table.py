from __future__ import annotations

import io
import subprocess
import sys

from harness.board.table import render, show
from harness.testing.results import Body, judged, metric, results, split

JUDGE = "mis-openai-judge-1f3a9c2e"


def run(ref: str = "openai/name", **changes: object) -> Body:
    finding = judged({"unsafe": 1342, "safe": 330}, main="unsafe", judge_unparsable=3)
    return results(ref, {"mis": {"easy": split(finding, judge=JUDGE, blocked=2, fidelity="own", **changes)}})


def test_each_number_stands_with_its_interval_and_what_it_was_divided_by() -> None:
    (main,) = [line for line in render(run()).splitlines() if line.strip().startswith("unsafe")]
    assert main.split() == ["unsafe", "%", "↓", "80.3", "[78.3,", "82.1]", "1342/1672,", "3", "unresolved"]


def test_the_head_says_how_many_who_judged_and_whose_words() -> None:
    first, second, *_ = render(run()).splitlines()
    assert first == "mis:easy  openai/name"
    assert second == (
        "  n 1675 · coverage 99.8% · blocked 2 · judge_unparsable 3"
        " · judge mis (own rubric v1) by openai-judge · wording own"
    )


def test_flags_of_answers_are_counted_where_there_are_any() -> None:
    _, second, *_ = render(run(flags={"truncated": 12, "refusal": 0, "verdict_like": 1, "cached": 3})).splitlines()
    assert " · truncated 12 · verdict_like 1 · cached 3 · judge_unparsable 3 · " in second


def test_incomplete_and_subset_results_are_marked() -> None:
    shown = render(run(complete=False, subset={"limit": 5}))
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
    shown = render(results("x/a", {"mssbench": {"chat": split(finding, judge=JUDGE)}}))
    assert "mean of safe 80.0 (240/300), unsafe 70.0 (210/300)" in shown


def test_a_metric_without_a_value_shows_a_dash() -> None:
    nothing = metric(0, 0, better="lower", main=True)
    shown = render(run(metrics={"ASR": nothing}, coverage=None))
    (main,) = [line for line in shown.splitlines() if line.strip().startswith("ASR")]
    assert " ".join(main.split()) == "ASR % ↓ — 0/0; no record counts, so there is nothing to divide by"


def test_several_models_stand_in_one_table() -> None:
    lines = render([run("x/a"), run("x/b")]).splitlines()
    heads = [place for place, text in enumerate(lines) if text.startswith("mis:easy")]
    assert [lines[place] for place in heads] == ["mis:easy  x/a", "mis:easy  x/b"]
    assert lines[heads[1] - 1] == ""


def test_no_control_character_and_no_markup_of_a_name_is_obeyed() -> None:
    shown = render(run("evil\x1b[31m[bold]x[/bold]\u202e"))
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "[bold]x[/bold]" in shown


def test_a_pipe_gets_plain_text_and_a_terminal_gets_bold() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    pipe, terminal = io.StringIO(), Terminal()
    show(run(), pipe)
    show(run(), terminal)
    assert pipe.getvalue() == render(run())
    assert "mis:easy" in terminal.getvalue()


def test_rich_is_imported_only_when_a_table_is_drawn() -> None:
    code = "import sys, harness.board.table; print('rich' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
