"""One item of a run on a terminal or as JSON: finds it by name, and shows its texts only if requested."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from harness.board.display import NOTHING
from harness.dialogues import find_replies, name_reply
from harness.errors import UnknownName
from harness.keys import canonical
from harness.runs.following import RunFollower, RunSplit
from harness.runs.items import Item
from harness.store.run_file import RunFile
from harness.text import one_line, plain
from harness.types import Json

from .index import (
    MissingImage,
    PromptImages,
    describe_item,
    get_attack_notes,
    get_breakdowns,
    get_original,
    get_prompt,
    get_seconds,
    get_tags,
    is_text,
)

if TYPE_CHECKING:
    from rich.console import Console

WIDTH: Final = 80  #: columns without a terminal
_THERE: Final = "there"
_HIDDEN: Final = "hidden: --reveal shows texts; they may be harmful"
_BATCH: Final = 500  #: items read at once
_MOST_NAMES: Final = 5  #: most names that an error lists

Line = tuple[str, str, str]  #: what it is, its value, the value's style


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredItem:
    """An item, with its split and its run.json."""

    item: Item
    part: RunSplit
    file: RunFile


def find_item(folder: Path, wanted: str, data: Path | None = None) -> StoredItem:
    """The item with this name: `task/split/id#epoch`, without its epoch, its id alone, or a unique part.

    Args:
        folder: the run folder.
        wanted: the name.
        data: current folder of the tasks' data; None for the run's own.

    Raises:
        HarnessError: the folder holds no run.
        UnknownName: no item has this name, or several have; the remedy lists some.
    """
    run = RunFollower(folder, data)
    try:
        items: dict[int, Item] = {}
        while batch := run.advance(_BATCH):
            items.update(batch)
            if any(item.item == wanted for _, item in batch):
                break
        number = _choose_item(items, plain(wanted), folder)
        return StoredItem(item=items[number], part=run.part(number), file=run.stored.file)
    finally:
        run.close()


def _choose_item(items: Mapping[int, Item], wanted: str, folder: Path) -> int:
    names = {number: plain(item.item) for number, item in items.items()}
    for numbers in (
        [number for number, name in names.items() if name == wanted],
        [number for number, name in names.items() if name.rpartition("#")[0] == wanted],
        [number for number, item in items.items() if plain(str(item.answer.asked["id"])) == wanted],
        [number for number, name in names.items() if wanted in name],
    ):
        if len(numbers) == 1:
            return numbers[0]
        if numbers:
            known = f"one of: {_list_names(sorted(names[number] for number in numbers))}"
            raise UnknownName(f"{len(numbers)} items match {wanted!r}", where=str(folder), remedy=known)
    close = difflib.get_close_matches(wanted, names.values(), n=_MOST_NAMES, cutoff=0.3)
    known = f"nearest: {_list_names(close)}" if close else f"it has: {_list_names(list(names.values()))}"
    what = f"the run has no item {wanted!r}"
    raise UnknownName(what, where=str(folder), remedy=known if names else "it has none yet")


def _list_names(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more


def to_json(stored: StoredItem, *, reveal: bool) -> dict[str, Json]:
    """All of an item; without `reveal`, lengths instead of texts."""
    shows = reveal or stored.file.redacted
    every, groups = get_tags(stored.item), get_breakdowns(stored.part)
    tags = {name: tag for name, tag in every.items() if shows or not is_text(tag) or name in groups}
    texts = [*_list_texts(stored), *((f"tag {name}", str(tag)) for name, tag in every.items() if name not in tags)]
    hidden = [{"what": what, "characters": len(text)} for what, text in texts if text]
    return {
        "schema": "harness.item/1",
        **describe_item(stored.item, stored.part, redacted=not shows),
        "model_ref": stored.file.model.ref,
        "tags": tags,
        "pictures": _check_images(stored),
        **({} if shows else {"hidden": hidden}),
    }


def _check_images(stored: StoredItem) -> list[dict[str, str]]:
    """Path, hash and state of each image of an item, in order; each file is opened and hashed."""
    images = PromptImages(stored.file)
    images.add(stored.item, stored.part, lambda: (stored.item, stored.part))
    states: list[dict[str, str]] = []
    for part in get_prompt(stored.item):
        if "image" in part:
            sha256, state = str(part["sha256"] or ""), "it was not opened"
            if stored.file.redacted:
                state = "images are not part of an export"
            elif sha256:
                image = images.load(stored.part.display, sha256)
                state = image.why if isinstance(image, MissingImage) else _THERE
            states.append({"path": str(part["image"]), "sha256": sha256, "state": state})
    return states


def _list_texts(stored: StoredItem) -> Iterator[tuple[str, str]]:
    """Each text of an item with its kind, in order of events; some may be empty."""
    answer = stored.item.answer
    asked, response = answer.asked, answer.response or {}
    prompt = get_prompt(stored.item)
    talk, turn, before = any(part["role"] == "assistant" for part in prompt), 0, ""
    for part in prompt:
        turn += part["role"] == "user" != before
        before = part["role"]
        if "text" in part:
            what = "question" if part["role"] == "user" else str(part["role"])
            if talk and part["role"] != "system":
                speaker = "user" if part["role"] == "user" else "reply" if "turn" in part else "given reply"
                what = f"turn {turn}, {speaker}"
            yield what, str(part["text"])
    for part in get_original(stored.item):
        if "text" in part:
            yield ("original" if part["role"] == "user" else f"original {part['role']}"), str(part["text"])
    yield from (("attack note", note) for note in get_attack_notes(stored.item))
    yield "answer", answer.text
    said = find_replies(cast("Mapping[str, str]", response.get("steps") or {}))  # they stand in the conversation
    for name in ("message", "reasoning", "notes", "steps"):
        value: Json = response.get(name)
        if isinstance(value, Mapping):
            steps = cast("Mapping[str, Json]", value)
            shown = {name_reply(turn) for turn in said}
            yield from ((f"step {step}", _format_json(text)) for step, text in steps.items() if step not in shown)
        elif isinstance(value, list):
            yield from (("note", _format_json(note)) for note in cast("Sequence[Json]", value))
        elif value:
            yield name, _format_json(value)
    yield "target", "" if asked["target"] is None else _format_json(asked["target"])
    cluster = str(asked["cluster"])
    yield "cluster", "" if cluster == asked["id"] else cluster


def _format_json(value: Json) -> str:
    return value if isinstance(value, str) else canonical(value)


def print_item(console: Console, stored: StoredItem, *, reveal: bool) -> None:
    """Print an item: names and numbers in two columns, texts beneath.

    Args:
        console: to print on.
        stored: the item.
        reveal: print its texts, else their lengths. The placeholders of a redacted export are always printed.
    """
    from rich.text import Text

    shows = reveal or stored.file.redacted
    console.print(Text.assemble((one_line(stored.item.item), "bold"), "  ", one_line(stored.file.model_name)))
    _print_lines(console, _list_facts(stored, reveal=shows))
    for lines in _list_verdicts(stored, reveal=shows):
        console.print()
        _print_lines(console, lines)
    texts = [_format_text(what, text, reveal=shows) for what, text in _list_texts(stored) if text]
    if texts:
        console.print()
        _print_lines(console, texts)
    if not shows:
        console.print(Text(f"\n{_HIDDEN}", style="yellow"))


def _print_lines(console: Console, lines: Sequence[Line]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True, min_width=10)
    table.add_column(overflow="fold")
    for what, value, style in lines:
        table.add_row(Text(one_line(what, 30)), Text(value, style=style))
    console.print(table)


def _list_facts(stored: StoredItem, *, reveal: bool) -> list[Line]:
    """The item's outcome, label, groups and images."""
    item, groups = stored.item, get_breakdowns(stored.part)
    asked, response = item.answer.asked, item.answer.response or {}
    reason = one_line(str(response.get("reason", "")))
    lines = [("outcome", f"{item.outcome}{f': {reason}' if reason else ''}", "bold")]
    if item.answer.response is None:
        lines.append(("", "no answer is stored", ""))
    lines.append(("counts as", one_line(item.label) or f"{NOTHING} (unresolved)", "bold"))
    lines.append(("category", one_line(str(asked.get("category") or NOTHING)), ""))
    if tags := get_tags(item):
        texts = (_format_named(name, tag, reveal=reveal or name in groups) for name, tag in tags.items())
        lines.append(("tags", ", ".join(texts), ""))
    if item.flags:
        lines.append(("flags", ", ".join(one_line(str(flag)) for flag in item.flags), "yellow"))
    seconds = get_seconds(response)
    took = [NOTHING if seconds is None else f"{seconds:.2f} s", *_list_tokens(response.get("usage", {}))]
    lines.append(("took", ", ".join(took), ""))
    if response.get("model"):
        lines.append(("answered by", one_line(str(response["model"])), ""))
    lines.append(("at", one_line(str(response.get("at", NOTHING))), ""))
    for number, each in enumerate(_check_images(stored), 1):
        style = "" if each["state"] == _THERE else "yellow"
        lines.append((f"image {number}", f"{one_line(each['path'])}: {each['state']}", style))
        lines.append(("  sha256", one_line(each["sha256"]) or NOTHING, "dim"))
    return lines


