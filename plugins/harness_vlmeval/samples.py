"""Rows of a data set, and samples made from them.

VLMEvalKit makes the rows once for each revision of the user's file; later runs read them. Packaged splits are read
from the table itself.

    DIR/<task>/MMStar.tsv                 the user's, never written to
    DIR/<task>/built/MMStar-3f2a…/        rows.jsonl, the images of its rows, and known.json: their source file

A cluster holds the samples that are resampled together: rotations of a question, a set of HallusionBench, twins, or
questions about one image.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from harness import (
    BadData,
    BadImage,
    HarnessError,
    Image,
    Json,
    MissingData,
    Sample,
    open_files,
    prompt,
    rows,
    together,
)
from harness.files import atomic_write
from harness.http.status import as_list
from harness.keys import short
from harness.readers import Row
from harness.settings import nearest

from .known import Form, Part, find_known
from .process import Refused, ask_kit_now, find_package
from .scoring import FIGURE, GROUP, QUESTION

BUILT: Final = "built"
ROWS: Final = "rows.jsonl"
_REVISION: Final = "known.json"
_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MARK: Final = re.compile(r"<image(?: (\d))?>")


def read_rows(file: Path, root: Path, split: str, part: Part, form: Form) -> Iterator[Sample]:
    """The samples of one split, lazily, as VLMEvalKit asks them; clusters are contiguous.

    Args:
        file: file of rows.
        root: root of the images' paths.
        split: its name.
        part: selects the rows.
        form: form of the questions.
    """
    pairs = find_twins(_select_rows(file, part)) if form == "choice" else {}
    files = open_files(root)

    def read() -> Iterator[Sample]:
        for row in _select_rows(file, part):
            parts = [files.image(each["value"]) if each["type"] == "image" else each["value"] for each in row["parts"]]
            yield _sample(row, split, part, form, pairs, parts)

    return read() if form == "choice" and not pairs else _together(read())


def _select_rows(file: Path, part: Part) -> Iterator[dict[str, Any]]:
    """The rows of one part, re-read at each call."""
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            row: dict[str, Any] = json.loads(line)
            for column, wanted in part.only.items():
                cell = str(row["category"] if column == "category" else row["tags"].get(column, ""))
                if wanted not in (each.strip() for each in cell.split(",")):
                    break
            else:
                yield row


def _together(samples: Iterable[Sample]) -> Iterator[Sample]:
    """Make clusters contiguous; a sample without one keeps its place."""
    return together(samples, lambda sample: sample.cluster or ("", sample.id))


def _sample(
    row: Mapping[str, Any], split: str, part: Part, form: Form, pairs: Mapping[str, str], parts: list[str | Image]
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
    """id -> cluster, for rows that name a counterpart, and their counterparts. One side's naming is enough."""
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
            if (old := found.get(ids[other], pair)) != pair:  # a row between two pairs makes one cluster of both
                found |= {each: pair for each, cluster in found.items() if cluster == old}
            found |= {ids[one]: pair, ids[other]: pair}
    return found


