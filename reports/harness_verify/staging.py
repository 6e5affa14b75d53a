"""A run's files as they go into an archive: redacted, or as they are but for secrets. Nothing else is taken along."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.store.folder import RunFolder, TaskFolder
from harness.store.journal import encoded, lines
from harness.store.records import TAKEN_OUT, stored_hash
from harness.types import Json

from .files import Files
from .lines import Lines
from .secrets import clean, cleaned

Line = Mapping[str, Any]
Change = Callable[[Line], Mapping[str, Json]]


def stage(run: RunFolder, into: Path, *, full: bool) -> None:
    """Write a run's files into an empty folder.

    Args:
        run: with its run.json and results.json.
        into: made where it is missing.
        full: texts stay.

    Raises:
        HarnessError: a file of it cannot be read.
    """
    into.mkdir(parents=True, exist_ok=True)
    file, results = run.run, run.results
    assert file is not None
    raw = file.as_json()
    files = Files.of(raw)
    _write(into / "run.json", cleaned(raw) if full else files.run(raw))
    _write(into / "results.json", cleaned(results) if full else files.results(results))
    for display in file.tasks:
        task = run.task(display)
        redacted = Lines.of(results["tasks"].get(display, {}))
        for source, target, change in _journals(task, files, redacted):
            name, changed = (source.name, _full) if full else (target, change)
            _copy(source, into / task.path.name / name, changed)
    log = run.path / "log.txt"
    if full and log.is_file():
        (into / "log.txt").write_text(clean(log.read_text(encoding="utf-8", errors="replace")), encoding="utf-8")


def _journals(task: TaskFolder, files: Files, redacted: Lines) -> Iterator[tuple[Path, str, Change]]:
    """Each file of a task: where it lies, what it is called in the archive, and how its lines are redacted."""
    yield task.path / "asked.jsonl", "asked.jsonl", redacted.asked
    yield task.path / "responses.jsonl", "responses.jsonl", redacted.response
    for judge in task.judges():
        name = f"verdicts-{files.ids.get(judge, judge)}.jsonl"
        yield task.path / f"verdicts-{judge}.jsonl", name, redacted.verdict


def _copy(source: Path, target: Path, change: Change) -> None:
    """Each whole line, changed."""
    target.parent.mkdir(exist_ok=True)
    with target.open("wb") as file:
        for number, line in enumerate(_read(source), 1):
            try:
                file.write(encoded(change(line), target))
            except (KeyError, TypeError, AttributeError) as error:
                told = f"{source}, line {number}: {type(error).__name__}: {error}"
                raise HarnessError("a line is none of a run, so it cannot be exported", where=told) from error


def _read(source: Path) -> Iterator[Line]:
    try:
        yield from lines(source)
    except ValueError as error:
        raise HarnessError(f"a line is not JSON: {error}", where=str(source)) from None


def _full(line: Line) -> Mapping[str, Json]:
    """A line as it is; an answer that held a secret keeps the hash that its verdicts are found by."""
    new: dict[str, Json] = cleaned(line)
    held = "outcome" in line and new["text"] != line["text"]
    return {**new, TAKEN_OUT: stored_hash(line)} if held else new


def _write(path: Path, value: Json) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8", errors="backslashreplace")
