"""A data set's rows: made by VLMEvalKit once for each revision of the user's file, read from there on.

DIR/<task>/MMStar.tsv                 the user's, never written to
DIR/<task>/built/MMStar-3f2a…/        rows.jsonl, the images of its rows, and known.json: which file they were made of
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from harness import BadData, HarnessError, Json, MissingData
from harness.http.status import as_list
from harness.keys import short
from harness.settings import nearest

from .known import KNOWN
from .made import ROWS, Made
from .process import Refused, asked_now, package

BUILT: Final = "built"


def rows_file(task: str, root: Path, dataset: str, *, fetch: bool, any_revision: bool) -> Path:
    """The file of a data set's rows, made where it is not there. Blocking.

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
    file = _file(root, dataset)
    if not file.is_file():
        _provide(root, dataset, fetch=fetch)
    place = _place(root, dataset)
    made = Made.read(place)
    if made is None:
        made = Made.of(_build(root, dataset, place))
        made.write(place)
    if made.foreign and not any_revision:
        raise BadData(
            f"{dataset}.tsv is another file than VLMEvalKit knows: md5 {made.md5}, not {made.expected}",
            where=str(file),
            remedy=f"fetch it again, or take it as it is with -T {task}.any_revision=true",
        )
    return place / ROWS


def revision(root: Path, datasets: Sequence[str]) -> str:
    """Which files the rows of data sets were made of, for the results; empty where none was made. Blocking."""
    found = {dataset: Made.read(_place(root, dataset)) for dataset in datasets if _file(root, dataset).is_file()}
    said = {dataset: made.told for dataset, made in found.items() if made is not None}
    alone = len(datasets) == 1
    return "; ".join(text if alone else f"{dataset}: {text}" for dataset, text in said.items())


def _file(root: Path, dataset: str) -> Path:
    return root / f"{dataset}.tsv"


def _place(root: Path, dataset: str) -> Path:
    """The folder of the rows of the file that is there now."""
    return root / BUILT / f"{dataset}-{_stamp(_file(root, dataset))}"


def _provide(root: Path, dataset: str, *, fetch: bool) -> None:
    """Let VLMEvalKit fetch what is missing, where that is allowed."""
    if not fetch:
        raise MissingData(f"{dataset}.tsv is not there", where=str(root))
    root.mkdir(parents=True, exist_ok=True)
    _ask(root, "fetch", dataset)


def _build(root: Path, dataset: str, place: Path) -> Mapping[str, Json]:
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HarnessError(f"no rows can be written: {error.strerror}", where=str(place)) from error
    return _ask(root, "build", dataset, folder=str(place.absolute()))


def _ask(root: Path, op: str, dataset: str, **fields: Json) -> Mapping[str, Json]:
    try:
        return asked_now(root, op, name=dataset, **fields)
    except Refused as refused:
        kind = refused.facts.get("type")
        said = str(refused).strip() or refused.facts.get("place", "")
        why = f"{kind}: {said}" if kind else said
        raise HarnessError(f"VLMEvalKit cannot {op} {dataset}: {why}", where=str(root)) from refused


def _stamp(file: Path) -> str:
    stamp = file.stat()
    return short([stamp.st_size, stamp.st_mtime_ns, package()])


def how_to_get(root: Path, dataset: str) -> str:
    """How to get a file of the open set; its name is checked where VLMEvalKit is at hand."""
    known = next((each for each in KNOWN for part in each.parts.values() if part.dataset == dataset), None)
    if known is not None:
        return f"put {known.url} into {root}; licence: {known.licence}; --tasks {known.name} is the same set"
    try:
        names = [str(name) for name in as_list(asked_now(root, "datasets").get("names"))]
    except (HarnessError, Refused, OSError):
        names = [dataset]
    if dataset not in names:
        near = nearest(dataset, names)
        return f"put it into {root}; VLMEvalKit knows no data set of this name: {near}"
    return f"put it into {root}, or let VLMEvalKit fetch it with -T vlmeval.fetch=true"
