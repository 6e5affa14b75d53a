"""The run folder: what was asked, what came back, and who said what of it. See design §6.

    run.json                         who was asked, how, with which plugins; the history of invocations
    <task>/asked.jsonl               the items the latest invocation asked for, each with its key
    <task>/responses.jsonl           one line for each answer or failure
    <task>/verdicts-<judge id>.jsonl one line for each verdict of one judge
    results.json, log.txt

`item` (task, split, id, epoch) says who a record is; `key` says what was asked. An item's current line is the last one
whose key stands beside it in asked.jsonl; a verdict is current when it was given on the text that is current.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from filelock import FileLock, Timeout

from harness.errors import HarnessError, IdentityMismatch
from harness.store.journal import Journal, encoded, lines, replace
from harness.store.run_file import RunFile
from harness.types import OUTCOMES, UNSCORED, Json

STATES: tuple[str, ...] = ("scored", *UNSCORED)
LOCK_SECONDS = 30.0
_WRITERS = ".writers.lock"  #: shared by all who write, and had alone by who puts the folder aside
_RESTORE = "restore the file, or run with --fresh"


def file_name(text: str) -> str:
    """A text as a file name of `[A-Za-z0-9._+=-]`; never empty and never hidden."""
    return re.sub(r"[^A-Za-z0-9._+=-]+", "-", text).strip("-.") or "x"


class RunFolder:
    """One model with its overrides: a folder that is made, resumed and added to."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def run(self) -> RunFile | None:
        """run.json; None when the folder is new. Raises HarnessError for a file that is no run's."""
        return self._run_file(_load(self.path / "run.json"))

    def rewrite_run(self, change: Callable[[RunFile | None], RunFile]) -> None:
        """Put what `change` makes of run.json in its place."""
        with self.changing("run.json") as raw:
            new = change(self._run_file(raw)).as_json()
            raw.clear()
            raw.update(new)

    @property
    def results(self) -> dict[str, Any]:
        """results.json; empty when no run has ended here."""
        return _load(self.path / "results.json")

    def task(self, display: str) -> TaskFolder:
        """The folder of one task by its displayed name."""
        return TaskFolder(self.path / file_name(display), display)

    @contextmanager
    def changing(self, name: str) -> Generator[dict[str, Any]]:
        """Read a JSON file, let the caller change it, and replace it: under a short lock, in one step."""
        self.path.mkdir(parents=True, exist_ok=True)
        with _held(self.path / f".{name}.lock"):
            value = _load(self.path / name)
            yield value
            replace(self.path / name, json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n")

    def claim(self, identity: Mapping[str, Json], remedy: str) -> None:
        """Make the folder this model's. Raises IdentityMismatch with the fields that differ, HarnessError otherwise."""
        run = self.run
        if run is not None and run.redacted:
            raise HarnessError("this folder is a redacted export", where=str(self.path), remedy=remedy)
        known = None if run is None else run.identity
        if known is None and self.path.exists() and any(self.path.glob("*/responses.jsonl")):
            raise HarnessError("this folder holds responses and no run.json", where=str(self.path), remedy=remedy)
        differing = [] if known is None else list(differences(known, json.loads(json.dumps(identity))))
        if differing:
            raise IdentityMismatch(
                f"this folder was made by another model or with other settings: {'; '.join(differing)}",
                where=str(self.path),
                remedy=remedy,
            )

    @contextmanager
    def hold_for_writing(self) -> Generator[None]:
        """Say, while the body lasts, that this process writes here: nobody may put the folder aside meanwhile."""
        place = self.path / _WRITERS
        while True:
            self.path.mkdir(parents=True, exist_ok=True)
            with place.open("ab") as file:
                fcntl.flock(file, fcntl.LOCK_SH)
                if not place.exists() or os.fstat(file.fileno()).st_ino != place.stat().st_ino:
                    continue  # it was put aside a moment ago
                yield
                return

    @contextmanager
    def hold_alone(self) -> Generator[None]:
        """Keep others from beginning to write here while the body lasts. Raises HarnessError where one does already."""
        if not (self.path / "run.json").exists():
            yield
            return
        with (self.path / _WRITERS).open("ab") as file, ExitStack() as stack:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for lock in self.path.glob("*/.*.jsonl.lock"):
                    stack.enter_context(FileLock(lock, timeout=0))
            except (BlockingIOError, Timeout):
                raise HarnessError(
                    "another process is writing to this run",
                    where=str(self.path),
                    remedy="wait for it, or give --output",
                ) from None
            yield

    def put_aside(self) -> Path | None:
        """Rename the folder: hidden beside its place, under a name with the time; None where no run is here.

        Raises HarnessError where another process writes to it.
        """
        if not (self.path / "run.json").exists():
            return None
        with self.hold_alone():
            return self.path.rename(self.path.with_name(f".{self.path.name}.{datetime.now(UTC):%Y%m%dT%H%M%S%f}"))

    def _run_file(self, raw: Mapping[str, Any]) -> RunFile | None:
        try:
            return RunFile.from_json(raw) if raw else None
        except ValueError as error:
            raise HarnessError(
                f"not a run's file: {error}", where=str(self.path / "run.json"), remedy=_RESTORE
            ) from None

    @property
    def log_file(self) -> Path:
        """Where `log` writes."""
        return self.path / "log.txt"

    def log(self, text: str) -> None:
        """Add a line to log.txt: what a person needs afterwards."""
        self.path.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text.rstrip() + "\n")


