"""The folder beside the output in which a training works: checkpoints, losses, and the model until it is whole.

`OUT.partial/` is never taken for a model: a mark in it and in each checkpoint says so (`harness.unfinished`), and the
model lies one folder deeper until the training has ended well and it is moved to OUT in one rename. A checkpoint counts
only once another mark was written into it after all its files, so one that a kill or a full disk cut short is thrown
away.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from harness import HarnessError
from harness.errors import IdentityMismatch
from harness.unfinished import mark

WHOLE: Final = "whole"  #: the mark in a checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Scratch:
    """The working folder of one training.

    Attributes:
        folder: `OUT.partial`.
    """

    folder: Path

    @staticmethod
    def beside(out: Path) -> Scratch:
        """That of the training whose model becomes `out`."""
        return Scratch(folder=out.with_name(out.name + ".partial"))

    @property
    def checkpoints(self) -> Path:
        """One folder for each."""
        return self.folder / "checkpoints"

    @property
    def model(self) -> Path:
        """What becomes the output: nothing else lies in it."""
        return self.folder / "model"

    @property
    def history(self) -> Path:
        """The losses, a line a step."""
        return self.folder / "history.jsonl"

    @property
    def identity(self) -> Path:
        """What the training is known by whose checkpoints lie here."""
        return self.folder / "identity.json"

    @property
    def logs(self) -> Path:
        """What TensorBoard reads."""
        return self.folder / "tensorboard"

    def begin(self, identity: Mapping[str, Any], *, resume: bool) -> None:
        """Make the folder ready: empty, or with the whole checkpoints of the same training.

        Raises:
            IdentityMismatch: it holds checkpoints of another training.
            HarnessError: nothing can be written there.
        """
        if not resume:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.check(identity)
        try:
            self._ready(_spelled(identity))
        except OSError as error:
            raise HarnessError(f"a training cannot work there: {error.strerror}", where=str(self.folder)) from None

    def _ready(self, identity: str) -> None:
        mark(self.folder)
        shutil.rmtree(self.model, ignore_errors=True)
        for left in self.checkpoints.glob("checkpoint-*"):
            if not (left / WHOLE).is_file():
                shutil.rmtree(left)
        self.checkpoints.mkdir(exist_ok=True)
        self.identity.write_text(identity, encoding="utf-8")

    def check(self, identity: Mapping[str, Any]) -> None:
        """Whether a training may go on in this folder. Raises IdentityMismatch where it is another one's."""
        if not self.identity.is_file():
            return
        if differ := _differ(self.identity.read_text(encoding="utf-8"), _spelled(identity)):
            raise IdentityMismatch(
                f"this folder holds checkpoints of a training with another {', '.join(differ)}",
                where=str(self.folder),
                remedy="ask for the same training again, train with --fresh, or name another --out",
            )

    def last(self) -> Path | None:
        """The last whole checkpoint; None where there is none."""
        whole = [mark.parent for mark in self.checkpoints.glob(f"checkpoint-*/{WHOLE}")]
        return max(whole, key=step_of, default=None)


def step_of(checkpoint: Path) -> int:
    """The step after which a checkpoint was written."""
    return int(checkpoint.name.rpartition("-")[2])


def no_room(error: Exception, scratch: Scratch, what: str) -> HarnessError:
    """What is said when something cannot be written."""
    last = scratch.last()
    kept = f"the last whole checkpoint is that of step {step_of(last)}" if last else "there is no whole checkpoint yet"
    line = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    return HarnessError(
        f"{what} cannot be written: {line}; {kept}",
        where=str(scratch.folder),
        remedy="free some space and give the same command again: it goes on from there",
    )


def _spelled(identity: Mapping[str, Any]) -> str:
    return json.dumps(dict(identity), indent=1, sort_keys=True, default=str)


def _differ(before: str, now: str) -> list[str]:
    """Names of the fields that differ; all of them where the file is no JSON."""
    wanted = cast("dict[str, Any]", json.loads(now))
    try:
        found = cast("dict[str, Any]", json.loads(before))
    except ValueError:
        return sorted(wanted)
    return sorted(key for key in found.keys() | wanted.keys() if found.get(key) != wanted.get(key))
