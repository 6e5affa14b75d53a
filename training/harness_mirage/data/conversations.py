"""Conversations as ShareGPT has them, and as messages: most layouts are spellings of these."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, cast

from harness import Json
from harness.readers import Row
from harness_mirage.records import Speaker, Turn

from .draft import BadRecord, Draft

ROLES: Final[Mapping[str, Speaker]] = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spelling:
    """How a layout names what it holds; of several names, the first that is there counts.

    Attributes:
        turns: the list of turns.
        speaker, text: of one turn.
        roles: value of `speaker` -> who speaks.
        images: one path or several.
        system: a system text beside the turns.
    """

    turns: tuple[str, ...] = ("conversations", "messages")
    speaker: tuple[str, ...] = ("from", "role")
    text: tuple[str, ...] = ("value", "content")
    roles: Mapping[str, Speaker] = field(default_factory=lambda: ROLES)
    images: tuple[str, ...] = ("image", "images")
    system: tuple[str, ...] = ("system",)


SHAREGPT: Final = Spelling()


def conversation(row: Row, spelling: Spelling = SHAREGPT) -> Iterator[Draft]:
    """The one conversation of a record.

    Raises:
        BadData: it has no list of turns, or one of them is no turn.
    """
    name = next((name for name in spelling.turns if row.has(name)), spelling.turns[0])
    turns = tuple(_turn(turn, spelling) for turn in row.rows(name))
    system = row.text(*spelling.system, default="") if spelling.system else ""
    if system:
        turns = (Turn(speaker="system", text=system), *turns)
    yield Draft(
        id=named(row),
        place=row.place,
        category=said(row, "category"),
        sub_category=said(row, "sub_category"),
        turns=turns,
        images=images(row, spelling.images),
        text_question=said(row, "text_question") or said(row, "explicit"),
        text_answer=said(row, "text_answer"),
    )


def named(row: Row) -> str:
    """The record's own id; empty where it has none."""
    return row.key("id", "sample_id", default="")


def said(row: Row, name: str) -> str:
    """A text that may be missing; anything else under this name means something else and counts as missing."""
    value = row.values.get(name)
    return value.strip() if isinstance(value, str) else ""


def images(row: Row, names: tuple[str, ...]) -> tuple[str, ...]:
    """The paths of a record's images: a text, a list of texts, or of objects with a `path`."""
    value: Json = next((row.values[name] for name in names if row.values.get(name)), None)
    if value is None:
        return ()
    several: list[Json] = value if _is_list(value) else [value]
    return tuple(_path(each) for each in several)


def _is_list(value: Json) -> bool:
    return isinstance(value, list)


def _path(value: Json) -> str:
    if isinstance(value, dict):
        value = cast("dict[str, Json]", value).get("path")
    if not isinstance(value, str) or not value.strip():
        raise BadRecord("an image without a path")
    return value


def _turn(row: Row, spelling: Spelling) -> Turn:
    role = row.text(*spelling.speaker, default="")
    if role not in spelling.roles:
        known = ", ".join(spelling.roles)
        raise BadRecord("an unknown role", f"unknown role {role[:40]!r} (known: {known})")
    return Turn(speaker=spelling.roles[role], text=row.text(*spelling.text, default=""))
