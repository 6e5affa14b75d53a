"""Cells that no spreadsheet takes for a formula, and back."""

import pytest

from harness.sheets import defused, restored


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1"])
def test_what_begins_like_a_formula_gets_an_apostrophe_and_comes_back(text: str) -> None:
    assert defused(text) == f"'{text}"
    assert restored(defused(text)) == text


@pytest.mark.parametrize("text", ["", "safe", "'quoted'", "a=b", "two\nlines"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert (defused(text), restored(text)) == (text, text)


def test_control_characters_are_dropped_before_the_beginning_is_looked_at() -> None:
    assert defused("\x1b\r=1") == "'=1"
