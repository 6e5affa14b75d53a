"""What of an item is shown on a terminal: its texts only where they were asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from harness.keys import canonical
from harness.types import Json

from .details import detail, grouping, is_text, tags
from .pictures import Gone, Pictures
from .show_finding import Found

THERE = "there"
_BESIDE = ("message", "reasoning", "notes", "steps")  # texts of a failure or of an answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One image of a prompt: its path, its hash, and whether the file is still there."""

    path: str
    sha256: str
    state: str


def pictures(found: Found) -> tuple[Picture, ...]:
    """The images of an item, in order; each file is opened and hashed."""
    known = Pictures()
    known.add(found.item, found.part)
    return tuple(_picture(part, known, found) for part in _prompt(found) if "image" in part)


def _picture(part: Mapping[str, Any], known: Pictures, found: Found) -> Picture:
    sha256 = str(part["sha256"] or "")
    state = "it was not opened"
    if redacted(found):
        state = "images are not part of an export"
    elif sha256:
        content = known.get(found.part.display, sha256)
        state = content.why if isinstance(content, Gone) else THERE
    return Picture(path=str(part["image"]), sha256=sha256, state=state)


def redacted(found: Found) -> bool:
    """Whether the run is a redacted export: what stands for its texts is harmless."""
    return found.file.redacted


def texts(found: Found) -> Iterator[tuple[str, str]]:
    """Each text of an item with what it is, in the order of what happened; empty ones are left out."""
    response = found.item.answer.response or {}
    for part in _prompt(found):
        if "text" in part:
            yield ("question" if part["role"] == "user" else str(part["role"])), str(part["text"])
    yield "answer", found.item.answer.text
    for name in _BESIDE:
        yield from _named(name, response.get(name))
    yield "target", "" if found.item.answer.asked["target"] is None else _plain(found.item.answer.asked["target"])
    cluster = str(found.item.answer.asked["cluster"])
    yield "cluster", "" if cluster == found.item.answer.asked["id"] else cluster


def _named(name: str, value: Json) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        yield from ((f"step {step}", _plain(text)) for step, text in cast("Mapping[str, Json]", value).items())
    elif isinstance(value, list):
        yield from (("note", _plain(note)) for note in cast("Sequence[Json]", value))
    elif value:
        yield name, _plain(value)


def _plain(value: Json) -> str:
    return value if isinstance(value, str) else canonical(value)


def _prompt(found: Found) -> Sequence[Mapping[str, Any]]:
    prompt: Sequence[Mapping[str, Any]] = (found.item.answer.response or {}).get("prompt", ())
    return prompt


def as_json(found: Found, *, reveal: bool) -> dict[str, Json]:
    """All of an item; without `reveal` its texts by their lengths."""
    open_ = reveal or redacted(found)
    made = detail(found.item, found.part, redacted=not open_)
    shown = {
        name: tag for name, tag in tags(found.item).items() if open_ or not is_text(tag) or name in grouping(found.part)
    }
    told = [*texts(found), *((f"tag {name}", str(tag)) for name, tag in tags(found.item).items() if name not in shown)]
    lengths = [{"what": what, "characters": len(text)} for what, text in told if text]
    return {
        "schema": "harness.item/1",
        **made,
        "model_ref": found.file.model.ref,
        "tags": shown,
        "pictures": [{"path": each.path, "sha256": each.sha256, "state": each.state} for each in pictures(found)],
        **({} if open_ else {"hidden": lengths}),
    }
