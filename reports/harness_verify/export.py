"""`harness export`: a run as one zip for a paper's supplement, which any reader can verify.

The files are staged in a separate folder, verified there, listed in a manifest and packed: only staged files get into
the archive, and the same run gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from harness.board.results import FILE, read_results
from harness.errors import HarnessError
from harness.files import atomic_write, open_atomic, report_write_errors
from harness.runs.environment import harness_version
from harness.runs.redaction import FileRedactor, LineRedactor, redact_ref, remove_keys
from harness.runs.verification import VerifiedRun, verify_run
from harness.stats.draw import FILE as DRAW
from harness.stats.draw import draws_as_json
from harness.store.folder import RunFolder, file_name
from harness.store.journal import encode_line, load_lines
from harness.store.records import TAKEN_OUT, line_hash
from harness.text import one_line
from harness.types import Json

MANIFEST: Final = "MANIFEST.json"
_TIME: Final = (1980, 1, 1, 0, 0, 0)  #: the first that a zip can hold
_CHUNK: Final = 1 << 20
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
  TASK/verdicts-JUDGE.jsonl    what each judge said, people among them
  TASK/verdicts-JUDGE~2.jsonl  what it said the second time, where it was asked several times
  TASK/draw.json               which answers were drawn for people
  MANIFEST.json                sha256 of each file

To make the numbers anew from the lines, and compare them:

  pip install 'vlm-safety-harness=={version}'
  harness verify FOLDER
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A written archive: its path, its number of files, and the result of verifying them."""

    output: Path
    files: int
    checked: VerifiedRun


def export(folder: Path, output: Path, *, full: bool) -> Exported:
    """Verify a run's files, then write its archive.

    Args:
        folder: the run folder.
        output: the zip.
        full: keep the texts of samples.

    Raises:
        HarnessError: no run with results exists, or a file cannot be read or written.
    """
    run = RunFolder(folder)
    file = run.run
    if file is None or not (folder / FILE).is_file():
        what = "there is no run here" if file is None else "the run has written no results yet"
        raise HarnessError(what, where=str(folder), remedy="give the folder of a run that has ended")
    read_results(folder / FILE)  # raises for other files
    with TemporaryDirectory() as scratch:
        place = Path(scratch)
        _stage(run, place, full=full)
        checked = verify_run(place)
        model = one_line(file.model.ref) if full else redact_ref(file.model.ref)
        readme = "\n".join((_HEAD, _FULL if full else _REDACTED, _REST))
        (place / "README.txt").write_text(readme.format(model=model, version=harness_version()), encoding="utf-8")
        files = [path for path in sorted(place.rglob("*")) if path.is_file()]
        manifest = {
            "schema": "harness.export/1",
            "harness": harness_version(),
            "redacted": not full,
            "verified": checked.state,
            "files": {
                name: {"sha256": _hash(place / name), "bytes": (place / name).stat().st_size}
                for name in sorted(str(path.relative_to(place)) for path in files)
            },
        }
        _write_json(place / MANIFEST, manifest)
        _pack(place, file_name(folder.resolve().name), output)
    return Exported(output=output, files=len(files) + 1, checked=checked)


def list_changed_files(folder: Path) -> list[str]:
    """Files of an unpacked archive that are missing or differ from its manifest; empty without a manifest."""
    root = folder.resolve()

    def is_same(name: str, about: Mapping[str, Json]) -> bool:
        path = folder / name
        return path.resolve().is_relative_to(root) and path.is_file() and _hash(path) == about["sha256"]

    try:
        listed: Mapping[str, Mapping[str, Json]] = json.loads((folder / MANIFEST).read_bytes())["files"]
        return sorted(name for name, about in listed.items() if not is_same(name, about))
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return [MANIFEST]


def _stage(run: RunFolder, into: Path, *, full: bool) -> None:
    """Write a run's files into an empty folder: redacted, or in full without keys."""
    file, results = run.run, run.results
    assert file is not None
    raw = file.as_json()
    files = FileRedactor.of(raw)
    _write_json(into / "run.json", remove_keys(raw) if full else files.redact_run(raw))
    _write_json(into / "results.json", remove_keys(results) if full else files.redact_results(results))
    for display in file.tasks:
        task = run.task(display)
        redactor = LineRedactor.of(results["tasks"].get(display, {}))
        journals = [
            ("asked.jsonl", "asked.jsonl", redactor.redact_asked),
            ("responses.jsonl", "responses.jsonl", redactor.redact_response),
        ]
        for judge in task.judges():
            for repeat in (judge, *task.repeats(judge)):
                renamed = f"verdicts-{files.ids.get(judge, judge)}{repeat.removeprefix(judge)}.jsonl"
                journals.append((f"verdicts-{repeat}.jsonl", renamed, redactor.redact_verdict))
        (into / task.path.name).mkdir(exist_ok=True)
        if draws := task.load_draws():  # names and numbers alone
            if not full:
                draws = {name: replace(draw, judge=files.ids.get(draw.judge, "")) for name, draw in draws.items()}
            _write_json(into / task.path.name / DRAW, draws_as_json(draws))
        for source in sorted(task.path.glob("labels-*.jsonl")) if full else ():  # their labels are verdicts as well
            with (into / task.path.name / source.name).open("wb") as written:
                written.writelines(encode_line(remove_keys(line), source) for line in _read_lines(source))
        for name, renamed, redact in journals:
            source, target = task.path / name, into / task.path.name / (name if full else renamed)
            with target.open("wb") as written:
                for number, line in enumerate(_read_lines(source), 1):
                    try:
                        body = remove_keys(line) if full else redact(line)
                        # an answer with a removed key keeps its hash, which links its verdicts
                        if full and "outcome" in line and body["text"] != line["text"]:
                            body = {**body, TAKEN_OUT: line_hash(line)}
                        written.write(encode_line(body, target))
                    except (KeyError, TypeError, AttributeError) as error:
                        where = f"{source}, line {number}: {type(error).__name__}: {error}"
                        what = "a line is not one that a run writes, so it cannot be exported"
                        raise HarnessError(what, where=where) from error
    log = run.path / "log.txt"
    if full and log.is_file():
        text = remove_keys(log.read_text(encoding="utf-8", errors="replace"))
        (into / "log.txt").write_text(text, encoding="utf-8")


def _read_lines(source: Path) -> Iterator[Mapping[str, Any]]:
    try:
        yield from load_lines(source)
    except ValueError as error:
        raise HarnessError(f"a line is not JSON: {error}", where=str(source)) from None


def _pack(folder: Path, name: str, output: Path) -> None:
    """Write all files of a folder into a zip, under `name`, without file times and permissions."""
    with (
        report_write_errors(output, what="cannot write the archive", remedy="give another --output"),
        open_atomic(output, sync=False) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive,
    ):
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            info = zipfile.ZipInfo(f"{name}/{path.relative_to(folder)}", _TIME)
            info.compress_type, info.external_attr, info.create_system = zipfile.ZIP_DEFLATED, 0o100644 << 16, 3
            info.file_size = path.stat().st_size  # so that a file over 2 GiB is written in one piece
            with path.open("rb") as source, archive.open(info, "w") as member:
                while chunk := source.read(_CHUNK):
                    member.write(chunk)


def _write_json(path: Path, value: Json) -> None:
    atomic_write(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n", sync=False)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
