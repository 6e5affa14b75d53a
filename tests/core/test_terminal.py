"""Text of strangers on the terminal: nothing in it moves the cursor or turns what stands beside it around."""

from __future__ import annotations

import ast
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.terminal import plain, say
from tests.acceptance.commands import harness_here

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
