"""The images that prompts of a run name, by their hash: no other file can be asked for.

An image is looked for under its task's data root by the rules of all data files (no way out, a limit of pixels and of
bytes), and shown only where its bytes are those that the model saw.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from harness.errors import BadImage
from harness.images import open_image
from harness.readers import DataFiles, open_files
from harness.runs.items import Item
from harness.runs.parts import Part
from harness.types import ImageContent


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """An image that cannot be shown, and why."""

    why: str


#: why an image is not shown, in a reader's words
_WHY: Final = {
    "missing": "the file is gone",
    "outside_root": "its path leads out of the data folder",
    "too_many_pixels": "it has too many pixels",
    "too_many_bytes": "it is too large",
}


class Pictures:
    """Where the images of a run lie; filled as its items are read."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[Path | None, str]] = {}

    def add(self, item: Item, part: Part) -> None:
        """Know the images of one item."""
        response: Mapping[str, Any] = item.answer.response or {}
        for each in response.get("prompt", ()):
            if each.get("image") and each.get("sha256"):
                self._known.setdefault((part.display, str(each["sha256"])), (part.root, str(each["image"])))

    def get(self, display: str, sha256: str) -> ImageContent | Gone:
        """The image with this hash that a prompt of the task names. Raises KeyError where none does."""
        root, path = self._known[display, sha256]
        if root is None:
            return Gone(why="where its data lies is not known")
        if not root.is_dir():
            return Gone(why="no data here: --data says where")
        try:
            content = open_image(_files(root).image(path)).content
        except BadImage as fault:
            return Gone(why=_WHY.get(fault.reason, "it cannot be read"))
        if content is None or content.sha256 != sha256:
            return Gone(why="the file is another one now")
        return content


@lru_cache(maxsize=64)
def _files(root: Path) -> DataFiles:
    """The files under a root; the archives among them are opened once."""
    return open_files(root)


def placeholder(why: str) -> bytes:
    """A drawing in an image's place; `why` is one of ours, never a text of the data."""
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 320 200" width="320" height="200">'
        '<rect width="320" height="200" fill="#8882"/><path d="M110 60h100v70H110z" fill="none" stroke="#888" '
        'stroke-width="4"/><path d="M110 130 210 60" stroke="#888" stroke-width="4"/><text x="160" y="165" '
        f'text-anchor="middle" font-family="sans-serif" font-size="15" fill="#888">{why}</text></svg>'
    ).encode()
