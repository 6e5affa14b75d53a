"""Samples of a data set: from the rows that VLMEvalKit made, or, of the packaged splits, from the table itself."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from harness import BadImage, Image, Json, Sample, open_files, prompt, rows, together
from harness.readers import DataFiles, Row

from .clusters import cluster, twins
from .known import Form, Part

_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MARK: Final = re.compile(r"<image(?: (\d))?>")


def from_rows(file: Path, root: Path, split: str, part: Part, form: Form) -> Iterator[Sample]:
    """The samples of one split, lazily, as VLMEvalKit asks them; those of one cluster together.

    Args:
        file: of rows.
        root: of the images' paths.
        split: name.
        part: which of the rows.
        form: of the questions.
    """
    pairs = twins(_kept(file, part)) if form == "choice" else {}
    files = open_files(root)
    found = (_sample(row, split, part, form, pairs, _shown_by(files, row)) for row in _kept(file, part))
    return found if form == "choice" and not pairs else _together(found)


def _kept(file: Path, part: Part) -> Iterator[dict[str, Any]]:
    """The rows of one part, read anew at each call."""
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            row: dict[str, Any] = json.loads(line)
            if all(_held(value, _cell(row, column)) for column, value in part.only.items()):
                yield row


def _shown_by(files: DataFiles, row: Mapping[str, Any]) -> list[str | Image]:
    return [files.image(each["value"]) if each["type"] == "image" else each["value"] for each in row["parts"]]


def _together(samples: Iterable[Sample]) -> Iterator[Sample]:
    """Those of one cluster next to each other; a sample without one stays where it is first met."""
    return together(samples, lambda sample: sample.cluster or ("", sample.id))


def _cell(row: Mapping[str, Any], column: str) -> str:
    return str(row["category"] if column == "category" else row["tags"].get(column, ""))


def _held(wanted: str, value: str) -> bool:
    return wanted in (each.strip() for each in value.split(","))


def _sample(
    row: Mapping[str, Any],
    split: str,
    part: Part,
    form: Form,
    pairs: Mapping[str, str],
    parts: list[str | Image],
) -> Sample:
    key, tags = cluster(row, form, pairs)
    answer = str(row["answer"])
    asked = {"answer": answer.strip().lower()} if form != "choice" else {"answer": answer, "options": row["options"]}
    return Sample(
        id=str(row["id"]),
        split=split,
        request=prompt(*parts),
        category=part.only.get("category") or str(row["category"]),
        tags={**row["tags"], **tags},
        cluster=key,
        target={"dataset": part.dataset, **asked},
    )


def from_table(root: Path, split: str, part: Part, form: Form) -> Iterator[Sample]:
    """The samples of a packaged split, read here: VLMEvalKit need not be installed."""
    table = rows(open_files(root), f"{part.dataset}.tsv")
    shown = _Shown(root=root)
    whole = Part(dataset=part.dataset, n=None, images=None)
    return _together(_sample(_row(row), split, whole, form, {}, _parts(row, shown, form)) for row in table)


def _row(row: Row) -> dict[str, Any]:
    index = row.key("index")
    return {
        "id": index,
        "group": index,
        "answer": row.text("answer"),
        "options": _options(row),
        "category": row.text("category", default=""),
        "tags": {name: row.text(name) for name in ("l2-category",) if row.text(name, default="")},
        "pictures": f"sha256:{hashlib.sha256(row.text('image').encode()).hexdigest()}",
    }


def _options(row: Row) -> dict[str, str]:
    return {letter: row.text(letter) for letter in _LETTERS if row.text(letter, default="")}


def _parts(row: Row, shown: _Shown, form: Form) -> list[str | Image]:
    """Images where the question has a mark for them, else before it; then the options."""
    images = shown.of(row)
    question = row.text("question")
    options = "".join(f"\n{letter}. {text}" for letter, text in _options(row).items())
    ending = "\nAnswer yes or no." if form != "choice" else f"{options}\nAnswer with one letter."
    marks = list(_MARK.finditer(question))
    parts: list[str | Image] = [] if marks else list(images)
    at = 0
    for number, mark in enumerate(marks):
        parts += [question[at : mark.start()], images[int(mark[1]) - 1 if mark[1] else number]]
        at = mark.end()
    return [part for part in (*parts, question[at:] + ending) if part]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """Images that lie in a table's cells, in base64; see `harness.types.Files`."""

    root: Path
    cells: dict[str, str] = field(default_factory=dict[str, str])

    def of(self, row: Row) -> list[Image]:
        """The images of a row: one, or a list as Python writes it."""
        cell = row.text("image")
        several: list[Json] = json.loads(cell.replace("'", '"')) if cell.startswith("[") else [cell]
        paths = [f"{row.key('index')}_{number}.png" for number in range(len(several))]
        self.cells.update(zip(paths, map(str, several), strict=True))
        return [Image(path=path, files=self) for path in paths]

    def read(self, path: str) -> bytes:
        """The bytes of an image; raises BadImage."""
        if path not in self.cells:
            raise BadImage(path, "missing")
        try:
            return base64.b64decode(self.cells[path], validate=True)
        except binascii.Error as error:
            raise BadImage(path, "unreadable", str(error)) from None

    def stamp(self, path: str) -> tuple[str, int, int]:
        """Name and size: the content of a cell never changes while it is read."""
        return f"{self.root}#{path}", len(self.cells.get(path, "")), 0
