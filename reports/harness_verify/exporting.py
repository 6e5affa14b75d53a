"""`harness export`: a run as an archive that can be checked by whoever has it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from harness.board.results import FILE, read
from harness.errors import HarnessError
from harness.runs.environment import harness_version
from harness.runs.verifying import Verified, verify
from harness.store.folder import RunFolder, file_name
from harness.terminal import one_line

from .archive import README, pack, write_manifest
from .names import ref
from .staging import stage

_HEAD: Final = """\
{model}: an evaluation run, exported by vlm-safety-harness {version}
"""
_REDACTED: Final = """\
REDACTED. This archive holds numbers, labels and names. Each text of a sample (question, answer, reasoning, what a judge
said, target, path of an image) is replaced by its length and sha256, so that whoever has the text can check it.
"""
_FULL: Final = """\
FULL: MAY BE HARMFUL. This archive holds what was asked and answered as it was, harmful texts among it, and paths of the
machine it ran on. Only keys were taken out. Do not put it where it can be indexed or used to train models, and mind the
licences of the data sets, which are named in run.json.
"""
_REST: Final = """\
Images are never part of it: each is named by its sha256, and comes with its data set.

  results.json                 the numbers
  run.json                     who was asked, how, and with what
  TASK/asked.jsonl             the items that were asked
  TASK/responses.jsonl         how each ended
  TASK/verdicts-JUDGE.jsonl    what each judge said
  MANIFEST.json                sha256 of each file

To make the numbers anew from the lines, and compare them:

  pip install 'vlm-safety-harness=={version}'
  harness verify FOLDER
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """An archive that was written.

    Attributes:
        output: where it is.
        files: how many it holds.
        checked: what verifying its files gave.
    """

    output: Path
    files: int
    checked: Verified


def export(folder: Path, output: Path, *, full: bool) -> Exported:
    """Write the archive of a run, once its own files have been verified.

    Raises:
        HarnessError: there is no run with results, or a file of it cannot be read or written.
    """
    run = RunFolder(folder)
    file = run.run
    if file is None or not (folder / FILE).is_file():
        what = "there is no run here" if file is None else "the run has written no results yet"
        raise HarnessError(what, where=str(folder), remedy="give the folder of a run that has ended")
    read(folder / FILE)  # refuses what is no results file
    with TemporaryDirectory() as scratch:
        place = Path(scratch)
        stage(run, place, full=full)
        checked = verify(place)
        (place / README).write_text(_readme(file.model.ref, full=full), encoding="utf-8")
        about = {"harness": harness_version(), "redacted": not full, "verified": checked.state}
        made = write_manifest(place, about)
        pack(place, file_name(folder.resolve().name), output)
    return Exported(output=output, files=len(made["files"]) + 1, checked=checked)


def _readme(model: str, *, full: bool) -> str:
    parts = (_HEAD, _FULL if full else _REDACTED, _REST)
    return "\n".join(parts).format(model=one_line(model) if full else ref(model), version=harness_version())
