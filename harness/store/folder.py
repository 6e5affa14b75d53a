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

import errno
import fcntl
import json
import os
import re
import tempfile
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, cast

from filelock import FileLock, Timeout

from harness import descriptors
from harness.errors import HarnessError, IdentityMismatch
from harness.store.journal import Index, Journal, lines, replace
from harness.store.listing import SCRATCH, Asked, Listing, Listings, SingleListing
from harness.store.run_file import RunFile
from harness.types import OUTCOMES, UNSCORED, Json

STATES: tuple[str, ...] = ("scored", *UNSCORED)
LOCK_SECONDS = 30.0
_FAILED = frozenset({"error", "bad_sample", "judge_error"})  # of these a model has said nothing
_WRITERS = ".writers.lock"  #: shared by all who write, and had alone by who puts the folder aside
_RESTORE = "restore the file, or run with --fresh"


def file_name(text: str) -> str:
    """A text as a file name of `[A-Za-z0-9._+=-]`; never empty and never hidden."""
    return re.sub(r"[^A-Za-z0-9._+=-]+", "-", text).strip("-.") or "x"


class RunFolder:
    """One model with its overrides: a folder that is made, resumed and added to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._tasks: dict[str, TaskFolder] = {}

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
        if display not in self._tasks:
            self._tasks[display] = TaskFolder(self.path / file_name(display), display)
        return self._tasks[display]

    @contextmanager
    def changing(self, name: str) -> Generator[dict[str, Any]]:
        """Read a JSON file, let the caller change it, and replace it: under a short lock, in one step."""
        self.path.mkdir(parents=True, exist_ok=True)
        with _held(inside(self.path, self.path / f".{name}.lock")):
            value = _load(self.path / name)
            yield value
            replace(self.path / name, json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n")

    def claim(self, identity: Mapping[str, Json], remedy: str, *, whole: bool = True) -> None:
        """Check that the folder is this model's, or nobody's.

        Args:
            identity: of the model, with the overrides.
            remedy: what else the user can do.
            whole: all of it is known; else only what is given is compared.

        Raises:
            IdentityMismatch: with the fields that differ.
            HarnessError: nothing can be added to the folder.
        """
        run = self.run
        if run is not None and run.redacted:
            raise HarnessError("this folder is a redacted export", where=str(self.path), remedy=remedy)
        known = None if run is None else run.identity
        if known is None and self.path.exists() and any(self.path.glob("*/responses.jsonl")):
            raise HarnessError("this folder holds responses and no run.json", where=str(self.path), remedy=remedy)
        if known is not None and not whole:
            known = {name: known.get(name) for name in identity}
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
        place = inside(self.path, self.path / _WRITERS)
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
        inside(self.path, self.path / _WRITERS).open("ab").close()
        with self._locked():
            yield

    def check_alone(self) -> None:
        """Raise HarnessError where another process writes here. Nothing is written, so that a dry run may ask."""
        with self._locked():
            pass

    @contextmanager
    def _locked(self) -> Generator[None]:
        """Have all locks that are here alone, while the body lasts."""
        with ExitStack() as stack:
            for path in (self.path / _WRITERS, *self.path.glob("*/.*.jsonl.lock")):
                with suppress(FileNotFoundError):
                    file = stack.enter_context(inside(self.path, path).open("r+b"))
                    self._lock(file)
            yield

    def _lock(self, file: IO[bytes]) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HarnessError(
                "another process is writing to this run",
                where=str(self.path),
                remedy="wait for it, or give --output",
            ) from None

    def check_writable(self, remedy: str) -> None:
        """Try to write where the folder is or would be made, and leave nothing there: rights alone do not tell.

        Raises HarnessError, with the remedy, where nothing can be written; OSError of a full disk as it is.
        """
        place = next(each for each in (self.path.absolute(), *self.path.absolute().parents) if each.exists())
        try:
            with tempfile.TemporaryFile(dir=place):
                pass
        except OSError as error:
            descriptors.check(error)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            what = f"the run folder cannot be written: {error.strerror}"
            raise HarnessError(what, where=str(self.path), remedy=remedy) from error

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

    def has_answers(self, judge: str = "") -> bool:
        """Whether any answer of the model is kept here, or of the judge of that id; failures are none."""
        name = f"verdicts-{file_name(judge)}.jsonl" if judge else "responses.jsonl"
        kept = (line for path in self.path.glob(f"*/{name}") for line in lines(path))
        return any(line.get("outcome", line.get("state")) not in _FAILED for line in kept)

    @property
    def log_file(self) -> Path:
        """Where `log` writes."""
        return self.path / "log.txt"

    def log(self, text: str) -> None:
        """Add a line to log.txt: what a person needs afterwards."""
        self.path.mkdir(parents=True, exist_ok=True)
        path = inside(self.path, self.log_file)
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text.rstrip() + "\n")


def inside(folder: Path, path: Path) -> Path:
    """The path of a file that is about to be written in a run folder.

    A run folder may have come from somebody else, and a link in it must not lead to a file of the user's.

    Raises:
        HarnessError: it, or a folder on its way, is a link that leads out of the run folder.
    """
    if not path.resolve().is_relative_to(folder.resolve()):
        remedy = "remove the link, or give another --output"
        raise HarnessError("a link that leads out of the run folder is not written to", where=str(path), remedy=remedy)
    return path


def differences(known: Json, now: Json, path: str = "") -> Iterator[str]:
    """Each field in which two identities differ, as text."""
    if isinstance(known, dict) and isinstance(now, dict):
        old, new = cast("dict[str, Json]", known), cast("dict[str, Json]", now)
        for name in sorted({*old, *new}):
            yield from differences(old.get(name), new.get(name), f"{path}.{name}" if path else name)
    elif known != now:
        yield f"{path} was {_brief(known)} and is {_brief(now)}"


class TaskFolder:
    """The files of one task in a run folder.

    What was found of a file is kept: a reader that comes after another one looks only at what was added since.
    """

    def __init__(self, path: Path, display: str) -> None:
        self.path = path
        self.display = display
        self._asked = Asked(path / "asked.jsonl")
        self._indexes: dict[Path, Index] = {}
        self._lock = threading.Lock()
        self._listings: Listings | None = None

    def responses(self, *, write: bool, load: bool = True) -> Journal:
        """The journal of answers and failures, found by (split, id, epoch, key)."""
        return self._journal("responses.jsonl", OUTCOMES, write=write, load=load)

    def verdicts(self, judge: str, *, write: bool, load: bool = True) -> Journal:
        """The journal of one judge, found by (split, id, epoch, key, hash of the judged answer)."""
        return self._journal(f"verdicts-{file_name(judge)}.jsonl", STATES, write=write, load=load)

    def judges(self) -> tuple[str, ...]:
        """Ids of all judges that have a file here."""
        return tuple(sorted(path.stem.removeprefix("verdicts-") for path in self.path.glob("verdicts-*.jsonl")))

    def asked(self, split: str) -> Iterator[dict[str, Any]]:
        """What the latest invocation asked of one split: id, split, epoch, key, and what a record is grouped by."""
        return self._asked.of(split)

    def listing(self, split: str, *, keep: bool) -> Listing:
        """A new listing of one split, which takes the place of the old one when it is complete.

        Args:
            split: its name.
            keep: items of the old listing that are not listed anew stay (a lower `--limit` never shrinks a run).
        """
        inside(self.path.parent, self.path / SCRATCH)
        return (self._listings or SingleListing(self._asked)).of(split, keep=keep)

    @contextmanager
    def listing_together(self) -> Generator[None]:
        """While the body lasts, listings that are complete wait, and at its end take the old ones' place together.

        Where the body raises, the old ones stay as they were.
        """
        inside(self.path.parent, self.path / SCRATCH)
        self._listings = Listings(self._asked)
        try:
            yield
            self._listings.put()
        finally:
            self._listings.drop()
            self._listings = None

    def forget(self) -> None:
        """Let go of what was found of the journals: of a large task it is large."""
        self._indexes.clear()

    def _journal(self, name: str, names: tuple[str, ...], *, write: bool, load: bool) -> Journal:
        path = self.path / name
        if write:
            for each in (name, f".{name}.lock"):
                inside(self.path.parent, self.path / each)
        if write or not load:
            return Journal(path, names, write=write, load=load)
        with self._lock:
            index = self._indexes.get(path)
            if index is None or not index.holds(path):
                index = self._indexes[path] = Index(path)
            return Journal(path, names, write=False, index=index)


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
