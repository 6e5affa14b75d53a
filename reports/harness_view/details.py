"""One item as a page reads it: its prompt in order, the answer, what each judge said, time and tokens; and its images.

Only images that a prompt of the run names can be asked for, by their hash. An image is looked for under its task's data
root by the rules of all data files (no way out, a limit of pixels and of bytes), and shown only where its bytes are
those that the model saw.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, cast

from harness.errors import BadImage
from harness.images import open_image
from harness.readers import DataFiles, open_files
from harness.runs.following import RunSplit
from harness.runs.items import Item
from harness.types import ImageContent, Json

_TEXTS: Final = ("reasoning", "message", "notes", "steps")  #: of an answer or of a failure, other than `text`

#: why an image is not shown, in a reader's words
_WHY: Final = {
    "missing": "the file is gone",
    "outside_root": "its path leads out of the data folder",
    "too_many_pixels": "it has too many pixels",
    "too_many_bytes": "it is too large",
}


def describe_item(item: Item, part: RunSplit, *, redacted: bool) -> dict[str, Json]:
    """All of an item; redacted, no text and no image of it: names, labels, counts and numbers."""
    asked, response = item.answer.asked, item.answer.response or {}
    prompt = get_prompt(item)
    images = sum("image" in each for each in prompt)
    judges: list[dict[str, Json]] = []
    for said in item.said.values():
        axes = {name: value for name, value in said.axes.items() if not redacted or isinstance(value, int | float)}
        judge: dict[str, Json] = {
            "judge": said.judge,
            "primary": said.judge == part.words.primary,
            "state": said.state,
            "label": said.label,
            "axes": axes,
            "models": list(said.models),
            "usage": dict(said.usage),
            "at": said.at,
        }
        judges.append(judge if redacted else {**judge, "reason": said.reason, "raw": list(said.raw)})
    found: dict[str, Json] = {
        "item": item.item,
        "part": part.title,
        "task": part.display,
        "sample": str(asked["id"]),
        "epoch": int(asked["epoch"]),
        "category": str(asked.get("category") or ""),
        "outcome": item.outcome,
        "label": item.label,
        "flags": list(item.flags),
        "reason": str(response.get("reason", "") if response else "no answer yet"),
        "seconds": get_seconds(response),
        "at": str(response.get("at", "")),
        "model": str(response.get("model", "")),
        "usage": response.get("usage", {}),
        "images": images,
        "texts": len(prompt) - images,
        "judges": judges,
    }
    if redacted:
        return found
    tags, groups = get_tags(item), get_breakdowns(part)
    return {
        **found,
        "prompt": [dict(each) for each in prompt],
        "answer": item.answer.text,
        "tags": tags,
        "folded": [name for name, value in tags.items() if is_text(value) and name not in groups],
        "target": asked.get("target"),
        **{name: response[name] for name in _TEXTS if response.get(name)},
    }


def get_prompt(item: Item) -> Sequence[Mapping[str, Any]]:
    """The texts and images that were sent, in order; empty where nothing was."""
    prompt: Sequence[Mapping[str, Any]] = (item.answer.response or {}).get("prompt", ())
    return prompt


def get_tags(item: Item) -> dict[str, Json]:
    """The tags of an item."""
    return dict(item.answer.asked.get("tags") or {})


def get_breakdowns(part: RunSplit) -> tuple[str, ...]:
    """The tags by which results break a split's numbers down: names, as categories are."""
    return () if part.words.split is None else part.words.split.by


def get_seconds(response: Mapping[str, Any]) -> float | None:
    """How long an answer took; None where that is not stored, or is no time."""
    value: object = response.get("seconds")
    if not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        return None
    return round(float(value), 3)


def is_text(value: object) -> bool:
    """Whether a tag or a score is a text of several words, which may be harmful, and no name."""
    return len(str(value).split()) > 1


def collect_searched(item: Item, *, redacted: bool) -> str:
    """The texts that a search looks through, in one case."""
    asked, response = item.answer.asked, item.answer.response or {}
    texts = [item.item, str(asked.get("category") or ""), item.outcome, item.label]
    if not redacted:
        texts += [item.answer.question, item.answer.text]
        texts += [str(response.get("reasoning", "")), str(response.get("message", ""))]
        for said in item.said.values():
            texts += [said.reason, *said.raw]
    return "\n".join(texts).casefold()


def encode_json(value: Json) -> bytes:
    """A value as JSON that any browser reads: in ASCII, with null for NaN and infinity."""
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
    except ValueError:
        return json.dumps(_drop_nan(value), separators=(",", ":")).encode()


def _drop_nan(value: Any) -> Json:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(name): _drop_nan(each) for name, each in cast("Mapping[object, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_drop_nan(each) for each in cast("Sequence[Any]", value)]
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingImage:
    """An image that cannot be shown, and why: words of ours, never a text of the data."""

    why: str


class PromptImages:
    """The images that prompts of a run name; filled as its items are read."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, str], tuple[Path | None, str]] = {}

    def add(self, item: Item, part: RunSplit) -> None:
        """Learn where the images of one item are."""
        for each in get_prompt(item):
            if each.get("image") and each.get("sha256"):
                self._places.setdefault((part.display, str(each["sha256"])), (part.root, str(each["image"])))

    def load(self, display: str, sha256: str) -> ImageContent | MissingImage:
        """The image with this hash that a prompt of the task names. Raises KeyError where none does."""
        root, path = self._places[display, sha256]
        if root is None:
            return MissingImage(why="where its data lies is not known")
        if not root.is_dir():
            return MissingImage(why="no data here: --data says where")
        try:
            content = open_image(_open_root(root).image(path)).content
        except BadImage as fault:
            return MissingImage(why=_WHY.get(fault.reason, "it cannot be read"))
        if content is None or content.sha256 != sha256:
            return MissingImage(why="the file is another one now")
        return content


@lru_cache(maxsize=64)
def _open_root(root: Path) -> DataFiles:
    """The files under a root; the archives among them are opened once."""
    return open_files(root)


def draw_placeholder(image: MissingImage) -> bytes:
    """An SVG in an image's place."""
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 320 200" width="320" height="200">'
        '<rect width="320" height="200" fill="#8882"/><path d="M110 60h100v70H110z" fill="none" stroke="#888" '
        'stroke-width="4"/><path d="M110 130 210 60" stroke="#888" stroke-width="4"/><text x="160" y="165" '
        f'text-anchor="middle" font-family="sans-serif" font-size="15" fill="#888">{image.why}</text></svg>'
    ).encode()
