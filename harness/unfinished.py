"""The mark of a training that has not ended: what lies in a folder with it, however deep, is no model yet.

A checkpoint has all files of a model and no word of what it learnt from, so that its results would pass for those of a
model that was never trained on the data. Whoever opens a folder as a model asks here first.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from harness.errors import HarnessError

MARK: Final = "unfinished-training"  #: a file in the folder of a training, and in each of its checkpoints
_SAID: Final = "A training works here and has not ended: nothing in this folder is a model. It goes on from here.\n"


def mark(folder: Path) -> None:
    """Say that nothing in a folder is a model yet; the folder is made where there is none."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).write_text(_SAID, encoding="utf-8")


def refuse_unfinished(folder: Path) -> None:
    """Raises HarnessError for a folder that a training which has not ended works in, or that was copied out of one."""
    real = folder.resolve()
    if any((place / MARK).is_file() for place in (real, *real.parents)):
        raise HarnessError(
            "this is part of a training that has not ended, and no model yet",
            where=str(folder),
            remedy="give the same `harness train` command again: it goes on, and its --out is the model",
        )
