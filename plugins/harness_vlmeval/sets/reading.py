"""Samples of a data set: from the rows that VLMEvalKit made, or, of the packaged splits, from the table itself."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from harness import BadImage, Image, Json, Sample, open_files, prompt, rows, together
from harness.readers import Row

from .known import Form, Part
from .metrics import FIGURE, GROUP, QUESTION

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
    found = _from_rows(file, root, split, part, form)
    return together(found, lambda sample: sample.cluster) if form == "hallusion" else found


def _from_rows(file: Path, root: Path, split: str, part: Part, form: Form) -> Iterator[Sample]:
    files = open_files(root)
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            row: dict[str, Any] = json.loads(line)
            if all(_held(value, _cell(row, column)) for column, value in part.only.items()):
                parts = (
                    files.image(each["value"]) if each["type"] == "image" else each["value"] for each in row["parts"]
                )
                yield _sample(row, split, part, form, list(parts))


def _cell(row: Mapping[str, Any], column: str) -> str:
    return str(row["category"] if column == "category" else row["tags"].get(column, ""))


def _held(wanted: str, value: str) -> bool:
    return wanted in (each.strip() for each in value.split(","))


def _sample(row: Mapping[str, Any], split: str, part: Part, form: Form, parts: list[str | Image]) -> Sample:
    tags = dict(row["tags"])
    cluster = str(row["group"])
    if cluster != row["id"]:
        tags[GROUP] = cluster
    if form == "hallusion":
        cluster, own = _hallusion(str(row["id"]))
        tags |= own
    answer = str(row["answer"])
    asked = {"answer": answer.strip().lower()} if form != "choice" else {"answer": answer, "options": row["options"]}
    return Sample(
        id=str(row["id"]),
        split=split,
        request=prompt(*parts),
        category=part.only.get("category") or str(row["category"]),
        tags=tags,
        cluster="" if cluster == row["id"] else cluster,
        target={"dataset": part.dataset, **asked},
    )


def _hallusion(index: str) -> tuple[str, dict[str, str]]:
    """The set of `VD_chart_1_0_2_3` (category, subcategory, kind, set, figure, question), its question and figure."""
    parts = index.split("_")
    if len(parts) != 6:
        return index, {}
    category, sub_category, _, group, figure, question = parts
    cluster = f"{category}_{sub_category}_{group}"
    return cluster, {QUESTION: f"{cluster}_q{question}", FIGURE: f"{cluster}_f{figure}"}


def from_table(root: Path, split: str, part: Part, form: Form) -> Iterator[Sample]:
    """The samples of a packaged split, read here: VLMEvalKit need not be installed."""
    table = rows(open_files(root), f"{part.dataset}.tsv")
    shown = _Shown(root=root)
    for row in table:
        yield _sample(_row(row), split, Part(dataset=part.dataset, n=None, images=0), form, _parts(row, shown, form))


def _row(row: Row) -> dict[str, Any]:
    index = row.key("index")
    return {
        "id": index,
        "group": index,
        "answer": row.text("answer"),
        "options": _options(row),
        "category": row.text("category", default=""),
        "tags": {name: row.text(name) for name in ("l2-category",) if row.text(name, default="")},
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
