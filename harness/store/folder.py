"""The run folder: questions, answers, and each judge's verdicts.

    run.json                         the model, its settings, the plugins, and the history of invocations
    <task>/asked.jsonl               the items that the latest invocation asked, each with its key
    <task>/responses.jsonl           one line for each answer or failure
    <task>/verdicts-<judge id>.jsonl one line for each verdict of one judge
    <task>/draw.json                 the answers that are drawn for people to label
    <task>/verdicts-<judge id>~2.jsonl the same judge's second verdicts, where it judged each answer several times
    results.json, log.txt

An item (task, split, id, epoch) identifies a record; its key identifies the question. `harness.store.reader` decides
which lines are current.

A judge that judges each answer several times (`--judge-repeat`) keeps each repeat in a journal of its own. Repeat 1 is
the judge itself, in the judge's file; repeat N has the id `<judge id>~N`. No judge's id and no file name of one holds a
`~`, so a reader that knows nothing of repeats sees the judge alone, and no repeat is ever taken for a judge.

Nothing is written through a link that leads out of the run folder (`check_inside`), because the folder may come from
somebody else. All writers share the lock of `.writers.lock`; `--fresh` needs it exclusively to move the folder.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from itertools import count, takewhile
from pathlib import Path
from typing import IO, Any, Final, cast

from harness import descriptors
from harness.errors import HarnessError, IdentityMismatch
from harness.files import LOOK_SECONDS, atomic_write, lock_file, lock_path
from harness.stats import draw as drawing
from harness.stats.draw import SplitDraw
from harness.store.journal import Index, Journal, load_lines
from harness.store.listing import SCRATCH, Asked, Listing, Listings
from harness.store.run_file import RunFile
from harness.types import OUTCOMES, UNSCORED, Json

STATES: Final = ("scored", *UNSCORED)
_LOCK_SECONDS = 30.0
_FAILED = frozenset({"error", "bad_sample", "judge_error"})  # states without an answer
_WRITERS = ".writers.lock"
_SESSION = ".label-"  #: begins the name of the lock that a person's label page holds
_REPEAT: Final = "~"  # before the number of a repeat; `file_name` never gives it
_COUNT: Final = re.compile(r"([2-9]|[1-9][0-9]{1,3})\Z", re.ASCII)  # the number of a repeat: 1 is the judge itself
_RESTORE = "restore the file, or run with --fresh"
_REDRAW = "restore the file, or delete it to draw again; labels stay"


def file_name(text: str) -> str:
    """A text as a file name of `[A-Za-z0-9._+=-]`, never empty or hidden."""
    return re.sub(r"[^A-Za-z0-9._+=-]+", "-", text).strip("-.") or "x"


def repeat_id(judge: str, number: int) -> str:
    """The id of one repeat of a judge; repeat 1 is the judge itself."""
    return judge if number == 1 else f"{judge}{_REPEAT}{number}"


def find_repeated_judge(repeat: str) -> str:
    """The judge that a repeat belongs to; a judge's own id stays."""
    return repeat.partition(_REPEAT)[0]


def _verdicts_file(judge: str) -> str:
    """The file of a judge's verdicts, or of one of its repeats."""
    own, mark, number = judge.partition(_REPEAT)
    return f"verdicts-{file_name(own)}{mark}{number}.jsonl"


