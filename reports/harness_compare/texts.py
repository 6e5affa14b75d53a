"""What was asked and answered, of the flips that are listed: only where it was asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness import Comparison
from harness.runs.answers import Answer, answers
from harness.store.folder import RunFolder
from harness.types import Json

Texts = Mapping[tuple[str, str], Answer]  #: (letter of the run, item) -> what was asked and answered


def texts(found: Comparison, most: int | None) -> Texts:
    """Of the first `most` flips of each way, or of all."""
    wanted = set(_items(found, most))
    return {
        (side.letter, answer.item): answer
        for side in found.runs
        if any(letter == side.letter for letter, _ in wanted)
        for answer in _answers(Path(side.folder))
        if (side.letter, answer.item) in wanted
    }


def _items(found: Comparison, most: int | None) -> Iterator[tuple[str, str]]:
    for each in found.splits:
        for way in (each.flips.only_baseline, each.flips.only_other):
            for flip in way[:most]:
                yield found.baseline.letter, flip.item
                yield each.run, flip.other


def _answers(path: Path) -> Iterator[Answer]:
    folder = RunFolder(path)
    run = folder.run
    for display, task in run.tasks.items() if run else ():
        for name in task.splits:
            yield from answers(folder, display, name)


def with_texts(made: dict[str, Json], found: Texts) -> dict[str, Json]:
    """The JSON of a comparison with `question` and `answers` beside each item that is listed."""
    if found:
        baseline = str(made["baseline"])
        for split in made["splits"]:
            for way in split["flips"].values():
                for item in way["items"]:
                    item |= _told(found, baseline, str(split["run"]), item)
    return made


def _told(found: Texts, baseline: str, run: str, item: Mapping[str, Any]) -> dict[str, Json]:
    ours, theirs = found[baseline, item["item"]], found[run, item["item_in_run"]]
    return {"question": ours.question, "answers": {"baseline": ours.text, "run": theirs.text}}
