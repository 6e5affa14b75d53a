"""An item on a terminal: names and numbers on the left and right of one column, texts beneath."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from harness.board.display import NOTHING
from harness.runs.items import Said
from harness.terminal import one_line, plain

from .details import grouping, is_text, tags
from .rows import seconds_of
from .show_finding import Found
from .show_telling import THERE, Picture, pictures, redacted, texts

if TYPE_CHECKING:
    from rich.console import Console

HIDDEN: Final = "hidden: --reveal shows texts; they may be harmful"
WIDTH: Final = 80  #: columns where there is no terminal
Line = tuple[str, str, str]  #: what it is, its value, the value's style


def draw(console: Console, found: Found, *, reveal: bool) -> None:
    """Print an item on a console.

    Args:
        console: to print on.
        found: the item.
        reveal: print its texts; else how long they are.
    """
    from rich.text import Text

    open_ = reveal or redacted(found)
    console.print(Text.assemble((one_line(found.item.item), "bold"), "  ", one_line(found.file.model.ref)))
    _print(console, [*_about(found, reveal=open_), *_pictures(pictures(found))])
    for judge in found.item.said.values():
        console.print()
        _print(console, list(_judged(judge, primary=judge.judge == found.part.words.primary, reveal=open_)))
    told = [(what, text) for what, text in texts(found) if text]
    if told:
        console.print()
        _print(console, [_text(what, text, reveal=open_) for what, text in told])
    if not open_:
        console.print(Text(f"\n{HIDDEN}", style="yellow"))


def _print(console: Console, lines: Sequence[Line]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True, min_width=10)
    table.add_column(overflow="fold")
    for what, value, style in lines:
        table.add_row(Text(one_line(what, 30)), Text(value, style=style))
    console.print(table)


def _about(found: Found, *, reveal: bool) -> Iterator[Line]:
    item = found.item
    asked, response = item.answer.asked, item.answer.response or {}
    reason = one_line(str(response.get("reason", "")))
    yield "outcome", f"{item.outcome}{f': {reason}' if reason else ''}", "bold"
    if item.answer.response is None:
        yield "", "no answer is stored", ""
    yield "counts as", one_line(item.label) or f"{NOTHING} (unresolved)", "bold"
    yield "category", one_line(str(asked.get("category") or NOTHING)), ""
    if told := list(_tags(found, reveal=reveal)):
        yield "tags", ", ".join(told), ""
    if item.flags:
        yield "flags", ", ".join(one_line(str(flag)) for flag in item.flags), "yellow"
    seconds = seconds_of(response)
    yield (
        "took",
        ", ".join([NOTHING if seconds is None else f"{seconds:.2f} s", *_tokens(response.get("usage", {}))]),
        "",
    )
    if response.get("model"):
        yield "answered by", one_line(str(response["model"])), ""
    yield "at", one_line(str(response.get("at", NOTHING))), ""


def _tags(found: Found, *, reveal: bool) -> Iterator[str]:
    for name, tag in tags(found.item).items():
        yield _named(name, tag, reveal=reveal or name in grouping(found.part))


def _tokens(usage: Mapping[str, int]) -> Iterator[str]:
    yield from (f"{count} {name.replace('_', ' ')}" for name, count in usage.items() if count)


def _pictures(every: Sequence[Picture]) -> Iterator[Line]:
    for number, each in enumerate(every, 1):
        style = "" if each.state == THERE else "yellow"
        yield f"image {number}", f"{one_line(each.path)}: {each.state}", style
        yield "  sha256", one_line(each.sha256) or NOTHING, "dim"


def _judged(said: Said, *, primary: bool, reveal: bool) -> Iterator[Line]:
    label = f"{said.state}: {one_line(said.label)}" if said.label else said.state
    yield "judge", f"{one_line(said.judge)}{' (primary)' if primary else ''}", ""
    yield "verdict", label, "bold"
    if said.axes:
        yield "axes", ", ".join(_named(axis, value, reveal=reveal) for axis, value in said.axes.items()), ""
    if tokens := list(_tokens(said.usage)):
        yield "took", ", ".join(tokens), ""
    if said.models:
        yield "judged by", ", ".join(map(one_line, said.models)), ""
    if said.reason:
        yield _text("reason", said.reason, reveal=reveal)
    yield from (_text("raw reply", reply, reveal=reveal) for reply in said.raw)


def _named(name: str, value: object, *, reveal: bool) -> str:
    """A tag, or a score beside a label."""
    told = one_line(str(value), 60) if reveal or not is_text(value) else f"{len(str(value))} characters"
    return f"{one_line(name)}={told}"


def _text(what: str, text: str, *, reveal: bool) -> Line:
    return (what, plain(text), "") if reveal else (what, f"{len(text)} characters", "dim")