def differences(known: Json, now: Json, path: str = "") -> Iterator[str]:
    """Each field in which two identities differ, as text."""
    if isinstance(known, dict) and isinstance(now, dict):
        old, new = cast("dict[str, Json]", known), cast("dict[str, Json]", now)
        for name in sorted({*old, *new}):
            yield from differences(old.get(name), new.get(name), f"{path}.{name}" if path else name)
    elif known != now:
        yield f"{path} was {_brief(known)} and is {_brief(now)}"


class TaskFolder:
    """The files of one task in a run folder."""

    def __init__(self, path: Path, display: str) -> None:
        self.path = path
        self.display = display

    def responses(self, *, write: bool, load: bool = True) -> Journal:
        """The journal of answers and failures, found by (split, id, epoch, key)."""
        return Journal(self.path / "responses.jsonl", OUTCOMES, write=write, load=load)

    def verdicts(self, judge: str, *, write: bool, load: bool = True) -> Journal:
        """The journal of one judge, found by (split, id, epoch, key, hash of the judged answer)."""
        return Journal(self.path / f"verdicts-{file_name(judge)}.jsonl", STATES, write=write, load=load)

    def judges(self) -> tuple[str, ...]:
        """Ids of all judges that have a file here."""
        return tuple(sorted(path.stem.removeprefix("verdicts-") for path in self.path.glob("verdicts-*.jsonl")))

    def asked(self, split: str) -> Iterator[dict[str, Any]]:
        """What the latest invocation asked of one split: id, split, epoch, key, and what a record is grouped by."""
        return (line for line in lines(self.path / "asked.jsonl") if line["split"] == split)

    def listing(self, split: str, *, keep: bool) -> Listing:
        """A new listing of one split, which takes the place of the old one when it is complete.

        Args:
            split: its name.
            keep: items of the old listing that are not listed anew stay (a lower `--limit` never shrinks a run).
        """
        return Listing(self.path / "asked.jsonl", split, keep=keep)


class Listing:
    """Collects what is asked of a split, on disk, and replaces asked.jsonl in one step."""

    def __init__(self, path: Path, split: str, *, keep: bool) -> None:
        self._path = path
        self._split = split
        self._keep = keep
        self._seen: set[tuple[str, int]] = set()
        self._content = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._scratch = path.with_name(f".asked-{file_name(split)}.jsonl")
        self._file = self._scratch.open("wb")

    def add(self, line: Mapping[str, Json], content: str) -> None:
        """List one item; `content` is the digest of what the data says, empty where that was said before."""
        self._content = (self._content + int(content.rpartition(":")[2] or "0", 16)) % 2**256
        if self._keep:
            self._seen.add((line["id"], line["epoch"]))
        self._file.write(encoded(line, self._path))

    @property
    def content(self) -> str:
        """Hash of all that was listed, in whatever order: hex sum of the items' digests."""
        return f"{self._content:064x}"

    def kept(self) -> Iterator[Mapping[str, Json]]:
        """The items of the old listing of this split that stay, as far as they are not listed anew."""
        return (line for line in self._kept() if line["split"] == self._split)

    def finish(self) -> None:
        """Put the new listing in the old one's place."""
        for line in self._kept():
            self._file.write(encoded(line, self._path))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._scratch.replace(self._path)

    def abandon(self) -> None:
        """Leave the old listing as it was; nothing after `finish`."""
        self._file.close()
        self._scratch.unlink(missing_ok=True)

    def _kept(self) -> Iterable[Mapping[str, Json]]:
        for line in lines(self._path):
            other = line["split"] != self._split
            if other or (self._keep and (line["id"], line["epoch"]) not in self._seen):
                yield line


@contextmanager
def _held(path: Path) -> Generator[None]:
    """A short lock on a file that is replaced."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=LOCK_SECONDS)
    except Timeout:
        raise HarnessError("another process holds a lock of this run", where=str(path)) from None
    try:
        yield
    finally:
        lock.release()


def _load(path: Path) -> dict[str, Any]:
    try:
        loaded: object = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        raise HarnessError(f"not JSON: {error}", where=str(path), remedy=_RESTORE) from None
    if not isinstance(loaded, dict):
        raise HarnessError("not a JSON object", where=str(path), remedy=_RESTORE)
    return cast("dict[str, Any]", loaded)


def _brief(value: Json) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
