"""A data set's rows: made by VLMEvalKit once for each revision of the user's file, and read from then on.

DIR/<task>/MMStar.tsv                 the user's, never written to
DIR/<task>/built/MMStar-3f2a…/        rows.jsonl, the images of its rows, and known.json: which file they were made of
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from harness import BadData, HarnessError, Json, MissingData
from harness.files import atomic_write
from harness.http.status import as_list
from harness.keys import short
from harness.settings import nearest

from .known import find_known
from .process import Refused, ask_kit_now, find_package

BUILT: Final = "built"
ROWS: Final = "rows.jsonl"
_REVISION: Final = "known.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """The file that a folder of rows was made of: kept next to them, so that it is known each time they are read.

    Attributes:
        md5: of the file.
        expected: of the file that VLMEvalKit knows; empty if it knows none.
    """

    md5: str
    expected: str

    @staticmethod
    def of(facts: Mapping[str, Json]) -> Revision:
        """As the build said it."""
        return Revision(md5=str(facts["md5"]), expected=str(facts["expected"]))

    @staticmethod
    def read(place: Path) -> Revision | None:
        """The revision of a folder of rows; None if they are not there, or not whole."""
        try:
            text = (place / _REVISION).read_text("utf-8")
            return Revision.of(json.loads(text)) if (place / ROWS).is_file() else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @property
    def foreign(self) -> bool:
        """VLMEvalKit knows another file under this name."""
        return self.expected not in ("", self.md5)

    def __str__(self) -> str:
        return f"md5 {self.md5}" + (f", not VLMEvalKit's {self.expected} (any_revision)" if self.foreign else "")


def find_rows(task: str, root: Path, dataset: str, *, fetch: bool, any_revision: bool) -> Path:
    """The file of a data set's rows, which is made if it is not there. Blocking.

    Args:
        task: that reads it.
        root: the task's data.
        dataset: VLMEvalKit's name.
        fetch: whether VLMEvalKit may download a file that is missing.
        any_revision: whether the file may be another one than VLMEvalKit knows.

    Raises:
        MissingData: the file is not there.
        BadData: it is another revision.
        HarnessError: VLMEvalKit is not installed, or cannot make rows of the file.
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
            raise HarnessError(f"no rows can be written: {error.strerror}", where=str(place)) from error
        made = Revision.of(_ask(root, "build", dataset, folder=str(place.absolute())))
        atomic_write(place / _REVISION, json.dumps(asdict(made)), sync=False)
    if made.foreign and not any_revision:
        raise BadData(
            f"{dataset}.tsv is another file than VLMEvalKit knows: md5 {made.md5}, not {made.expected}",
            where=str(file),
            remedy=f"fetch it again, or take it as it is with -T {task}.any_revision=true",
        )
    return place / ROWS


def find_revisions(root: Path, datasets: Sequence[str]) -> str:
    """The files that the rows of data sets were made of, for the results; empty if none was made. Blocking."""
    there = [dataset for dataset in datasets if (root / f"{dataset}.tsv").is_file()]
    made = {dataset: found for dataset in there if (found := Revision.read(_rows_folder(root, dataset)))}
    alone = len(datasets) == 1
    return "; ".join(str(found) if alone else f"{dataset}: {found}" for dataset, found in made.items())


def _rows_folder(root: Path, dataset: str) -> Path:
    """The folder of the rows of the file that is there now."""
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
    """How to get a file of the open set; its name is checked if VLMEvalKit is installed."""
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
