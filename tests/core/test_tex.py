"""What strangers write stays text in LaTeX."""

import re
import subprocess

import pytest

from harness.tex import escape
from tests.tools import tool

HOSTILE = [
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
    assert escape(special) == (
        r"\textbackslash{}\{\}\$\&\#\textasciicircum{}\_\textasciitilde{}\%\textless{}\textgreater{}"
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_special_is_left_raw(text: str) -> None:
    known = re.sub(r"\\(text[a-z]+\{\}|ifdefined\\Umathchar |else|fi|ldots\{\}|[{}$&#_%])", "", escape(text))
    bare = re.sub(r"\{|\}|\$(\\[a-z]+|-)\$", "", known)
    assert not set(bare) & set("\\$&#^_~%<>\n\x1b\u202e\u200b")


def test_a_word_without_specials_stays_as_it_is() -> None:
    assert escape("Qwen2-VL-7B") == "Qwen2-VL-7B"


def test_text_is_one_line() -> None:
    assert escape("two\nlines") == "two lines"


def test_a_run_of_signs_that_fonts_would_join_is_kept_apart() -> None:
    assert escape("a---b") == "a-{}-{}-b"
    assert escape("``") == r"\textasciigrave{}\textasciigrave{}"


def test_what_the_usual_fonts_lack_is_given_both_ways() -> None:
    assert escape("a中文b") == r"a{\ifdefined\Umathchar 中文\else{[}U+4E2D U+6587{]}\fi}b"


def test_pdflatex_sets_hostile_text_in_headings_and_cells(tmp_path) -> None:
    cells = "\\\\\n".join(escape(text) for text in HOSTILE)
    headings = "\n".join(rf"\section{{{escape(text)}}}" for text in HOSTILE)
    (tmp_path / "page.tex").write_text(
        rf"\documentclass{{article}}\begin{{document}}\begin{{tabular}}{{l}}{cells}\end{{tabular}}{headings}\end{{document}}",
        encoding="utf-8",
    )
    command = [tool("pdflatex"), "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