def find_cluster(row: Mapping[str, Any], form: Form, pairs: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """The cluster of a row, empty if it is alone, and the tags by which metrics group it.

    Args:
        row: the built row.
        form: form of the questions.
        pairs: id -> cluster, from `find_twins`.
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
    """The samples of a packaged split, read without VLMEvalKit."""
    table = rows(open_files(root), f"{part.dataset}.tsv")
    shown = _TableImages(root=root)
    whole = Part(dataset=part.dataset, n=None, images=None)

    def read() -> Iterator[Sample]:
        for row in table:
            index, question, images = row.key("index"), row.text("question"), shown.of(row)
            options = {letter: row.text(letter) for letter in _LETTERS if row.text(letter, default="")}
            built = {
                "id": index,
                "group": index,
                "answer": row.text("answer"),
                "options": options,
                "category": row.text("category", default=""),
                "tags": {name: row.text(name) for name in ("l2-category",) if row.text(name, default="")},
                "pictures": f"sha256:{hashlib.sha256(row.text('image').encode()).hexdigest()}",
            }
            # images at the question's marks, else before it; then the options
            listed = "".join(f"\n{letter}. {text}" for letter, text in options.items())
            ending = "\nAnswer yes or no." if form != "choice" else f"{listed}\nAnswer with one letter."
            marks = list(_MARK.finditer(question))
            parts: list[str | Image] = [] if marks else list(images)
            at = 0
            for number, mark in enumerate(marks):
                parts += [question[at : mark.start()], images[int(mark[1]) - 1 if mark[1] else number]]
                at = mark.end()
            parts = [part for part in (*parts, question[at:] + ending) if part]
            yield _sample(built, split, whole, form, {}, parts)

    return _together(read())


@dataclass(frozen=True, slots=True, kw_only=True)
class _TableImages:
    """Images in a table's cells, in base64; see `harness.types.Files`."""

    root: Path
    cells: dict[str, str] = field(default_factory=dict[str, str])

    def of(self, row: Row) -> list[Image]:
        """The images of a row: one, or a Python list."""
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
        """Name and size: a cell's content never changes while read."""
        return f"{self.root}#{path}", len(self.cells.get(path, "")), 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """The source file of a folder of rows, recorded next to them.

    Attributes:
        md5: md5 of the file.
        expected: md5 that VLMEvalKit expects; empty if unknown.
    """

    md5: str
    expected: str

    @staticmethod
    def of(facts: Mapping[str, Json]) -> Revision:
        """From the build's facts."""
        return Revision(md5=str(facts["md5"]), expected=str(facts["expected"]))

    @staticmethod
    def read(place: Path) -> Revision | None:
        """The revision of a folder of rows; None if they are missing or incomplete."""
        try:
            text = (place / _REVISION).read_text("utf-8")
            return Revision.of(json.loads(text)) if (place / ROWS).is_file() else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @property
    def foreign(self) -> bool:
        """Whether VLMEvalKit expects another file under this name."""
        return self.expected not in ("", self.md5)

    def __str__(self) -> str:
        return f"md5 {self.md5}" + (f", not VLMEvalKit's {self.expected} (any_revision)" if self.foreign else "")


def find_rows(task: str, root: Path, dataset: str, *, fetch: bool, any_revision: bool) -> Path:
    """The file of a data set's rows, built if missing. Blocking.

    Args:
        task: the task that reads it.
        root: the task's data.
        dataset: VLMEvalKit's name.
        fetch: whether VLMEvalKit may download a missing file.
        any_revision: whether the file may differ from the one VLMEvalKit expects.

    Raises:
        MissingData: the file does not exist.
        BadData: it is another revision.
        HarnessError: VLMEvalKit is not installed, or cannot make rows from the file.
    """
    file = root / f"{dataset}.tsv"
    if not file.is_file():
        if not fetch:
            raise MissingData(f"{dataset}.tsv is not there", where=str(root))
        root.mkdir(parents=True, exist_ok=True)
        _ask(root, "fetch", dataset)
    place = _rows_folder(root, dataset)
    made = Revision.read(place)
    if made is None:
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise HarnessError(f"the rows cannot be written: {error.strerror}", where=str(place)) from error
        made = Revision.of(_ask(root, "build", dataset, folder=str(place.absolute())))
        atomic_write(place / _REVISION, json.dumps(asdict(made)), sync=False)
    if made.foreign and not any_revision:
        raise BadData(
            f"{dataset}.tsv is not the file that VLMEvalKit expects: md5 {made.md5}, not {made.expected}",
            where=str(file),
            remedy=f"fetch it again, or use it anyway with -T {task}.any_revision=true",
        )
    return place / ROWS


def find_revisions(root: Path, datasets: Sequence[str]) -> str:
    """The source files of data sets' rows, for the results; empty if none was built. Blocking."""
    there = [dataset for dataset in datasets if (root / f"{dataset}.tsv").is_file()]
    made = {dataset: found for dataset in there if (found := Revision.read(_rows_folder(root, dataset)))}
    alone = len(datasets) == 1
    return "; ".join(str(found) if alone else f"{dataset}: {found}" for dataset, found in made.items())


def _rows_folder(root: Path, dataset: str) -> Path:
    """The folder of rows for the current file."""
    stamp = (root / f"{dataset}.tsv").stat()
    return root / BUILT / f"{dataset}-{short([stamp.st_size, stamp.st_mtime_ns, find_package()])}"


def _ask(root: Path, op: str, dataset: str, **fields: Json) -> Mapping[str, Json]:
    try:
        return ask_kit_now(root, op, name=dataset, **fields)
    except Refused as refused:
        kind = refused.facts.get("type")
        said = str(refused).strip() or refused.facts.get("place", "")
        why = f"{kind}: {said}" if kind else said
        raise HarnessError(f"VLMEvalKit cannot {op} {dataset}: {why}", where=str(root)) from refused


def explain_missing(root: Path, dataset: str) -> str:
    """How to get a file of the open set; checks its name if VLMEvalKit is installed."""
    known = find_known(dataset)
    if known is not None:
        return f"put {known.url} into {root}; licence: {known.licence}; --tasks {known.name} is the same set"
    try:
        names = [str(name) for name in as_list(ask_kit_now(root, "datasets").get("names"))]
    except (HarnessError, Refused, OSError):
        names = [dataset]
    if dataset not in names:
        near = nearest(dataset, names)
        return f"put it into {root}; VLMEvalKit knows no data set of this name: {near}"
    return f"put it into {root}, or let VLMEvalKit fetch it with -T vlmeval.fetch=true"
