"""Text of strangers stays text: on the terminal, in LaTeX, and in a spreadsheet."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.text import escape_cell, escape_tex, natural_key, plain, restore_cell, say
from tests.acceptance.commands import harness_here
from tests.tools import tool

# ------------------------------------------------------------------------------------------------------ on the terminal

ROOT = Path(__file__).parents[2]
ROOMS = ("harness", "plugins", "tasks", "judges", "training", "reports")
UNSEEN = "harness_mini/make_", "harness_mini/training/"  #: tools of the project itself

MARKS = "\u061c\u200e\u200f"  #: left to right, right to left, Arabic letter; by class they are letters
TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def test_every_mark_that_turns_text_around_is_dropped() -> None:
    turning = [letter for letter in map(chr, range(sys.maxunicode)) if unicodedata.bidirectional(letter) in TURNING]
    assert len(turning) == 9
    assert plain(f"a{''.join(turning)}{MARKS}b") == "ab"


def test_every_control_character_but_line_feed_and_tab_is_dropped() -> None:
    controls = "".join(letter for letter in map(chr, range(0x500)) if unicodedata.category(letter) == "Cc")
    assert plain(controls) == "\t\n"


def test_a_line_of_ours_is_said_without_what_its_names_would_do(capsys: pytest.CaptureFixture[str]) -> None:
    say("wrote out\x1b]0;owned\x07\x9b31m\u202e.md", err=True)
    assert capsys.readouterr().err == "wrote out]0;owned31m.md\n"


def raw_lines() -> Iterator[str]:
    for path in sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        if any(part in path.as_posix() for part in UNSEEN):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr != "echo":
                continue
            if any(isinstance(given, ast.JoinedStr) for given in node.args):
                yield f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}"


def test_no_line_that_names_something_goes_to_the_terminal_but_by_say() -> None:
    assert list(raw_lines()) == []


def test_a_folder_s_name_cannot_speak_to_the_terminal(tmp_path: Path) -> None:
    named = tmp_path / "out\x1b]0;owned\x07"
    report = named / "x.md"
    ran = harness_here("run", "--model", "mini/base", "--tasks", "mis:mini", "--limit", "1", "--output", str(named))
    reported = harness_here("report", str(named), "--output", str(report))
    assert (ran.code, reported.code, report.is_file()) == (0, 0, True)
    for done in (ran, reported):
        assert not {"\x1b", "\x07"} & {*done.out, *done.err}
        assert "out]0;owned" in done.err


# ------------------------------------------------------------------------------------------------------------- in LaTeX


HOSTILE_IN_TEX = [
    r"\input{/etc/passwd} \write18{ls}",
    "100% of #1 & $x^2_i$ ~ {curly} <a|b>",
    "[options] after a row",
    "* after a row",
    "``quoted'' --- and --flag",
    "names like émile, Łódź, ångström",
    "中文 and 😀 and عربي",
    "\x1b[31mred\x07 \u202eesrever\u202c zero\u200bwidth",
    "two\nlines\tand a tab",
    "".join(map(chr, range(0x250))),
]


def test_each_special_character_is_set_by_a_command() -> None:
    special = "\\{}$&#^_~%<>"
    assert escape_tex(special) == (
        r"\textbackslash{}\{\}\$\&\#\textasciicircum{}\_\textasciitilde{}\%\textless{}\textgreater{}"
    )


@pytest.mark.parametrize("text", HOSTILE_IN_TEX)
def test_nothing_special_is_left_raw(text: str) -> None:
    known = re.sub(r"\\(text[a-z]+\{\}|ifdefined\\Umathchar |else|fi|ldots\{\}|[{}$&#_%])", "", escape_tex(text))
    bare = re.sub(r"\{|\}|\$(\\[a-z]+|-)\$", "", known)
    assert not set(bare) & set("\\$&#^_~%<>\n\x1b\u202e\u200b")


def test_a_word_without_specials_stays_as_it_is() -> None:
    assert escape_tex("Qwen2-VL-7B") == "Qwen2-VL-7B"


def test_text_is_one_line() -> None:
    assert escape_tex("two\nlines") == "two lines"


def test_a_run_of_signs_that_fonts_would_join_is_kept_apart() -> None:
    assert escape_tex("a---b") == "a-{}-{}-b"
    assert escape_tex("``") == r"\textasciigrave{}\textasciigrave{}"


def test_what_the_usual_fonts_lack_is_given_both_ways() -> None:
    assert escape_tex("a中文b") == r"a{\ifdefined\Umathchar 中文\else{[}U+4E2D U+6587{]}\fi}b"


def test_pdflatex_sets_hostile_text_in_headings_and_cells(tmp_path) -> None:
    cells = "\\\\\n".join(escape_tex(text) for text in HOSTILE_IN_TEX)
    headings = "\n".join(rf"\section{{{escape_tex(text)}}}" for text in HOSTILE_IN_TEX)
    (tmp_path / "page.tex").write_text(
        rf"\documentclass{{article}}\begin{{document}}\begin{{tabular}}{{l}}{cells}\end{{tabular}}{headings}\end{{document}}",
        encoding="utf-8",
    )
    command = [tool("pdflatex"), "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]


# ----------------------------------------------------------------------------------------------------- in a spreadsheet


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1"])
def test_what_begins_like_a_formula_gets_an_apostrophe_and_comes_back(text: str) -> None:
    assert escape_cell(text) == f"'{text}"
    assert restore_cell(escape_cell(text)) == text


@pytest.mark.parametrize("text", ["", "safe", "'quoted'", "a=b", "two\nlines"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert (escape_cell(text), restore_cell(text)) == (text, text)


def test_control_characters_are_dropped_before_the_beginning_is_looked_at() -> None:
    assert escape_cell("\x1b\r=1") == "'=1"


def test_numbers_in_names_sort_as_numbers_and_any_name_has_a_place() -> None:
    given = ["m/10#0", "m/9#0", "m/x", "", "7", "a", "m/9#1", "\u0663", "0009", "9" * 5000]
    found = sorted(given, key=natural_key)
    assert found == ["", "7", "0009", "9" * 5000, "a", "m/9#0", "m/9#1", "m/10#0", "m/x", "\u0663"]
