"""Text of strangers on the terminal: plugins, models and data sets may hold escape sequences."""

from __future__ import annotations

_CONTROLS = {*range(0x20), *range(0x7F, 0xA0)} - {ord("\n"), ord("\t")}
_DIRECTION = {0x061C, 0x200E, 0x200F, 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}
_SURROGATES = dict.fromkeys(range(0xD800, 0xE000), "\N{REPLACEMENT CHARACTER}")
_TABLE: dict[int, str | None] = {**dict.fromkeys(_CONTROLS | _DIRECTION, None), **_SURROGATES}


def plain(text: str) -> str:
    """The text without control characters (line feed and tab stay), direction marks and lone surrogates."""
    return text.translate(_TABLE)


def one_line(text: str, width: int = 300) -> str:
    """The text on one line, shortened to `width` characters."""
    line = " ".join(plain(text).split())
    return line if len(line) <= width else line[: width - 1] + "…"


def say(text: str, *, err: bool = False) -> None:
    """Print a line of ours: what it names may be a stranger's, or a file of any name."""
    import click

    click.echo(plain(text), err=err)
