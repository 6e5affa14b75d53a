"""Runs as `.eval` files: one for each split that was asked, the same bytes for the same run.

A split that is pooled from others has no samples of its own and no log: its parts have theirs.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from inspect_ai.log import EvalLog, write_eval_log
from inspect_ai.model import ModelUsage

from harness.board.results import FILE, read
from harness.board.rows import rows, sections
from harness.board.values import Row
from harness.contracts import Results
from harness.runs.items import Items, open_items
from harness.store.folder import file_name
from harness.terminal import one_line

from .header import results, spec, stats, times
from .samples import sample
from .shown import Shown

_LONGEST = 80  #: characters of a title in a file's name


def logs(folders: Sequence[Path], *, reveal: bool) -> Mapping[str, bytes]:
    """File name -> log. Raises HarnessError for a folder that is no run, or has no results."""
    files: dict[str, bytes] = {}
    for folder in folders:
        run, whole = open_items(folder), read(folder / FILE)
        for title in run.titles:
            found = _rows(whole, title)
            if found:
                log = _log(run, title, found, Shown(reveal=reveal))
                files[_free(_named(run, title, log), files)] = _written(log)
    return files


def _rows(whole: Results, title: str) -> list[Row]:
    return [row for each in sections(whole) if f"{each.task}:{each.split}" == title for row in rows(each)]


def _log(run: Items, title: str, found: Sequence[Row], shown: Shown) -> EvalLog:
    model, by = one_line(run.file.model.ref), tuple(found[0].by)
    made = [sample(item, model=model, by=by, shown=shown) for item in run.items(title)]
    ids = list(dict.fromkeys(str(each.id) for each in made))
    spent = sum((each.output.usage or ModelUsage() for each in made), ModelUsage())
    return EvalLog(
        status="success",
        eval=spec(run, title, found[0], ids, reveal=shown.reveal),
        results=results(found),
        stats=stats(run, title, spent),
        samples=made,
    )


def _named(run: Items, title: str, log: EvalLog) -> str:
    """`<time>_<task>_<id>`, which inspect reads in its lists without opening the file."""
    parts = (times(run, title).started, file_name(title)[:_LONGEST], log.eval.task_id)
    return "_".join(re.sub(r"[_/:+]", "-", part) for part in parts)


def _free(name: str, taken: Mapping[str, bytes]) -> str:
    """The file's name; a copy of a run gets a number."""
    names: Iterator[str] = (f"{name}-{number}.eval" if number > 1 else f"{name}.eval" for number in range(1, 10**6))
    return next(each for each in names if each not in taken)


def _written(log: EvalLog) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.eval"
        write_eval_log(log, str(path))
        return _timeless(path)


def _timeless(path: Path) -> bytes:
    """The archive without the time it was written at, and in the compression that every program knows."""
    out = BytesIO()
    with ZipFile(path) as old, ZipFile(out, "w", ZIP_DEFLATED) as new:
        for entry in old.infolist():
            new.writestr(ZipInfo(entry.filename), old.read(entry), ZIP_DEFLATED)
    return out.getvalue()
