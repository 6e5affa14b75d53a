"""Samples of a data set: from the rows that VLMEvalKit made, or, of the packaged splits, from the table itself.

A cluster holds the samples that are resampled together: rotations of a question, a set of HallusionBench, twins, or
the questions about one image.
"""

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

from .known import Form, Part
from .scoring import FIGURE, GROUP, QUESTION

_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MARK: Final = re.compile(r"<image(?: (\d))?>")


def read_rows(file: Path, root: Path, split: str, part: Part, form: Form) -> Iterator[Sample]:
    """The samples of one split, lazily, as VLMEvalKit asks them; those of one cluster together.

    Args:
        file: of rows.
        root: of the images' paths.
        split: name.
        part: which of the rows.
        form: of the questions.
    """
    pairs = find_twins(_select_rows(file, part)) if form == "choice" else {}
    files = open_files(root)
    found = (_sample(row, split, part, form, pairs, _shown_by(files, row)) for row in _select_rows(file, part))
    return found if form == "choice" and not pairs else _together(found)


def _select_rows(file: Path, part: Part) -> Iterator[dict[str, Any]]:
    """The rows of one part, read anew at each call."""
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            row: dict[str, Any] = json.loads(line)
            for column, wanted in part.only.items():
                cell = str(row["category"] if column == "category" else row["tags"].get(column, ""))
                if wanted not in (each.strip() for each in cell.split(",")):
                    break
            else:
                yield row


def _shown_by(files: DataFiles, row: Mapping[str, Any]) -> list[str | Image]:
    return [files.image(each["value"]) if each["type"] == "image" else each["value"] for each in row["parts"]]


def _together(samples: Iterable[Sample]) -> Iterator[Sample]:
    """Those of one cluster next to each other; a sample without one keeps its place."""
    return together(samples, lambda sample: sample.cluster or ("", sample.id))


def _sample(
    row: Mapping[str, Any],
    split: str,
    part: Part,
    form: Form,
    pairs: Mapping[str, str],
    parts: list[str | Image],
) -> Sample:
    key, tags = find_cluster(row, form, pairs)
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


def find_twins(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Of the rows that name a counterpart, and of those counterparts: id -> cluster. Naming it once is enough."""
    ids: dict[str, str] = {}
    named: list[tuple[str, str]] = []
    for row in rows:
        own = str(row.get("number") or row["id"])
        ids[own] = str(row["id"])
        if row.get("counterpart"):
            named.append((own, str(row["counterpart"])))
    found: dict[str, str] = {}
    for one, other in named:
        if other in ids:
            pair = found.get(ids[one]) or found.get(ids[other]) or f"twins_{ids[one]}"
            found |= {ids[one]: pair, ids[other]: pair}
    return found


def find_cluster(row: Mapping[str, Any], form: Form, pairs: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """The cluster of a row, empty if it is alone in it, and the tags by which metrics group it.

    Args:
        row: as it was built.
        form: of the questions.
        pairs: id -> cluster, as `find_twins` says.
    """
    own, group = str(row["id"]), str(row["group"])
    if form == "hallusion":  # VD_chart_1_0_2_3: category, subcategory, kind, set, figure, question
        if own.count("_") != 5:
            return "", {}
        category, subcategory, _, members, figure, question = own.split("_")
        found = f"{category}_{subcategory}_{members}"
        return found, {QUESTION: f"{found}_q{question}", FIGURE: f"{found}_f{figure}"}
    if group != own:
        return group, {GROUP: group}
    if form == "yesno":
        return str(row.get("pictures", "")), {}
    return pairs.get(own, ""), {}


def read_table(root: Path, split: str, part: Part, form: Form) -> Iterator[Sample]:
    """The samples of a packaged split, read here: VLMEvalKit need not be installed."""
    table = rows(open_files(root), f"{part.dataset}.tsv")
    shown = _TableImages(root=root)
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


def _parts(row: Row, shown: _TableImages, form: Form) -> list[str | Image]:
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
class _TableImages:
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
