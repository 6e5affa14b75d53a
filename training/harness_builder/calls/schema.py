"""The tables of `calls.db`, and how a call stands in them.

Deleting has to leave nothing behind. SQLite's `secure_delete` blanks what is deleted where it stands, but not the
copies that are left in the unused part of a page when rows are moved to others. So what was said, which is all that
could be of harm, never stands where rows are moved: pages are small, and a blank before each value fills the part of
the row that stays in the tree. The value itself lies in pages of its own, which are not copied and are blanked when
they are freed.
"""

from __future__ import annotations

import json
import sqlite3
from typing import Final, cast

from harness import HarnessError, Json, Usage

from .kept import Kept, Outcome, Spent
from .values import Ended, Painted, Told

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


def insert(db: sqlite3.Connection, kept: Kept) -> None:
    """Write a call; its place must be free."""
    end, why, drawing, value = _columns(kept.result)
    spent = kept.spent
    row = (kept.call, spent.step, spent.role, end, why, drawing, *_spent_row(spent)[2:])
    found = db.execute(f"INSERT INTO calls ({_COLUMNS}) VALUES ({_MARKS})", row).lastrowid  # noqa: S608
    db.executemany("INSERT INTO owners VALUES (?, ?)", [(owner, found) for owner in kept.owners])
    db.execute(f"INSERT INTO said VALUES (?, zeroblob({_BLANK}), ?)", (found, value))  # noqa: S608


def select(db: sqlite3.Connection, call: str, owner: str = "") -> Kept | None:
    """A call; None where it is not kept. With an owner, that one alone where it is theirs: it saves a question."""
    mine = "EXISTS (SELECT 1 FROM owners WHERE owner = ? AND owners.id = calls.id)"
    wanted = f"SELECT id, {mine}, value, {_COLUMNS} FROM calls JOIN said USING (id) WHERE call = ?"  # noqa: S608
    row = cast("Row | None", db.execute(wanted, (owner, call)).fetchone())
    if row is None:
        return None
    number, owned, value, call, step, role, end, why, drawing, *rest = row
    return Kept(
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


def add_spent(db: sqlite3.Connection, spent: Spent) -> None:
    """Add to the sums."""
    marks = ", ".join("?" * len(_SPENT.split(", ")))
    into = f"INSERT INTO spent ({_SPENT}) VALUES ({marks}) ON CONFLICT DO UPDATE SET {_SUMS}"  # noqa: S608
    db.execute(into, _spent_row(spent))


def all_spent(db: sqlite3.Connection) -> tuple[Spent, ...]:
    """The sums, by step, role and model."""
    rows = db.execute(f"SELECT {_SPENT} FROM spent ORDER BY step, role, model").fetchall()  # noqa: S608
    return tuple(_spent(row) for row in rows)


def _columns(result: Outcome) -> tuple[str, str, str, str]:
    """How it ended, why, its drawing, and its value as JSON."""
    if isinstance(result, Ended):
        return result.end, result.why, "", "null"
    if isinstance(result, Painted):
        return "", "", result.sha256, json.dumps(result.prompt)
    return "", "", "", json.dumps(result.value, allow_nan=False)


def _result(call: str, end: Json, why: Json, drawing: Json, value: Json) -> Outcome:
    if end:
        return Ended(end=end, why=why, call=call)
    try:
        read: Json = json.loads(value)
    except ValueError:
        raise HarnessError("a value of calls.db is not JSON: it was changed by another hand", where=call) from None
    return Painted(sha256=drawing, prompt=read, call=call) if drawing else Told(value=read, call=call)


def _spent_row(spent: Spent) -> Row:
    usage = spent.usage
    tokens = (usage.input_tokens, usage.output_tokens, usage.reasoning_tokens)
    return (spent.step, spent.role, spent.model, spent.calls, *tokens, spent.images, spent.seconds)


def _spent(row: Row) -> Spent:
    step, role, model, calls, given, output, reasoning, images, seconds = row
    usage = Usage(input_tokens=given, output_tokens=output, reasoning_tokens=reasoning)
    return Spent(step=step, role=role, model=model, calls=calls, usage=usage, images=images, seconds=seconds)
