"""Stores each model call of a build in `calls.db`, keyed by a hash of the request, with its parsed reply.

Invariants:
- A call is found by the digest of its request, and is stored once for all owners.
- A change is one transaction: a killed process leaves the store as before or after it.
- When a deletion returns, no byte of the deleted value is in the files. SQLite's `secure_delete` blanks a deleted value
  in place, but not the copies that stay in the unused part of a page when rows move. Only replies can be harmful, so
  they never lie where rows move: pages are small, and a blank before each value fills the part of the row that stays
  in the tree. The value itself lies in separate pages, which are not copied and are blanked when they are freed. The
  log next to the file, with older states of pages, is emptied.
- The store names a drawing before its file is written and until the file is gone, so it knows every file.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Self, cast

import anyio
import anyio.to_thread

from harness import HarnessError, Json, Usage
from harness.files import atomic_write, lock_file, lock_path
from harness.http.status import as_list
from harness.types import ImageContent
from harness_builder.calls.results import (
    CallResult,
    CallRole,
    CallUsage,
    DrawingReply,
    Halted,
    ModelReply,
    StoredCall,
    stop_to_json,
)
from harness_builder.disk import disk_errors, write_error
from harness_builder.stops import Stop

NAME: Final = "calls.db"
APPLICATION: Final = 0x68_62_63_31  #: marks the file as ours
VERSION: Final = 1
_PAGE: Final = 512  # bytes
_BLANK: Final = 480  # bytes; of a row at most 477 stay in a page's tree (page size less 35)
_LOG: Final = 16_384  # pages of the log until it is taken into the file, which waits for the disk: 8 MB
_PATIENCE: Final = 5.0  # seconds to wait while another program reads or writes it
_CORRUPT: Final = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_BUSY: Final = ("SQLITE_BUSY", "SQLITE_LOCKED")
_ALONE: Final = "end the other program and run the command again"
_ANEW: Final = "move it away or delete it: its calls are made again"

#: before anything is written
_SETTINGS: Final = (
    f"PRAGMA page_size = {_PAGE}",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",  # outlives a kill; a power cut loses at most the last calls
    "PRAGMA secure_delete = ON",
    "PRAGMA temp_store = MEMORY",
    f"PRAGMA wal_autocheckpoint = {_LOG}",
)
_TABLES: Final = (
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {VERSION}",
    """CREATE TABLE calls (
        id INTEGER PRIMARY KEY, call TEXT NOT NULL UNIQUE, step TEXT NOT NULL, role TEXT NOT NULL,
        end TEXT NOT NULL, why TEXT NOT NULL, drawing TEXT NOT NULL, model TEXT NOT NULL, calls INTEGER NOT NULL,
        input INTEGER NOT NULL, output INTEGER NOT NULL, reasoning INTEGER NOT NULL, images INTEGER NOT NULL,
        seconds REAL NOT NULL)""",
    "CREATE TABLE said (id INTEGER PRIMARY KEY, blank BLOB NOT NULL, value TEXT NOT NULL)",
    "CREATE TABLE owners (owner TEXT NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (owner, id)) WITHOUT ROWID",
    "CREATE INDEX owned ON owners (id)",
    "CREATE INDEX drawn ON calls (drawing) WHERE drawing != ''",
    "CREATE TABLE drawings (sha256 TEXT PRIMARY KEY) WITHOUT ROWID",
    """CREATE TABLE spent (
        step TEXT NOT NULL, role TEXT NOT NULL, model TEXT NOT NULL, calls INTEGER NOT NULL, input INTEGER NOT NULL,
        output INTEGER NOT NULL, reasoning INTEGER NOT NULL, images INTEGER NOT NULL, seconds REAL NOT NULL,
        PRIMARY KEY (step, role, model)) WITHOUT ROWID""",
)
_COLUMNS: Final = "call, step, role, end, why, drawing, model, calls, input, output, reasoning, images, seconds"
_SPENT: Final = "step, role, model, calls, input, output, reasoning, images, seconds"
_SUMS: Final = ", ".join(f"{name} = {name} + excluded.{name}" for name in _SPENT.split(", ")[3:])
Row = tuple[Json, ...]


class CallStore:
    """See the module; a context manager.

    Args:
        folder: of the store; made if it is missing.

    Raises:
        HarnessError: here and in every method: another process works on this build, the file is broken or belongs to
            another program, or it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / NAME
        remedy = "wait for it, or give another --out"
        busy = HarnessError("another process works on this build", where=str(self.path), remedy=remedy)
        try:
            self._lock = lock_file(lock_path(self.path), busy=busy)
        except OSError as error:
            what = f"cannot write: {error.strerror}"
            raise HarnessError(what, where=str(self.path), remedy="give another --out") from error
        try:
            with self._report_errors():
                self._db = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None)
                try:
                    self._prepare()
                except BaseException:
                    self._db.close()
                    raise
        except BaseException:
            self._lock.release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and release its lock."""
        self._db.close()
        self._lock.release()

    # ---- calls

    def find(self, call: str, owner: str = "") -> StoredCall | None:
        """The result of a call. With an owner, `owners` is that one alone, if the call is theirs: it saves a query."""
        mine = "EXISTS (SELECT 1 FROM owners WHERE owner = ? AND owners.id = calls.id)"
        wanted = f"SELECT id, {mine}, value, {_COLUMNS} FROM calls JOIN said USING (id) WHERE call = ?"  # noqa: S608
        with self._report_errors():
            row = cast("Row | None", self._db.execute(wanted, (owner, call)).fetchone())
            if row is None:
                return None
            number, owned, value, call, step, role, end, why, drawing, *rest = row
            owners = (owner,) if owner and owned else ()
            if not owner:
                found = self._db.execute("SELECT owner FROM owners WHERE id = ? ORDER BY owner", (number,)).fetchall()
                owners = tuple(each for (each,) in found)
        result: CallResult
        if end:
            result = Halted(end=end, why=why, call=call)
        else:
            try:
                read: Json = json.loads(value)
            except ValueError:
                what = "a value of calls.db is not JSON: another program changed it"
                raise HarnessError(what, where=call) from None
            result = (
                DrawingReply(sha256=drawing, prompt=read, call=call) if drawing else ModelReply(value=read, call=call)
            )
        return StoredCall(call=call, owners=owners, result=result, spent=_from_row((step, role, *rest)))

    def put(self, stored: StoredCall) -> None:
        """Store a call, replacing an earlier version, and add its usage to the sums."""
        result, spent = stored.result, stored.spent
        end = why = drawing = ""
        value = "null"
        if isinstance(result, Halted):
            end, why = result.end, result.why
        elif isinstance(result, DrawingReply):
            drawing, value = result.sha256, json.dumps(result.prompt)
        else:
            value = json.dumps(result.value, allow_nan=False)
        row = (stored.call, spent.step, spent.role, end, why, drawing, *_to_row(spent)[2:])
        with self._change() as db:
            for (number,) in db.execute("SELECT id FROM calls WHERE call = ?", (stored.call,)).fetchall():
                _remove(db, number)
            marks = ", ".join("?" * len(row))
            number = db.execute(f"INSERT INTO calls ({_COLUMNS}) VALUES ({marks})", row).lastrowid  # noqa: S608
            db.executemany("INSERT INTO owners VALUES (?, ?)", [(owner, number) for owner in stored.owners])
            db.execute(f"INSERT INTO said VALUES (?, zeroblob({_BLANK}), ?)", (number, value))  # noqa: S608
            _add_usage(db, spent)

    def share(self, call: str, owner: str) -> None:
        """Note a further owner of a call, who asked the same."""
        with self._change() as db:
            db.execute("INSERT OR IGNORE INTO owners SELECT ?, id FROM calls WHERE call = ?", (owner, call))

    def forget(self, owner: str) -> tuple[str, ...]:
        """Delete all calls of this owner alone -> sha256 of the drawings that no other call names.

        A call that ended as stopped stays: it holds only the kind, and would be made again.
        """
        drawings: list[str] = []
        with self._erasure() as db:
            mine = "SELECT id, drawing FROM owners JOIN calls USING (id) WHERE owner = ? AND end != 'stopped'"
            for number, drawing in db.execute(mine, (owner,)).fetchall():
                db.execute("DELETE FROM owners WHERE owner = ? AND id = ?", (owner, number))
                if db.execute("SELECT 1 FROM owners WHERE id = ?", (number,)).fetchone() is None:
                    _remove(db, number)
                    drawings += [drawing] if drawing else []
            named = "SELECT 1 FROM calls WHERE drawing = ? AND drawing != ''"
            return tuple(each for each in dict.fromkeys(drawings) if db.execute(named, (each,)).fetchone() is None)

    def redact(self, call: str, place: int, stop: Stop) -> None:
        """Replace one item of a reply that holds a list with a stop, if the call is stored. Raises ValueError if the
        reply holds no list, or too short a one."""
        with self._erasure() as db:
            row = db.execute("SELECT id, value FROM calls JOIN said USING (id) WHERE call = ?", (call,)).fetchone()
            if row is None:
                return
            items = list(as_list(json.loads(row[1])))
            if not 0 <= place < len(items):
                raise ValueError(f"there is no item {place} in the reply of {call}")
            items[place] = stop_to_json(stop)
            db.execute("UPDATE said SET value = ? WHERE id = ?", (json.dumps(items), row[0]))

    def has_answers(self, role: CallRole) -> bool:
        """Whether an answer of this role, or the painter, is stored."""
        with self._report_errors():
            return self._db.execute("SELECT 1 FROM calls WHERE role = ? LIMIT 1", (role,)).fetchone() is not None

    def owners(self, begins: str) -> Iterator[str]:
        """The owners of stored calls whose keys begin with this text."""
        with self._report_errors():
            wanted = "SELECT DISTINCT owner FROM owners WHERE substr(owner, 1, ?) = ?"
            found = self._db.execute(wanted, (len(begins), begins)).fetchall()
        return (owner for (owner,) in found)

    # ---- drawings

    def name_drawing(self, sha256: str) -> None:
        """Note that a drawing is about to be written, so that a killed build leaves no unknown file."""
        with self._change() as db:
            db.execute("INSERT OR IGNORE INTO drawings VALUES (?)", (sha256,))

    def list_unused_drawings(self) -> tuple[str, ...]:
        """Drawings that no call names: their files are to be deleted."""
        with self._report_errors():
            found = self._db.execute("SELECT sha256 FROM drawings EXCEPT SELECT drawing FROM calls").fetchall()
            return tuple(sha256 for (sha256,) in found)

    def forget_drawings(self, drawings: Iterable[str]) -> None:
        """Note that the files of these drawings are deleted."""
        with self._change() as db:
            db.executemany("DELETE FROM drawings WHERE sha256 = ?", [(each,) for each in drawings])

    # ---- usage

    def add_usage(self, spent: CallUsage) -> None:
        """Add the usage of a call that is not stored to the sums, which outlive deletions."""
        with self._change() as db:
            _add_usage(db, spent)

    @contextmanager
    def count_on_failure(self, spent: CallUsage) -> Generator[None]:
        """Add the usage to the sums if the body fails to store a result."""
        try:
            yield
        except BaseException:
            with suppress(HarnessError):  # the error of the body is the one to raise
                self.add_usage(spent)
            raise

    def total_usage(self) -> tuple[CallUsage, ...]:
        """Usage of all calls of this build, by step, role and model."""
        with self._report_errors():
            rows = self._db.execute(f"SELECT {_SPENT} FROM spent ORDER BY step, role, model").fetchall()  # noqa: S608
            return tuple(_from_row(row) for row in rows)

    # ---- the file

    def _prepare(self) -> None:
        tables = self._query("SELECT count(*) FROM sqlite_master")
        ours = self._query("PRAGMA application_id") == APPLICATION
        if tables and not (ours and self._query("PRAGMA user_version") == VERSION):
            what = "this is not a store of model calls, or it has another version"
            raise HarnessError(what, where=str(self.path), remedy=_ANEW)
        for setting in _SETTINGS:
            self._db.execute(setting).fetchall()
        if (said := self._query("PRAGMA quick_check(1)")) != "ok":
            raise self._corrupt_error(str(said))
        if not tables:
            with _transaction(self._db):
                for each in _TABLES:
                    self._db.execute(each)

    def _query(self, sql: str) -> Json:
        return self._db.execute(sql).fetchone()[0]

    @contextmanager
    def _change(self) -> Generator[sqlite3.Connection]:
        """One transaction: all of it is written, or nothing."""
        with self._report_errors(), _transaction(self._db):
            yield self._db

    @contextmanager
    def _erasure(self) -> Generator[sqlite3.Connection]:
        """A transaction that then empties the log next to the file, which has older states of pages."""
        with self._change() as db:
            yield db
        with self._report_errors():
            busy = self._query("PRAGMA wal_checkpoint(TRUNCATE)")
        if busy:
            raise HarnessError("cannot delete from it: another program reads it", where=str(self.path), remedy=_ALONE)

    @contextmanager
    def _report_errors(self) -> Generator[None]:
        try:
            yield
        except sqlite3.Error as error:
            name = getattr(error, "sqlite_errorname", "")
            if name.startswith(_CORRUPT):
                raise self._corrupt_error(str(error)) from error
            if name.startswith(_BUSY):
                what = "cannot write: another program writes to it"
                raise HarnessError(what, where=str(self.path), remedy=_ALONE) from error
            raise write_error(self.path, error) from error

    def _corrupt_error(self, how: str) -> HarnessError:
        return HarnessError(f"the store of model calls cannot be read: {how}", where=str(self.path), remedy=_ANEW)


@contextmanager
def _transaction(db: sqlite3.Connection) -> Generator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # a full disk has ended it already
            db.execute("ROLLBACK")
        raise


def _remove(db: sqlite3.Connection, number: int) -> None:
    for table in ("calls", "said", "owners"):
        db.execute(f"DELETE FROM {table} WHERE id = ?", (number,))  # noqa: S608


def _add_usage(db: sqlite3.Connection, spent: CallUsage) -> None:
    row = _to_row(spent)
    marks = ", ".join("?" * len(row))
    into = f"INSERT INTO spent ({_SPENT}) VALUES ({marks}) ON CONFLICT DO UPDATE SET {_SUMS}"  # noqa: S608
    db.execute(into, row)


def _to_row(spent: CallUsage) -> Row:
    usage = spent.usage
    tokens = (usage.input_tokens, usage.output_tokens, usage.reasoning_tokens)
    return (spent.step, spent.role, spent.model, spent.calls, *tokens, spent.images, spent.seconds)


def _from_row(row: Row) -> CallUsage:
    step, role, model, calls, given, output, reasoning, images, seconds = row
    usage = Usage(input_tokens=given, output_tokens=output, reasoning_tokens=reasoning)
    return CallUsage(step=step, role=role, model=model, calls=calls, usage=usage, images=images, seconds=seconds)


FOLDER: Final = "images"
SUFFIXES: Final = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}


class ImageStore:
    """The folder of drawings: `<2 hex>/<sha256>.<ext>`.

    Args:
        folder: `work/` of the build.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER
        self._one_at_a_time = anyio.CapacityLimiter(1)  # two equal drawings are one file

    def find(self, sha256: str) -> Path | None:
        """The file of an image."""
        return next((path for path in self._list_paths(sha256) if path.is_file()), None)

    async def write(self, content: ImageContent) -> None:
        """Write an image in one step. If it is dropped meanwhile, it does not exist. Raises HarnessError if it cannot
        be written."""
        await anyio.to_thread.run_sync(self._write, content, limiter=self._one_at_a_time)

    def drop(self, drawings: Iterable[str]) -> None:
        """Delete images, also half-written ones. Raises OSError."""
        for sha256 in drawings:
            for path in self._list_paths(sha256):
                _scratch_path(path).unlink(missing_ok=True)
                path.unlink(missing_ok=True)

    def _write(self, content: ImageContent) -> None:
        path = self._folder / content.sha256[:2] / f"{content.sha256}{SUFFIXES[content.mime]}"
        # if another call with this drawing was stopped, `drop` has deleted the scratch file
        with disk_errors(path), suppress(FileNotFoundError):
            atomic_write(path, content.data, sync=False, scratch=_scratch_path(path))

    def _list_paths(self, sha256: str) -> list[Path]:
        return [self._folder / sha256[:2] / f"{sha256}{suffix}" for suffix in SUFFIXES.values()]


def _scratch_path(path: Path) -> Path:
    return path.with_name(f".{path.name}")
