"""The tables of `calls.db`, and how a call stands in them.

Deleting has to leave nothing behind. SQLite's `secure_delete` blanks what is deleted where it stands, but not the
copies that are left in the unused part of a page when rows are moved to others. So what was said, which is all that
could be of harm, never stands where rows are moved: pages are small, and a blank before each value fills the part of
the row that stays in the tree. The value itself lies in pages of its own, which are not copied and are blanked when
they are freed.

The book of calls, `calls.db`: what was asked in the life of a build, and what was read of each reply.

Invariants: a call is found by the digest of what was asked, and stands in the book once, whoever asked it; a change is
one transaction, so a process that is killed leaves the book as it was before or after; what is deleted is in no byte of
the files when the deletion returns (see `schema`); a drawing is named in the book before its file is written and until
the file is gone, so that none is left that nobody knows of.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self, cast

from filelock import FileLock, Timeout

from harness import HarnessError, Json, Usage
from harness.http.status import as_list
from harness_builder.calls.results import (
    CallResult,
    CallRole,
    CallUsage,
    DrawingReply,
    Halted,
    ModelReply,
    StoredCall,
    blank,
)
from harness_builder.disk import write_error
from harness_builder.stops import Stop

APPLICATION: Final = 0x68_62_63_31  #: tells the file from other programs' databases
VERSION: Final = 1
_PAGE: Final = 512  # bytes
_BLANK: Final = 480  # bytes; of a row at most 477 stay in a page's tree (page size less 35)

_LOG: Final = 16_384  # pages of the log until it is taken into the file, which waits for the disk: 8 MB

#: before anything is written
SETTINGS: Final = (
    f"PRAGMA page_size = {_PAGE}",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",  # outlives a kill; a power cut may cost the last calls, and no more
    "PRAGMA secure_delete = ON",
    "PRAGMA temp_store = MEMORY",
    f"PRAGMA wal_autocheckpoint = {_LOG}",
)
TABLES: Final = (
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
_MARKS: Final = ", ".join("?" * len(_COLUMNS.split(", ")))
_SUMS: Final = ", ".join(f"{name} = {name} + excluded.{name}" for name in _SPENT.split(", ")[3:])
Row = tuple[Json, ...]


def insert(db: sqlite3.Connection, kept: StoredCall) -> None:
    """Write a call; its place must be free."""
    end, why, drawing, value = _columns(kept.result)
    spent = kept.spent
    row = (kept.call, spent.step, spent.role, end, why, drawing, *_spent_row(spent)[2:])
    found = db.execute(f"INSERT INTO calls ({_COLUMNS}) VALUES ({_MARKS})", row).lastrowid  # noqa: S608
    db.executemany("INSERT INTO owners VALUES (?, ?)", [(owner, found) for owner in kept.owners])
    db.execute(f"INSERT INTO said VALUES (?, zeroblob({_BLANK}), ?)", (found, value))  # noqa: S608


def select(db: sqlite3.Connection, call: str, owner: str = "") -> StoredCall | None:
    """A call; None where it is not kept. With an owner, that one alone where it is theirs: it saves a question."""
    mine = "EXISTS (SELECT 1 FROM owners WHERE owner = ? AND owners.id = calls.id)"
    wanted = f"SELECT id, {mine}, value, {_COLUMNS} FROM calls JOIN said USING (id) WHERE call = ?"  # noqa: S608
    row = cast("Row | None", db.execute(wanted, (owner, call)).fetchone())
    if row is None:
        return None
    number, owned, value, call, step, role, end, why, drawing, *rest = row
    return StoredCall(
        call=call,
        owners=((owner,) if owned else ()) if owner else _owners(db, number),
        result=_result(call, end, why, drawing, value),
        spent=_spent((step, role, *rest)),
    )


def _owners(db: sqlite3.Connection, number: Json) -> tuple[str, ...]:
    found = db.execute("SELECT owner FROM owners WHERE id = ? ORDER BY owner", (number,)).fetchall()
    return tuple(owner for (owner,) in found)


def remove(db: sqlite3.Connection, number: int) -> None:
    """Delete the call of a row."""
    for table in ("calls", "said", "owners"):
        db.execute(f"DELETE FROM {table} WHERE id = ?", (number,))  # noqa: S608


def add_spent(db: sqlite3.Connection, spent: CallUsage) -> None:
    """Add to the sums."""
    marks = ", ".join("?" * len(_SPENT.split(", ")))
    into = f"INSERT INTO spent ({_SPENT}) VALUES ({marks}) ON CONFLICT DO UPDATE SET {_SUMS}"  # noqa: S608
    db.execute(into, _spent_row(spent))


def all_spent(db: sqlite3.Connection) -> tuple[CallUsage, ...]:
    """The sums, by step, role and model."""
    rows = db.execute(f"SELECT {_SPENT} FROM spent ORDER BY step, role, model").fetchall()  # noqa: S608
    return tuple(_spent(row) for row in rows)


def _columns(result: CallResult) -> tuple[str, str, str, str]:
    """How it ended, why, its drawing, and its value as JSON."""
    if isinstance(result, Halted):
        return result.end, result.why, "", "null"
    if isinstance(result, DrawingReply):
        return "", "", result.sha256, json.dumps(result.prompt)
    return "", "", "", json.dumps(result.value, allow_nan=False)


def _result(call: str, end: Json, why: Json, drawing: Json, value: Json) -> CallResult:
    if end:
        return Halted(end=end, why=why, call=call)
    try:
        read: Json = json.loads(value)
    except ValueError:
        raise HarnessError("a value of calls.db is not JSON: it was changed by another hand", where=call) from None
    return DrawingReply(sha256=drawing, prompt=read, call=call) if drawing else ModelReply(value=read, call=call)


def _spent_row(spent: CallUsage) -> Row:
    usage = spent.usage
    tokens = (usage.input_tokens, usage.output_tokens, usage.reasoning_tokens)
    return (spent.step, spent.role, spent.model, spent.calls, *tokens, spent.images, spent.seconds)


def _spent(row: Row) -> CallUsage:
    step, role, model, calls, given, output, reasoning, images, seconds = row
    usage = Usage(input_tokens=given, output_tokens=output, reasoning_tokens=reasoning)
    return CallUsage(step=step, role=role, model=model, calls=calls, usage=usage, images=images, seconds=seconds)


NAME: Final = "calls.db"
_BROKEN: Final = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_HELD: Final = ("SQLITE_BUSY", "SQLITE_LOCKED")
_PATIENCE: Final = 5.0  # seconds that another program may read or write it; calls under way wait as long
_ALONE: Final = "end the other program and run it again"
_ANEW: Final = "put it aside or delete it: what it held is asked again"


class CallStore:
    """See the module; a context manager.

    Args:
        folder: that holds the book; made where it is not there.

    Raises:
        HarnessError: here and in every method: another process works on this build, the file is broken or another
            program's, or the disk does not take it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / NAME
        self._lock = _lock(self.path)
        try:
            self._db = self._opened()
        except BaseException:
            self._lock.release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let the book go."""
        self._db.close()
        self._lock.release()

    def find(self, call: str, owner: str = "") -> StoredCall | None:
        """What came of a call; None where it is not kept. Of its owners the one that is asked for, where it is one."""
        with self._told():
            return select(self._db, call, owner)

    def read(self, calls: Iterable[str]) -> Iterator[StoredCall]:
        """All calls of these digests that are kept, in this order."""
        return (kept for kept in map(self.find, calls) if kept is not None)

    def keep(self, kept: StoredCall) -> None:
        """Write a call, in place of what was kept of it, and add what it took to the sums."""
        with self._change() as db:
            for (number,) in db.execute("SELECT id FROM calls WHERE call = ?", (kept.call,)).fetchall():
                remove(db, number)
            insert(db, kept)
            add_spent(db, kept.spent)

    def share(self, call: str, owner: str) -> None:
        """Somebody else asked the same: what is kept of the call is theirs as well."""
        with self._change() as db:
            db.execute("INSERT OR IGNORE INTO owners SELECT ?, id FROM calls WHERE call = ?", (owner, call))

    def forget(self, owner: str) -> tuple[str, ...]:
        """Delete all calls that are this owner's alone -> sha256 of the drawings that no other call names.

        A call that ended as stopped stays: it holds nothing but the kind, and would only be made again.
        """
        drawings: list[str] = []
        with self._erasure() as db:
            mine = "SELECT id, drawing FROM owners JOIN calls USING (id) WHERE owner = ? AND end != 'stopped'"
            for number, drawing in db.execute(mine, (owner,)).fetchall():
                db.execute("DELETE FROM owners WHERE owner = ? AND id = ?", (owner, number))
                if db.execute("SELECT 1 FROM owners WHERE id = ?", (number,)).fetchone() is None:
                    remove(db, number)
                    drawings += [drawing] if drawing else []
            named = "SELECT 1 FROM calls WHERE drawing = ? AND drawing != ''"
            return tuple(each for each in dict.fromkeys(drawings) if db.execute(named, (each,)).fetchone() is None)

    def redact(self, call: str, place: int, stop: Stop) -> None:
        """Put a stop in the place of one item of a reply that holds a list; nothing where the call is not kept.

        Raises:
            ValueError: the reply holds no list, or none so long.
        """
        with self._erasure() as db:
            row = db.execute("SELECT id, value FROM calls JOIN said USING (id) WHERE call = ?", (call,)).fetchone()
            if row is None:
                return
            items = list(as_list(json.loads(row[1])))
            if not 0 <= place < len(items):
                raise ValueError(f"there is no item {place} in what was read of {call}")
            items[place] = blank(stop)
            db.execute("UPDATE said SET value = ? WHERE id = ?", (json.dumps(items), row[0]))

    def has_answers(self, role: CallRole) -> bool:
        """Whether anything is kept of what this role, or the painter, answered."""
        with self._told():
            return self._db.execute("SELECT 1 FROM calls WHERE role = ? LIMIT 1", (role,)).fetchone() is not None

    def owners(self, begins: str) -> Iterator[str]:
        """Whose calls are kept, of those whose key begins so."""
        with self._told():
            wanted = "SELECT DISTINCT owner FROM owners WHERE substr(owner, 1, ?) = ?"
            found = self._db.execute(wanted, (len(begins), begins)).fetchall()
        return (owner for (owner,) in found)

    def draws(self, sha256: str) -> None:
        """A drawing is about to be written; it is named before, so that a killed build leaves none behind."""
        with self._change() as db:
            db.execute("INSERT OR IGNORE INTO drawings VALUES (?)", (sha256,))

    def unnamed(self) -> tuple[str, ...]:
        """Drawings that no call names: their files are to be deleted."""
        with self._told():
            found = self._db.execute("SELECT sha256 FROM drawings EXCEPT SELECT drawing FROM calls").fetchall()
            return tuple(sha256 for (sha256,) in found)

    def gone(self, drawings: Iterable[str]) -> None:
        """The files of these drawings are deleted."""
        with self._change() as db:
            db.executemany("DELETE FROM drawings WHERE sha256 = ?", [(each,) for each in drawings])

    def spend(self, spent: CallUsage) -> None:
        """Add what a call took that is not kept to the sums, which outlive what is deleted."""
        with self._change() as db:
            add_spent(db, spent)

    @contextmanager
    def counting(self, spent: CallUsage) -> Generator[None]:
        """What is paid stands in the sums as well where the body fails to make something of it that is kept."""
        try:
            yield
        except BaseException:
            with suppress(HarnessError):  # what is told is why nothing came of it
                self.spend(spent)
            raise

    def spent(self) -> tuple[CallUsage, ...]:
        """What all calls of this build took, by step, role and model."""
        with self._told():
            return all_spent(self._db)

    def _opened(self) -> sqlite3.Connection:
        with self._told():
            db = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None)
            try:
                self._prepare(db)
            except BaseException:
                db.close()
                raise
            return db

    def _prepare(self, db: sqlite3.Connection) -> None:
        tables = _one(db, "SELECT count(*) FROM sqlite_master")
        ours = _one(db, "PRAGMA application_id") == APPLICATION
        if tables and not (ours and _one(db, "PRAGMA user_version") == VERSION):
            what = "this is no book of calls, or one of another version"
            raise HarnessError(what, where=str(self.path), remedy=_ANEW)
        for setting in SETTINGS:
            db.execute(setting).fetchall()
        if (said := _one(db, "PRAGMA quick_check(1)")) != "ok":
            raise self._broken(str(said))
        if not tables:
            with _transaction(db):
                for each in TABLES:
                    db.execute(each)

    @contextmanager
    def _change(self) -> Generator[sqlite3.Connection]:
        """One transaction: all of it is written, or nothing."""
        with self._told(), _transaction(self._db):
            yield self._db

    @contextmanager
    def _erasure(self) -> Generator[sqlite3.Connection]:
        """A transaction after which the log beside the book, where older states of pages stand, is emptied."""
        with self._change() as db:
            yield db
        with self._told():
            busy = _one(self._db, "PRAGMA wal_checkpoint(TRUNCATE)")
        if busy:
            raise HarnessError("cannot delete from it: another program reads it", where=str(self.path), remedy=_ALONE)

    @contextmanager
    def _told(self) -> Generator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._fault(error) from error

    def _fault(self, error: sqlite3.Error) -> HarnessError:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith(_BROKEN):
            return self._broken(str(error))
        if name.startswith(_HELD):
            return HarnessError("cannot write: another program writes to it", where=str(self.path), remedy=_ALONE)
        return write_error(self.path, error)

    def _broken(self, how: str) -> HarnessError:
        return HarnessError(f"the book of calls cannot be read: {how}", where=str(self.path), remedy=_ANEW)


def _one(db: sqlite3.Connection, sql: str) -> Json:
    return db.execute(sql).fetchone()[0]


@contextmanager
def _transaction(db: sqlite3.Connection) -> Generator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # a disk that is full has ended it already
            db.execute("ROLLBACK")
        raise


def _lock(path: Path) -> FileLock:
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise HarnessError(
            "another process works on this build", where=str(path), remedy="wait for it, or give another --out"
        ) from None
    except OSError as error:
        raise HarnessError(f"cannot write: {error.strerror}", where=str(path), remedy="give another --out") from error
    return lock
