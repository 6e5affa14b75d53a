"""`harness compare`: its formats, what they show and hide, and what ends it."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result
from harness_compare.formats import format_p, format_signed, render_latex, render_markdown, render_terminal
from harness_compare.page import render_html

from harness import Comparison
from harness.cli import cli
from harness.errors import HarnessError
from harness.runs.comparing.comparison import (
    Counts,
    Flip,
    Flips,
    MetricChange,
    Mismatch,
    PeopleChange,
    Side,
    SplitComparison,
)
from harness.stats.pairing import PairedResult
from tests.core.compared import WORLD, beside, changed, played
from tests.tools import tool

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "comparison.schema.json").read_text())
EVIL = "\x1b[31m<script>alert(1)</script> \\input{x} $&%#_^~{} | [a](http://b) \u202eevil"
FORMATS = ("terminal", "markdown", "latex", "json")


def called(*flags: str | Path) -> Result:
    return CliRunner().invoke(cli, ["compare", *map(str, flags), *WORLD], catch_exceptions=False)


def told(*flags: str | Path) -> str:
    done = called(*flags)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("compared")
    tasks = "played:one,played:two"
    return played(folder / "a", "uuuuuuuuuu?s", tasks=tasks), played(folder / "b", "ssssssusu?su", tasks=tasks)


def test_the_terminal_shows_each_number_with_what_it_was_divided_by(runs: tuple[Path, Path]) -> None:
    shown = told(*runs, "--task", "played:one")
    lines = [line.split() for line in shown.splitlines()]
    assert ["played:one:", "B", "beside", "A"] in lines
    assert "12 common items, 10 resolved in both (2 not) · unresolved A 1 (8.3%), B 1 (8.3%) · judge mild-" in shown
    (asr,) = (line for line in lines if line[:3] == ["ASR", "%", "↓"])
    assert asr[3:7] == ["10", "90.0", "30.0", "-60.0"]
    assert "ASR in A and not in B: 7 (unsafe → safe 7), 5 listed (--show N)" in shown
    assert "ASR in B and not in A: 1 (safe → unsafe 1)" in shown
    assert "McNemar's exact test" in shown
    assert all(line == line.rstrip() for line in shown.splitlines())


@pytest.mark.parametrize("name", FORMATS)
def test_a_judge_that_has_read_a_part_which_was_not_drawn_is_told_in_every_format(tmp_path: Path, name: str) -> None:
    both = [played(tmp_path / run, letters) for run, letters in (("a", "us"), ("b", "su"))]
    for run, limit in zip(both, ("12", "5"), strict=True):
        flags = ("--judge", "strict", "--judge-limit", limit, "--no-probe", *WORLD)
        CliRunner().invoke(cli, ["judge", str(run), *flags])
    is_json = name == "json"
    shown = told(*both, "--judge", "strict", "--format", name)
    assert "not drawn" not in shown
    if is_json:
        assert json.loads(shown)["splits"][0]["drawn"] == {"baseline": None, "run": True}
    changed(both[1], lambda raw: raw["tasks"]["played"]["splits"]["one"].pop("drawn"))
    shown = told(*both, "--judge", "strict", "--format", name)
    if is_json:
        made = json.loads(shown)
        jsonschema.validate(made, SCHEMA)
        assert made["splits"][0]["drawn"] == {"baseline": None, "run": False}
    else:
        assert "ot drawn: played:one: the judge of B has read 5 of 12 answers, which are no random part" in shown


@pytest.mark.parametrize("name", FORMATS)
def test_a_difference_that_cannot_be_given_says_why_in_every_format(tmp_path: Path, name: str) -> None:
    both = [played(tmp_path / run, letters) for run, letters in (("a", "us"), ("b", "su"))]
    for run in both:
        flags = ("--judge", "strict", "--judge-limit", "5", "--no-probe", *WORLD)
        assert "unjudged 7" in CliRunner().invoke(cli, ["judge", str(run), *flags]).output
    shown = told(*both, "--judge", "strict", "--by", "category", "--format", name)
    why = "5 of the 12 pairs answered in both are labelled: an estimate needs 30"
    assert why in shown
    if name == "json":
        made = json.loads(shown)
        jsonschema.validate(made, SCHEMA)
        metrics = made["splits"][0]["metrics"]
        assert {body["why"] for body in metrics.values()} == {why}
        assert (made["family"], metrics["ASR"]["difference"]) == (0, None)
        assert metrics["ASR"]["finding"] == "nothing to compare"
    else:
        assert "no difference of safe: " in shown
        assert "garden" in shown


def test_the_worst_case_stands_there_exactly_where_something_is_unresolved(tmp_path: Path) -> None:
    closed = [played(tmp_path / name, letters) for name, letters in (("a", "us"), ("b", "su"))]
    opened = played(tmp_path / "c", "us?")
    for name in ("terminal", "markdown", "latex"):
        assert "Worst case" not in told(*closed, "--format", name).replace("worst case  ", "Worst case")
        assert re.search("worst case( |$)|Worst case", told(closed[0], opened, "--format", name), re.MULTILINE)


@pytest.mark.parametrize("name", FORMATS)
def test_no_format_shows_a_text_of_a_sample_unless_it_is_asked_to(runs: tuple[Path, Path], name: str) -> None:
    shown = told(*runs, "--format", name)
    assert "secret" not in shown
    assert "plain question" not in shown


@pytest.mark.parametrize("name", ["terminal", "markdown", "json"])
def test_texts_are_shown_of_the_flips_that_are_listed_where_they_are_asked_for(
    runs: tuple[Path, Path], name: str
) -> None:
    shown = told(*runs, "--format", name, "--reveal", "--show", "1", "--task", "played:one")
    assert "plain question 0" in shown
    assert "secret u" in shown
    assert "secret s" in shown
    assert "plain question 1\n" not in shown


def test_the_json_is_valid_and_lists_all_flips(runs: tuple[Path, Path]) -> None:
    for flags in ((), ("--reveal",), ("--by", "category"), ("--show", "0")):
        made = json.loads(told(*runs, "--format", "json", *flags))
        jsonschema.validate(made, SCHEMA)
    made = json.loads(told(*runs, "--format", "json"))
    assert len(made["splits"][1]["flips"]["only_baseline"]["items"]) == 7
    assert made["splits"][1]["metrics"]["ASR"]["difference"] == pytest.approx(-60)


def test_the_format_is_what_the_output_ends_with(runs: tuple[Path, Path], tmp_path: Path) -> None:
    for name, begins in (("x.md", "- **A**"), ("x.tex", "% needs"), ("x.json", "{"), ("x.txt", "A  played/")):
        assert told(*runs, "--output", tmp_path / "new" / name) == ""
        assert (tmp_path / "new" / name).read_text().startswith(begins)
    for name in ("x.html", "x.csv"):
        assert told(*runs, "--output", tmp_path / name) == ""
    assert (tmp_path / "x.html").read_text().startswith("<!doctype html>")
    assert (tmp_path / "x.csv").read_text().startswith("model,run,task,split")
    with pytest.raises(HarnessError, match="cannot write the comparison"):
        called(*runs, "--output", tmp_path / "new" / "x.md" / "y.md")


def test_an_output_with_an_unknown_suffix_is_refused_with_those_that_there_are(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(HarnessError, match=r"no format ends with \.pdf") as refused:
        called(*runs, "--output", tmp_path / "x.pdf")
    assert ".csv, .html, .json, .md, .tex, .txt" in refused.value.remedy
    assert not (tmp_path / "x.pdf").exists()


def test_the_page_is_one_file_that_runs_no_script_and_loads_nothing(runs: tuple[Path, Path]) -> None:
    page = told(*runs, "--format", "html", "--by", "category")
    assert "default-src &#39;none&#39;; style-src &#39;sha256-" in page
    assert not re.search(r"<script|<link|<img|src=|@import|url\(|unsafe-inline", page)
    assert "ASR is not tested here: played:both holds these items and is tested." in page
    assert "secret" not in page
    assert "secret u" in told(*runs, "--format", "html", "--reveal", "--show", "1")


def test_a_verdict_is_a_plain_sentence(tmp_path: Path) -> None:
    unsafe, same, safe = (played(tmp_path / name, letters) for name, letters in (("u", "u"), ("v", "u"), ("s", "s")))

    def conclude(a: Path, b: Path) -> str:
        return " ".join(told(a, b).split())

    assert "B is better than A: its ASR is 100.0 points lower (p " in conclude(unsafe, safe)
    assert "B is worse than A: its ASR is 100.0 points higher (p " in conclude(safe, unsafe)
    assert "No difference between B and A is shown in ASR (p 1.00" in conclude(unsafe, same)


def test_a_run_is_named_as_a_leaderboard_names_it(tmp_path: Path) -> None:
    warm = played(tmp_path / "warm", "us", "--temperature", "1")
    cold = played(tmp_path / "cold", "us", "--temperature", "0")
    compared = [side["name"] for side in json.loads(told(warm, cold, "--format", "json"))["runs"]]
    reported = CliRunner().invoke(cli, ["report", str(warm), str(cold)]).stdout
    assert compared == ["played/us (temperature=1.0)", "played/us (temperature=0.0)"]
    assert all(name in reported for name in compared)


def test_a_mismatch_ends_with_2_and_is_said_beside_the_numbers_where_it_is_allowed(tmp_path: Path) -> None:
    a, b = played(tmp_path / "a", "us"), played(tmp_path / "b", "us", judge="strict")
    with pytest.raises(HarnessError, match="not measured alike"):
        called(a, b)
    for name in ("terminal", "markdown", "latex"):
        shown = " ".join(told(a, b, "--allow-mismatch", "--format", name).split())
        assert re.search("(?i)not measured alike: played:one: the judge is mild-", shown)


def test_a_metric_that_raises_costs_its_split_alone_and_ends_with_3(tmp_path: Path) -> None:
    a = played(tmp_path / "a", "us", tasks="played:one,played:twins")
    b = played(tmp_path / "b", "us", tasks="played:one,played:twins")
    source = Path(WORLD[1]).read_text().replace("group=lambda r: r.cluster", "group=lambda r: r.tags['gone']")
    (tmp_path / "world.py").write_text(source)
    flags = ["compare", str(a), str(b), "--plugin", str(tmp_path / "world.py")]
    done = CliRunner().invoke(cli, flags, standalone_mode=False)
    assert done.return_value == 3
    assert "note: played:twins could not be compared: the task raised KeyError: 'gone'" in done.stderr
    assert "played:one: B beside A" in done.stdout


def test_flags_that_mean_nothing_are_refused(runs: tuple[Path, Path]) -> None:
    for flags, message in (
        ((runs[0],), "give two runs or more"),
        ((*runs, "--format", "latex", "--reveal"), "--reveal has no effect"),
        ((*runs, "--output", "x.tex", "--show", "3"), "--show has no effect"),
        ((*runs, "--format", "pdf"), "'pdf' is not one of"),
    ):
        done = called(*flags)
        assert (done.exit_code, message in done.output) == (2, True), done.output


def test_several_runs_are_each_set_beside_the_first(runs: tuple[Path, Path], tmp_path: Path) -> None:
    third = played(tmp_path / "c", "us")
    made = json.loads(told(*runs, third, "--format", "json"))
    assert [(each["run"], each["split"]) for each in made["splits"]] == [
        ("B", "both"),
        ("B", "one"),
        ("C", "one"),
        ("B", "two"),
    ]
    assert made["family"] == 2
    assert "C has it" not in str(made["left_out"])


NUMBER = re.compile(r"\d+\.\d+")


def test_no_number_is_cut_on_a_narrow_terminal(runs: tuple[Path, Path]) -> None:
    found = beside(*runs, by="category")
    wide, narrow = (render_terminal(found, {}, 0, width) for width in (120, 80))
    assert NUMBER.findall(narrow) == NUMBER.findall(wide)
    assert max(map(len, narrow.splitlines())) <= 80
    assert "…" not in narrow


def hostile() -> Comparison:
    result = PairedResult(
        metric=EVIL, unit="%", better="lower", pairs=9, unresolved=1, clusters=8, unmatched=0, unmatched_right=0,
        denominators=(8, 8), left=1.0, right=2.0, difference=-1.0, ci95=(-2.0, 1.0), bounds=(-3.0, 2.0),
        ci95_worst=(-4.0, 3.0), p=0.5, test="interval", detectable=5.0,
    )  # fmt: skip
    change = MetricChange(paired=result, main=True, p_holm=0.5, people=PeopleChange(labels=(9, 0), why=EVIL))
    flip = Flip(item=EVIL, other=EVIL, category=EVIL, baseline_label=EVIL, other_label=EVIL)
    unlike = Mismatch(run="B", split=EVIL, what=EVIL, baseline=EVIL, other=EVIL)
    counts = Counts(common=9, resolved=8, unresolved_baseline=1, unresolved_other=0, only_baseline=0, only_other=0)
    split = SplitComparison(
        run="B", task=EVIL, split=EVIL, parts=(), judge_baseline=EVIL, judge_other=EVIL, epochs=(1, 2), counts=counts,
        changes={EVIL: change}, by={EVIL: change}, flips=Flips(only_baseline=(flip,), only_other=(flip,)),
    )  # fmt: skip
    return Comparison(
        runs=tuple(Side(letter=letter, ref=EVIL, name=EVIL, folder=EVIL) for letter in "AB"),
        splits=(split,), by=EVIL, family=1, mismatches=(unlike,), differing=(unlike,), left_out=(EVIL,),
        unscored={EVIL: EVIL},
    )  # fmt: skip


def test_names_of_strangers_stay_text_in_every_format() -> None:
    found = hostile()
    shown: dict[str, Any] = {"terminal": render_terminal(found, {}, 5), "markdown": render_markdown(found, {}, 5)}
    for text in (*shown.values(), render_latex(found), render_html(found, {}, 5)):
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert "<script" not in shown["markdown"]
    assert "<script" not in render_html(found, {}, 5)
    assert "](http" not in shown["markdown"]
    table = [line for line in shown["markdown"].splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {8}


def test_latex_has_no_special_of_a_stranger_and_compiles(tmp_path: Path) -> None:
    text = render_latex(hostile())
    assert r"\input" not in text
    assert r"\textbackslash{}input\{x\}" in text
    source = rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{text}\end{{document}}"
    (tmp_path / "page.tex").write_text(source, encoding="utf-8")
    command = [tool("pdflatex"), "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]


def test_a_difference_has_its_sign_and_a_p_value_is_never_0() -> None:
    assert [format_signed(value, "%") for value in (1.26, -1.26, 0.0, -0.04, 0.04, None)] == [
        "+1.3", "-1.3", "0.0", "0.0", "0.0", "—",
    ]  # fmt: skip
    assert [format_p(p) for p in (0.0, 0.00005, 0.00123, 0.0456, 0.5, 1.0, None)] == [
        "<0.0001", "<0.0001", "0.0012", "0.046", "0.50", "1.00", "—",
    ]  # fmt: skip
