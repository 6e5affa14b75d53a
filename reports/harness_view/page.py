"""The viewer's page, and exports of runs as a folder that opens from disk, without a server.

The page is handwritten HTML, style and scripts. The folder of an export:

    index.html, assets/…             the page
    agreement.html                   the page on the judges of each split
    data/agreement-<run>.js          its figures
    leaderboard.html                 the leaderboard of the runs, if a report can draw it and a run has results
    data/counted-<run>.js            the items that each of its numbers counts
    data/runs.js                     the runs
    data/rows-<run>-<k>.js           their light rows
    data/items-<run>-<k>.js          their items, in chunks
    images/<sha256>.jpg              each image once, at most 768 pixels wide or high; only if revealed

The data are scripts because a page opened from disk may load nothing else.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import Final

from harness.board.results import FILE, read_results
from harness.errors import BadImage, HarnessError
from harness.files import report_write_errors
from harness.images import decode
from harness.types import ImageContent, Json
from harness.web.pages import SHARED

from .agreement import describe_agreement
from .board import find_linked_report, render_leaderboard
from .index import MissingImage, RunIndex, encode_json

#: the scripts of the page, in order of execution
_SCRIPTS: Final = (
    "source",
    "theme",
    "text",
    "markdown",
    "store",
    "meaning",
    "overview",
    "list",
    "pane",
    "behind",
    "filters",
    "keys",
    "app",
)
FILES: Final = ("look.css", "view.css", "agreement.css", "agreement.js", *(f"{name}.js" for name in _SCRIPTS))
ITEMS: Final = 500  #: items in one file
ROWS: Final = 5000  #: rows in one file
SIDE: Final = 768  #: pixels of the longer side of an image
_POLICY: Final = "<!-- policy -->"
_DATA: Final = "<!-- data -->"
_LEADERBOARD: Final = "<!-- leaderboard -->"
_QUALITY: Final = 85  #: of JPEG


def read_file(name: str) -> str:
    """One file of `web`, or one shared by all local pages."""
    own, shared = resources.files("harness_view") / "web" / name, resources.files(SHARED) / name
    return (own if own.is_file() else shared).read_text(encoding="utf-8")


def build_page(name: str = "index.html", *, data: tuple[str, ...] = (), leaderboard: bool = False) -> str:
    """One of the pages.

    Args:
        name: of its file.
        data: scripts with the data of an export; empty with a server.
        leaderboard: whether a leaderboard of the runs stands beside it.
    """
    source = read_file(name).replace(_LEADERBOARD, '<a href="leaderboard.html">Leaderboard</a>' if leaderboard else "")
    if not data:
        return source.replace(_POLICY, "").replace(_DATA, "")
    policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; base-uri 'none'"
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    scripts = "\n".join(f'<script defer src="{name}"></script>' for name in data)
    return source.replace(_POLICY, meta).replace(_DATA, scripts).replace('"/assets/', '"assets/')


def export(indexes: Sequence[RunIndex], folder: Path) -> int:
    """Write the runs into a folder; returns the number of items.

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
        leaderboard = find_linked_report() is not None and any(_list_results(index) for index in indexes)
        if leaderboard:
            (folder / "leaderboard.html").write_text(render_leaderboard(indexes), encoding="utf-8")
        for name in ("index.html", "agreement.html"):
            page = build_page(name, data=("data/runs.js",), leaderboard=leaderboard)
            (folder / name).write_text(page, encoding="utf-8")
        with suppress(OSError):  # it is not empty
            (folder / "images").rmdir()
    return sum(len(index) for index in indexes)


def _export_run(index: RunIndex, number: int, folder: Path, images: dict[str, str]) -> dict[str, Json]:
    """Write the data of one run and its missing images; return its entry of data/runs.js."""
    while index.advance(ITEMS):
        pass
    files = position = texts = 0
    while (rows := index.select_since(0, position, texts, ROWS))["n"] or not files:
        _write_data(folder, f"rows-{number}-{files}", rows)
        files, position, texts = files + 1, rows["position"], texts + len(rows["texts"])
    for file, start in enumerate(range(0, len(index), ITEMS)):
        numbers = range(start, min(start + ITEMS, len(index)))
        items: list[dict[str, Json]] = [{**index.get_item(n), "n": n} for n in numbers]
        if index.mode == "reveal":
            for item in items:
                for judge in item["judges"]:
                    judge["prompt"] = index.build_prompt(item["item"], judge["judge"])
        _write_data(folder, f"items-{number}-{file}", items)
        for item in items:
            for part in (*item.get("prompt", ()), *item.get("original", ())):
                sha256 = part.get("sha256")
                if "image" in part and sha256 and sha256 not in images:
                    image, name = index.load_image(item["task"], sha256), f"images/{sha256}.jpg"
                    if isinstance(image, MissingImage):
                        images[sha256] = image.why
                        continue
                    try:
                        (folder / name).write_bytes(shrink_image(image))
                        images[sha256] = name
                    except BadImage:
                        images[sha256] = "it cannot be read"
    _write_data(folder, f"agreement-{number}", _without_remedy(describe_agreement(index.folder, index.name)))
    if find_linked_report() is not None and (titles := _list_results(index)):
        _write_data(folder, f"counted-{number}", {title: _without_remedy(index.count_split(title)) for title in titles})
    return {
        **index.describe(),
        "files": files,
        "items": ITEMS,
        "count": len(index),
        "overview": index.describe_overview(),
    }


def _without_remedy(found: dict[str, Json]) -> dict[str, Json]:
    """What is known, without the remedy for whoever made the export: it may name places on their machine."""
    return {name: value for name, value in found.items() if name != "remedy"}


def _list_results(index: RunIndex) -> list[str]:
    """`task:split` of each split in a run's results; empty while it has none."""
    if not (index.folder / FILE).is_file():
        return []
    results = read_results(index.folder / FILE)
    return [f"{task}:{split}" for task, about in results["tasks"].items() for split in about["splits"]]


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
    """Write a script that passes a value to the page; `<` is escaped, so that nothing is HTML."""
    body = encode_json(value).replace(b"<", b"\\u003c")
    (folder / "data" / f"{name}.js").write_bytes(b'harnessExport("' + name.encode() + b'",' + body + b");\n")
