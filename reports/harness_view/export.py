"""Runs as a folder of files that open from disk, without a server.

    index.html, assets/…             the page
    data/runs.js                     the runs
    data/rows-<run>-<k>.js           their light rows
    data/items-<run>-<k>.js          their items, so many in each file
    images/<sha256>.jpg              each image once, at most 768 pixels wide or high; only where it was revealed

The data are scripts because a page that was opened from disk may load nothing else.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from harness.errors import BadImage, HarnessError
from harness.images import decode
from harness.types import ImageContent, Json

from .details import encoded
from .index import Index
from .pictures import Gone
from .web import FILES, page, text

ITEMS: Final = 500  #: items in one file
ROWS: Final = 5000  #: rows in one file
SIDE: Final = 768  #: pixels of the longer side of an image
_QUALITY: Final = 85  # of JPEG


def export(indexes: Sequence[Index], folder: Path) -> int:
    """Write the runs; how many items there are.

    Raises:
        HarnessError: the folder is not empty, or cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise HarnessError("there is something here already", where=str(folder), remedy="give --export a new folder")
    try:
        return _Export(folder).write(indexes)
    except OSError as error:
        raise HarnessError("cannot write the export", where=str(error), remedy="give --export another folder") from None


class _Export:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._images: dict[str, str] = {}

    def write(self, indexes: Sequence[Index]) -> int:
        for name in ("assets", "data", "images"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        for name in FILES:
            (self._folder / "assets" / name).write_text(text(name), encoding="utf-8")
        runs = [self._run(number, index) for number, index in enumerate(indexes)]
        self._data("runs", {"runs": runs, "images": self._images})
        (self._folder / "index.html").write_text(page(data=("data/runs.js",)), encoding="utf-8")
        with suppress(OSError):  # there is one in it
            (self._folder / "images").rmdir()
        return sum(len(index) for index in indexes)

    def _run(self, number: int, index: Index) -> dict[str, Json]:
        while index.advance(ITEMS):
            pass
        rows = list(_rows(index))
        for k, each in enumerate(rows):
            self._data(f"rows-{number}-{k}", each)
        for k, start in enumerate(range(0, len(index), ITEMS)):
            items = [{**index.item(n), "n": n} for n in range(start, min(start + ITEMS, len(index)))]
            self._data(f"items-{number}-{k}", items)
            for item in items:
                self._pictures(index, item)
        return {**index.about(), "files": len(rows), "items": ITEMS, "count": len(index)}

    def _pictures(self, index: Index, item: Mapping[str, Any]) -> None:
        for part in item.get("prompt", ()):
            sha256 = part.get("sha256")
            if "image" in part and sha256 and sha256 not in self._images:
                self._images[sha256] = self._picture(index.image(item["task"], sha256), sha256)

    def _picture(self, found: ImageContent | Gone, sha256: str) -> str:
        """Where the image lies; else why it is not there."""
        if isinstance(found, Gone):
            return found.why
        try:
            small = smaller(found)
        except BadImage:
            return "it cannot be read"
        name = f"images/{sha256}.jpg"
        (self._folder / name).write_bytes(small)
        return name

    def _data(self, name: str, value: Json) -> None:
        """A script that hands a value to the page; `<` is escaped, so that it is none of HTML either."""
        body = encoded(value).replace(b"<", b"\\u003c")
        script = b'harnessExport("' + name.encode() + b'",' + body + b");\n"
        with (self._folder / "data" / f"{name}.js").open("wb") as file:
            file.write(script)


def _rows(index: Index) -> Iterator[dict[str, Json]]:
    position = texts = 0
    while True:
        rows = index.since(0, position, texts, ROWS)
        if not rows["n"] and position:
            return
        yield rows
        if not rows["n"]:
            return
        position, texts = rows["position"], texts + len(rows["texts"])


def smaller(content: ImageContent) -> bytes:
    """An image as JPEG, at most `SIDE` pixels wide and high, upright and without what its file said beside the pixels.

    Raises:
        BadImage: its pixels cannot be read.
    """
    picture = decode(content)
    picture.thumbnail((SIDE, SIDE))
    written = io.BytesIO()
    picture.save(written, "JPEG", quality=_QUALITY)
    return written.getvalue()
