"""Text of strangers in a spreadsheet: a cell that begins like a formula would be one, wherever it came from."""

from __future__ import annotations

from typing import Final

from harness.terminal import plain

#: what a spreadsheet takes for the beginning of a formula
FORMULA: Final = ("=", "+", "-", "@")


def defused(text: str) -> str:
    """The text without control characters; with an apostrophe in front where it begins like a formula."""
    text = plain(text)
    return f"'{text}" if text.lstrip().startswith(FORMULA) else text


def restored(text: str) -> str:
    """What `defused` was given, but for control characters."""
    return text[1:] if text.startswith("'") and text[1:].lstrip().startswith(FORMULA) else text