class RunFolder:
    """The run folder of one model with its overrides; it can be made, resumed and extended."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._tasks: dict[str, TaskFolder] = {}

    @property
    def run(self) -> RunFile | None:
        """run.json; None if the folder is new. Raises HarnessError for a file of another kind."""
        return self._parse_run_file(_load_object(self.path / "run.json"))

    @property
    def results(self) -> dict[str, Any]:
        """results.json; empty if no run has ended here."""
        return _load_object(self.path / "results.json")

    @property
    def log_file(self) -> Path:
        """Where `log` writes."""
        return self.path / "log.txt"

    def task(self, display: str) -> TaskFolder:
        """The folder of one task, by the task's displayed name."""
        if display not in self._tasks:
            self._tasks[display] = TaskFolder(self.path / file_name(display), display)
        return self._tasks[display]

    def load_run(self) -> RunFile:
        """run.json. Raises HarnessError if there is none."""
        run = self.run
        if run is None:
            raise HarnessError("there is no run here", where=str(self.path), remedy="make one: harness run …")
        return run

    def rewrite_run(self, change: Callable[[RunFile | None], RunFile]) -> None:
        """Replace run.json with what `change` returns."""
        with self.rewrite_json("run.json") as raw:
            new = change(self._parse_run_file(raw)).as_json()
            raw.clear()
            raw.update(new)

    @contextmanager
    def rewrite_draws(self, display: str) -> Generator[dict[str, SplitDraw]]:
        """The draws of a task by split, for the caller to change; draw.json is then replaced, if they changed.

        Raises HarnessError for a broken draw.json.
        """
        task = self.task(display)
        with self.hold_for_writing():
            lock = check_inside(self.path, lock_path(task.path / drawing.FILE))
            busy = HarnessError("another process is drawing answers of this run", where=str(lock))
            with lock_file(lock, busy=busy, wait=_LOCK_SECONDS):
                before = task.load_draws()
                draws = dict(before)
                yield draws
                if draws != before:
                    text = json.dumps(drawing.draws_as_json(draws), ensure_ascii=False, indent=1)
                    atomic_write(task.path / drawing.FILE, text + "\n")

    @contextmanager
    def rewrite_json(self, name: str) -> Generator[dict[str, Any]]:
        """Read a JSON file, let the caller change it, and replace it: under a short lock, in one step."""
        self.path.mkdir(parents=True, exist_ok=True)
        lock = check_inside(self.path, lock_path(self.path / name))
        busy = HarnessError("another process holds a lock of this run", where=str(lock))
        with lock_file(lock, busy=busy, wait=_LOCK_SECONDS):
            value = _load_object(self.path / name)
            yield value
            atomic_write(self.path / name, json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n")

    def claim(self, identity: Mapping[str, Json], remedy: str, *, whole: bool = True) -> None:
        """Check that the folder belongs to this model or is new.

        Args:
            identity: the model's identity, with the overrides.
            remedy: what else the user can do.
            whole: whether `identity` is complete; otherwise only the given fields are compared.

        Raises:
            IdentityMismatch: the identities differ; the message lists the fields.
            HarnessError: nothing can be added to the folder.
        """
        run = self.run
        if run is not None and run.redacted:
            raise HarnessError("this folder is a redacted export", where=str(self.path), remedy=remedy)
        known = None if run is None else run.identity
        if known is None and self.path.exists() and any(self.path.glob("*/responses.jsonl")):
            raise HarnessError("this folder holds answers but no run.json", where=str(self.path), remedy=remedy)
        if known is not None and not whole:
            known = {name: known.get(name) for name in identity}
        differing = [] if known is None else list(list_differences(known, json.loads(json.dumps(identity))))
        if differing:
            raise IdentityMismatch(
                f"this folder was made by another model or with other settings: {'; '.join(differing)}",
                where=str(self.path),
                remedy=remedy,
            )

    @contextmanager
    def hold_for_writing(self) -> Generator[None]:
        """Share the writers' lock during the body, so that no other process moves the folder."""
        place = check_inside(self.path, self.path / _WRITERS)
        while True:
            self.path.mkdir(parents=True, exist_ok=True)
            with place.open("ab") as file:
                fcntl.flock(file, fcntl.LOCK_SH)
                if not place.exists() or os.fstat(file.fileno()).st_ino != place.stat().st_ino:
                    continue  # the folder was just moved
                yield
                return

    def check_alone(self) -> None:
        """Raise HarnessError if another process writes here. Writes nothing, so a dry run may call it."""
        with self._lock_all():
            pass

    @contextmanager
    def hold_alone(self) -> Generator[None]:
        """Keep all other processes from writing here during the body. Raises HarnessError if one does."""
        self.path.mkdir(parents=True, exist_ok=True)
        check_inside(self.path, self.path / _WRITERS).open("ab").close()
        with self._lock_all():
            yield

    def check_at_rest(self) -> None:
        """Raise HarnessError if another process adds answers or a machine's verdicts. Writes nothing."""
        with ExitStack() as stack:
            for path in self.path.glob("*/.*.jsonl.lock"):
                self._hold_journal(stack, path)

    @contextmanager
    def hold_at_rest(self) -> Generator[None]:
        """Keep other processes from adding answers or a machine's verdicts, and from moving the folder, in the body.

        A run that begins meanwhile waits, unless a label page is open here; labels may be added.

        Raises HarnessError if a process writes here, or the folder has just been moved away.
        """
        place = check_inside(self.path, self.path / _WRITERS)
        with ExitStack() as stack:
            with suppress(PermissionError):  # of another user: then there is no lock to take
                place.open("ab").close()
            alone = False
            with suppress(FileNotFoundError, PermissionError):
                file = stack.enter_context(place.open("rb"))
                # a writer may be between two journals, so all are kept out; a label page shares the lock for hours
                alone = _take_lock(file, fcntl.LOCK_EX)
                if not alone and not (self._is_labelled() and _take_lock(file, fcntl.LOCK_SH)):
                    raise _busy_error(self.path)
                if not place.exists() or os.fstat(file.fileno()).st_ino != place.stat().st_ino:
                    raise HarnessError("this run was just moved away", where=str(self.path), remedy="try again")
            if alone:
                self.check_at_rest()  # and not held: a file for each journal of a thousand shards is too many
            else:
                for path in self.list_line_files():
                    self._hold_journal(stack, lock_path(path), make=True)
            yield

    def _hold_journal(self, stack: ExitStack, path: Path, *, make: bool = False) -> None:
        """Share the lock of a journal that only a machine writes to. Raises HarnessError if a process writes to it."""
        if not re.match(r"\.(responses|verdicts-(?!human-).*)\.jsonl\.lock", path.name):
            return
        with suppress(FileNotFoundError, PermissionError):
            check_inside(self.path, path).open("ab").close() if make else None
        with suppress(FileNotFoundError, PermissionError):
            if not _take_lock(stack.enter_context(check_inside(self.path, path).open("rb")), fcntl.LOCK_SH):
                raise _busy_error(self.path)

    def _is_labelled(self) -> bool:
        """Whether a label page is open on this run."""
        for path in self.path.glob(f"{_SESSION}*.lock"):
            with suppress(FileNotFoundError, PermissionError), check_inside(self.path, path).open("rb") as file:
                if not _take_lock(file, fcntl.LOCK_SH):
                    return True
        return False

    def session_lock(self, person: str) -> Path:
        """The lock that a person's label page holds. Raises HarnessError if it leads out of the folder."""
        return check_inside(self.path, self.path / f"{_SESSION}{person}.lock")

    @contextmanager
    def _lock_all(self) -> Generator[None]:
        """Hold all locks of the folder exclusively. Raises HarnessError if another process has one."""
        with ExitStack() as stack:
            pages = sorted(self.path.glob(f"{_SESSION}*.lock"))  # first: they are named
            for path in (*pages, self.path / _WRITERS, *self.path.glob("*/.*.jsonl.lock")):
                with suppress(FileNotFoundError):
                    file = stack.enter_context(check_inside(self.path, path).open("r+b"))
                    if not _take_lock(file, fcntl.LOCK_EX):
                        if path in pages:
                            raise HarnessError(
                                f"the label page of {path.name.removeprefix(_SESSION).removesuffix('.lock')} is open "
                                "on this run",
                                where=str(self.path),
                                remedy="end it (Ctrl-C where `harness label` runs), or give another --output",
                            )
                        raise HarnessError(
                            "another process is writing to this run",
                            where=str(self.path),
                            remedy="wait for it, or give another --output",
                        )
            yield

    def put_aside(self) -> Path | None:
        """Rename the folder to a hidden, dated name next to it, and return that; None if there is no run here.

        Raises HarnessError if another process writes to it.
        """
        if not (self.path / "run.json").exists():
            return None
        check_inside(self.path, self.path / _WRITERS).open("ab").close()
        with self._lock_all():
            return self.path.rename(self.path.with_name(f".{self.path.name}.{datetime.now(UTC):%Y%m%dT%H%M%S%f}"))

    def check_writable(self, remedy: str) -> None:
        """Try to write to the folder, or to its future parent; permissions alone do not prove that it works.

        Raises HarnessError with the remedy if nothing can be written, OSError if the disk is full.
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

    def has_answers(self, judge: str = "") -> bool:
        """Whether the model, or the judge with that id, has answered anything here; failures do not count."""
        name = _verdicts_file(judge) if judge else "responses.jsonl"
        stored = (line for path in self.path.glob(f"*/{name}") for line in load_lines(path))
        return any(line.get("outcome", line.get("state")) not in _FAILED for line in stored)

    def list_line_files(self) -> list[Path]:
        """The files of lines of all tasks, sorted; a hidden folder, such as that of the batches, is no task's."""
        return sorted(path for path in self.path.glob("*/*.jsonl") if not path.parent.name.startswith("."))

    def log(self, text: str) -> None:
        """Add a line to log.txt, for the user to read afterwards."""
        self.path.mkdir(parents=True, exist_ok=True)
        path = check_inside(self.path, self.log_file)
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text.rstrip() + "\n")

    def _parse_run_file(self, raw: Mapping[str, Any]) -> RunFile | None:
        try:
            return RunFile.from_json(raw) if raw else None
        except ValueError as error:
            what, where = f"not a run's file: {error}", str(self.path / "run.json")
            raise HarnessError(what, where=where, remedy=_RESTORE) from None