def _list_verdicts(stored: StoredItem, *, reveal: bool) -> Iterator[list[Line]]:
    """Each judge's verdict."""
    for said in stored.item.said.values():
        primary = " (primary)" if said.judge == stored.part.words.primary else ""
        verdict = f"{said.state}: {one_line(said.label)}" if said.label else said.state
        lines = [("judge", f"{one_line(said.judge)}{primary}", ""), ("verdict", verdict, "bold")]
        if said.axes:
            axes = (_format_named(axis, value, reveal=reveal) for axis, value in said.axes.items())
            lines.append(("axes", ", ".join(axes), ""))
        if tokens := _list_tokens(said.usage):
            lines.append(("took", ", ".join(tokens), ""))
        if said.models:
            lines.append(("judged by", ", ".join(map(one_line, said.models)), ""))
        if said.reason:
            lines.append(_format_text("reason", said.reason, reveal=reveal))
        yield [*lines, *(_format_text("raw reply", reply, reveal=reveal) for reply in said.raw)]


def _list_tokens(usage: Mapping[str, int]) -> list[str]:
    return [f"{count} {name.replace('_', ' ')}" for name, count in usage.items() if count]


def _format_named(name: str, value: object, *, reveal: bool) -> str:
    shown = one_line(str(value), 60) if reveal or not is_text(value) else f"{len(str(value))} characters"
    return f"{one_line(name)}={shown}"


def _format_text(what: str, text: str, *, reveal: bool) -> Line:
    return (what, plain(text), "") if reveal else (what, f"{len(text)} characters", "dim")
