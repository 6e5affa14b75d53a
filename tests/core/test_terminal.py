"""Text of strangers on the terminal: nothing in it moves the cursor or turns what stands beside it around."""

from __future__ import annotations

import sys
import unicodedata

from harness.terminal import plain

MARKS = "\u061c\u200e\u200f"  #: left to right, right to left, Arabic letter; by class they are letters
TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def test_every_mark_that_turns_text_around_is_dropped() -> None:
    turning = [letter for letter in map(chr, range(sys.maxunicode)) if unicodedata.bidirectional(letter) in TURNING]
    assert len(turning) == 9
    assert plain(f"a{''.join(turning)}{MARKS}b") == "ab"


def test_every_control_character_but_line_feed_and_tab_is_dropped() -> None:
    controls = "".join(letter for letter in map(chr, range(0x500)) if unicodedata.category(letter) == "Cc")
    assert plain(controls) == "\t\n"