def _take_lock(file: IO[bytes], how: int) -> bool:
    """Take the system's lock of an open file; False if a process holds it, and not only looks who does."""
    until = time.monotonic() + LOOK_SECONDS
    while True:
        try:
            fcntl.flock(file, how | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(0.01)
        else:
            return True


def _busy_error(path: Path) -> HarnessError:
    what = "another process is adding answers or verdicts to this run"
    return HarnessError(what, where=str(path), remedy="wait until it has ended")


def check_inside(folder: Path, path: Path) -> Path:
    """Return the path of a file to write in a run folder, if it lies inside.

    Raises HarnessError if the file, or one of its folders, is a link that leads out of the run folder.
    """
    if not path.resolve().is_relative_to(folder.resolve()):
        remedy = "remove the link, or give another --output"
        raise HarnessError("this link leads out of the run folder, so it is not used", where=str(path), remedy=remedy)
    return path


def list_differences(known: Json, now: Json, path: str = "") -> Iterator[str]:
    """Each difference between two identities, as text."""
    if isinstance(known, dict) and isinstance(now, dict):
        old, new = cast("dict[str, Json]", known), cast("dict[str, Json]", now)
        for name in sorted({*old, *new}):
            yield from list_differences(old.get(name), new.get(name), f"{path}.{name}" if path else name)
    elif known != now:
        values: list[object] = [known, now]
        texts = [json.dumps(value, ensure_ascii=False) for value in values]
        was, is_now = (text if len(text) <= 60 else f"{text[:57]}..." for text in texts)
        yield f"{path} was {was} and is {is_now}"


class TaskFolder:
    """The files of one task in a run folder.

    It keeps the index of each journal, so that the next reader reads only lines added since.
    """

    def __init__(self, path: Path, display: str) -> None:
        self.path = path
        self.display = display
        self._asked = Asked(path / "asked.jsonl")
        self._indexes: dict[Path, Index] = {}
        self._lock = threading.Lock()
        self._listings: Listings | None = None

    def responses(self, *, write: bool, load: bool = True) -> Journal:
        """The journal of answers and failures, indexed by (split, id, epoch, key)."""
        return self._open_journal("responses.jsonl", OUTCOMES, write=write, load=load)

    def verdicts(self, judge: str, *, write: bool, load: bool = True) -> Journal:
        """The journal of one judge or repeat, indexed by (split, id, epoch, key, hash of the judged answer)."""
        return self._open_journal(_verdicts_file(judge), STATES, write=write, load=load)

    def verdicts_path(self, judge: str) -> Path:
        """The file of one judge's verdicts, or of a repeat's."""
        return self.path / _verdicts_file(judge)

    def judges(self) -> tuple[str, ...]:
        """Ids of all judges with a file here."""
        found = (path.stem.removeprefix("verdicts-") for path in self.path.glob("verdicts-*.jsonl"))
        return tuple(sorted(judge for judge in found if _REPEAT not in judge))

    def repeats(self, judge: str) -> tuple[str, ...]:
        """Ids of a judge's repeats with a file here, from the second on; none after a number that is missing."""
        paths = self.path.glob(f"verdicts-{file_name(judge)}{_REPEAT}*.jsonl")
        numbers = {path.stem.rpartition(_REPEAT)[2] for path in paths if path.is_file()}
        there = {int(text) for text in numbers if _COUNT.match(text)}
        whole = takewhile(there.__contains__, count(2))
        return tuple(repeat_id(judge, number) for number in whole)

    def load_draws(self) -> dict[str, SplitDraw]:
        """Split -> its recorded draw of answers for people. Raises HarnessError for a broken file."""
        path = self.path / drawing.FILE
        document = _load_object(path, _REDRAW)
        try:
            return drawing.parse_draws(document) if document or path.exists() else {}
        except ValueError as error:
            raise HarnessError(f"no draw of answers: {error}", where=str(path), remedy=_REDRAW) from None

    def read_asked(self, split: str) -> Iterator[dict[str, Any]]:
        """The items of one split in the latest invocation: id, split, epoch, key, and the record's groups."""
        return self._asked.read_items(split)

    @contextmanager
    def replace_listings(self) -> Generator[None]:
        """During the body, `open_listing` may be called; at its end all complete listings replace the old ones.

        If the body raises, the old ones stay unchanged.
        """
        check_inside(self.path.parent, self.path / SCRATCH)
        self._listings = Listings(self._asked)
        try:
            yield
            self._listings.replace_old()
        finally:
            self._listings.drop()
            self._listings = None

    def open_listing(self, split: str, *, keep: bool) -> Listing:
        """A new listing of one split, inside `replace_listings`.

        Args:
            split: the split's name.
            keep: whether old items that are not listed again stay (a lower `--limit` never shrinks a run).
        """
        assert self._listings is not None
        return self._listings.open(split, keep=keep)

    def forget_indexes(self) -> None:
        """Free the journals' indexes, which are large for a large task."""
        self._indexes.clear()

    def _open_journal(self, name: str, names: tuple[str, ...], *, write: bool, load: bool) -> Journal:
        path = self.path / name
        if write:
            for each in (path, lock_path(path)):
                check_inside(self.path.parent, each)
        if write or not load:
            return Journal(path, names, write=write, load=load)
        with self._lock:
            index = self._indexes.get(path)
            if index is None or not index.fits(path):
                index = self._indexes[path] = Index(path)
            return Journal(path, names, write=False, index=index)


def _load_object(path: Path, remedy: str = _RESTORE) -> dict[str, Any]:
    """A JSON object; empty if the file is missing."""
    try:
        loaded: object = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        raise HarnessError(f"not JSON: {error}", where=str(path), remedy=remedy) from None
    if not isinstance(loaded, dict):
        raise HarnessError("not a JSON object", where=str(path), remedy=remedy)
    return cast("dict[str, Any]", loaded)
