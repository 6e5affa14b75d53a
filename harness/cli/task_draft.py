"""`harness tasks new`: writes a task file from a data file, and reads the data by it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from harness.data.downloads import open_progress
from harness.data.places import data_folder, find_own_splits, find_root, read_samples
from harness.errors import HarnessError, MissingData
from harness.task_files import load_task
from harness.task_files.hub_draft import HUB, draft_from_hub
from harness.task_files.loading import check_name
from harness.task_files.table_draft import draft_task
from harness.text import one_line

from .stdout import show, table, tell

_SHOWN: Final = 80  # characters of a guess in the table; the file has all


def write_draft(file: Path, source: str) -> int:
    """Write a task file, say what was guessed, and list its splits: 0, or 3 if the data cannot be read by it.

    Raises HarnessError if the file already exists, or nothing can be guessed.
    """
    if file.suffix not in (".yaml", ".yml"):
        raise HarnessError(f"{file} does not end with .yaml", remedy=f"write {file.with_suffix('.yaml')}")
    check_name(file)
    if file.exists():
        raise HarnessError("the file already exists", where=str(file), remedy="name another one, or delete it")
    if source.startswith(HUB):
        progress = open_progress(sys.stderr)
        draft = draft_from_hub(file.stem, source.removeprefix(HUB), data_folder() / file.stem, progress, tell)
    else:
        draft = draft_task(file, Path(source))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(draft.text, encoding="utf-8")
    show(f"wrote {file}")
    rows = [[guess.key, one_line(str(guess.value).replace("\n", "\\n"), _SHOWN), guess.why] for guess in draft.guesses]
    show(table(["KEY", "GUESSED", "BECAUSE"], rows))
    for note in draft.notes:
        tell(f"note: {note}")
    try:
        task = load_task(file)
        for name in find_own_splits(task, {}, find_root(task)):
            images: list[int] = []
            images += (len(sample.request.images) for sample in read_samples(task, find_root(task), name, {}))
            shown = f"{min(images)} to {max(images)}" if len(set(images)) > 1 else str(next(iter(images), 0))
            show(f"{task.name}:{name} holds {len(images)} samples; images of each: {shown}")
    except MissingData as error:
        tell(f"note: its data is not here yet: {error.remedy or error.what}")
    except HarnessError as error:
        tell(f"the data cannot be read by it yet: {error}")
        return 3
    tell(f"try it: harness run --tasks {file} --model mini/base")
    return 0
