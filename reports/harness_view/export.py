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
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from harness.errors import BadImage, HarnessError
from harness.files import report_write_errors
from harness.images import decode
from harness.types import ImageContent, Json

from .details import MissingImage, encode_json
from .index import RunIndex
from .web import FILES, build_page, read_file

ITEMS: Final = 500  #: items in one file
ROWS: Final = 5000  #: rows in one file
SIDE: Final = 768  #: pixels of the longer side of an image
_QUALITY: Final = 85  #: of JPEG


def export(indexes: Sequence[RunIndex], folder: Path) -> int:
    """Write the runs; how many items there are.

    Raises:
        HarnessError: the folder is not empty, or cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise HarnessError("the folder is not empty", where=str(folder), remedy="give --export a new folder")
    with report_write_errors(folder, what="cannot write the export", remedy="give --export another folder"):
        for name in ("assets", "data", "images"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        for name in FILES:
            (folder / "assets" / name).write_text(read_file(name), encoding="utf-8")
        images: dict[str, str] = {}
        runs = [_export_run(index, number, folder, images) for number, index in enumerate(indexes)]
        _write_data(folder, "runs", {"runs": runs, "images": images})
        (folder / "index.html").write_text(build_page(data=("data/runs.js",)), encoding="utf-8")
        with suppress(OSError):  # it is not empty
            (folder / "images").rmdir()
    return sum(len(index) for index in indexes)


def _export_run(index: RunIndex, number: int, folder: Path, images: dict[str, str]) -> dict[str, Json]:
    """Write the data of one run, and those of its images that are not there yet; what data/runs.js says of it."""
    while index.advance(ITEMS):
        pass
    files = position = texts = 0
    while (rows := index.select_since(0, position, texts, ROWS))["n"] or not files:
        _write_data(folder, f"rows-{number}-{files}", rows)
        files, position, texts = files + 1, rows["position"], texts + len(rows["texts"])
    for file, start in enumerate(range(0, len(index), ITEMS)):
        numbers = range(start, min(start + ITEMS, len(index)))
        items: list[dict[str, Json]] = [{**index.get_item(n), "n": n} for n in numbers]
        _write_data(folder, f"items-{number}-{file}", items)
        for item in items:
            for part in item.get("prompt", ()):
                sha256 = part.get("sha256")
                if "image" in part and sha256 and sha256 not in images:
                    images[sha256] = _export_image(
                        index.load_image(item["task"], sha256), f"images/{sha256}.jpg", folder
                    )
    return {**index.describe(), "files": files, "items": ITEMS, "count": len(index)}


def _export_image(image: ImageContent | MissingImage, name: str, folder: Path) -> str:
    """The image's name; else why it is not there."""
    if isinstance(image, MissingImage):
        return image.why
    try:
        small = shrink_image(image)
    except BadImage:
        return "it cannot be read"
    (folder / name).write_bytes(small)
    return name


def shrink_image(content: ImageContent) -> bytes:
    """An image as JPEG, at most `SIDE` pixels wide and high, upright and without the metadata of its file.

    Raises:
        BadImage: its pixels cannot be read.
    """
    picture = decode(content)
    picture.thumbnail((SIDE, SIDE))
    written = io.BytesIO()
    picture.save(written, "JPEG", quality=_QUALITY)
    return written.getvalue()


def _write_data(folder: Path, name: str, value: Json) -> None:
    """A script that hands a value to the page; `<` is escaped, so that none of it is HTML."""
    body = encode_json(value).replace(b"<", b"\\u003c")
    (folder / "data" / f"{name}.js").write_bytes(b'harnessExport("' + name.encode() + b'",' + body + b");\n")
