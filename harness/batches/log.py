"""What a run folder knows of its batches: `batches.jsonl`, an append-only log, and the files in `.batches/`.

    batches.jsonl               one line for each event, synced before what it announces
    .batches/PART.ids           the names of a part's requests, one a line, with the most dollars that each may cost
    .batches/PART.requests      the part's file, until the provider has it
    .batches/PART.answers       one JSON line for each answer, as it came
    .batches/costs              whose answer was read, and its dollars, one a line

A part is one batch's worth of requests. Its id is drawn here, so it exists before the provider knows of the batch. The
events of a part: `submit` (its requests are on disk, and from now on the provider may have it), `submitted` (the
provider's id), `collected` (its answers are on disk) or `dropped` (it gave none; its requests are asked again).

A cycle begins with the first walk over the samples and ends with one after which no request waits. `begin` keeps how
long each journal was: lines that are older are of an earlier cycle, and their errors are tried again as a live run
would; lines of this cycle are not, or a request that always fails would be asked for ever.

A request's name is 44 digits that say whose it is and which try, then 16 that say with which body it was asked.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import AsyncIterable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal, cast

from harness.errors import HarnessError
from harness.files import AppendFile, HeldLock, lock_file, lock_path, open_atomic, read_lines, report_write_errors
from harness.http.batching import BatchAnswer

LOG: Final = "batches.jsonl"
FOLDER: Final = ".batches"
COSTS: Final = "costs"  #: file in it
WHO: Final = 44  #: digits of a name that say whose request it is
NAME: Final = 60  #: digits of a whole name

Stage = Literal["submitting", "open", "collected", "dropped"]


class ForeignBatch(Exception):
    """A batch that was found at the provider holds none of a part's requests: it is of another run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRecord:
    """One batch of a run folder.

    Attributes:
        part: its id here.
        batch: the provider's id; empty until it is known.
        channel: what its requests are asked through: a model with its settings.
        model: the model's reference.
        requests: how many it holds.
        stage: how far it is.
        submitted: when it was submitted, Unix seconds.
        answered: requests that got an answer; once it is collected.
        done: requests that had a result when it was last looked at.
        said: the provider's word for its state then, or why it was dropped.
    """

    part: str
    batch: str = ""
    channel: str
    model: str
    requests: int
    stage: Stage = "submitting"
    submitted: float = 0.0
    answered: int = 0
    done: int = 0
    said: str = ""


class BatchLog:
    """The batches of a run folder, for one process at a time.

    Args:
        folder: the run folder; it must exist.

    Attributes:
        held: dollars that its requests may cost whose answers were not read yet.
        unpriced: requests that are waited for and whose most dollars are unknown.

    Raises HarnessError if another process asks in batches for this run.
    """

    def __init__(self, folder: Path) -> None:
        self._run = folder
        self._files = folder / FOLDER
        path = folder / LOG
        busy = "another process asks in batches for this run"
        remedy = "wait for it, or give another --output"
        self._lock: HeldLock = lock_file(lock_path(path), busy=HarnessError(busy, where=str(path), remedy=remedy))
        self.parts: dict[str, BatchRecord] = {}
        self._starts: Mapping[str, int] | None = None
        self._walked = self._gathered = False
        self._found: set[str] = set()  # batches that were found at the provider, where not each has a mark of ours
        self.foreign: set[str] = set()  # those of them that are of another run
        self.refused: frozenset[str] = frozenset()  # settings that the model refused in this cycle
        self._answers: dict[str, tuple[str, int, str]] = {}  # whose -> part, offset, digits of its body
        self._waiting: set[str] = set()
        self._unanswered = Counter[str]()
        self.held = Decimal()
        self.unpriced = 0
        self._bounds: dict[str, Decimal] = {}  # whose -> most dollars, until its answer is read
        self._costs: AppendFile | None = None
        try:
            self._counted = set(read_costs(folder))
            for event in load_events(path):
                self._apply(event)
            self._file = AppendFile(path)
        except BaseException:
            self._lock.release()
            raise
        for part in self.parts.values():
            if part.stage in ("submitting", "open"):
                self._wait_for(part.part)
            elif part.stage == "collected":
                self._index(part, self._read_ids(part.part))

    def close(self) -> None:
        """Let other processes have the log."""
        self._file.close()
        if self._costs is not None:
            self._costs.close()
        self._lock.release()

    # ---- the cycle

    @property
    def cycling(self) -> bool:
        """Whether a cycle has begun and not ended."""
        return self._starts is not None

    @property
    def walked(self) -> bool:
        """Whether all requests were gathered since the last answers came."""
        return self._walked

    @property
    def gathered(self) -> bool:
        """Whether an earlier invocation of this cycle has walked to the end: its models passed the probe."""
        return self._gathered

    def begin(self) -> None:
        """Begin a cycle, unless one runs."""
        if self._starts is None:
            paths = (*self._run.glob("*/responses.jsonl"), *self._run.glob("*/verdicts-*.jsonl"))
            sizes = {str(path.relative_to(self._run)): path.stat().st_size for path in sorted(paths)}
            self._write({"event": "begin", "journals": sizes})

    def note_walk(self, *, whole: bool = True) -> None:
        """Note that a walk has ended.

        Args:
            whole: all requests that can be asked now were gathered and submitted; else the next invocation walks again.
        """
        if not self._walked:
            self._write({"event": "walked", **({} if whole else {"whole": False})})

    def note_refused(self, names: Iterable[str]) -> None:
        """Remember settings that the model refused, for the invocation that writes the results."""
        new = sorted(set(names) - self.refused)
        if new and self.cycling:
            self._write({"event": "refused", "names": new})

    def end(self) -> None:
        """End the cycle: nothing waits."""
        if self._starts is not None:
            self._write({"event": "end"})

    def is_settled(self, journal: Path, offset: int) -> bool:
        """Whether a line of a journal was written in this cycle."""
        if self._starts is None:
            return False
        return offset >= self._starts.get(os.path.relpath(journal, self._run), 0)

    # ---- parts

    def list_open(self, channel: str = "") -> list[BatchRecord]:
        """The parts that the provider has or may have, of one channel or of all."""
        return [
            part
            for part in self.parts.values()
            if part.stage in ("submitting", "open") and channel in ("", part.channel)
        ]

    def requests_file(self, part: str) -> Path:
        """Where the file of a part lies until the provider has it."""
        return self._files / f"{part}.requests"

    def names(self, part: str) -> list[str]:
        """The names of a part's requests; none if their file is gone."""
        return list(self._read_ids(part))

    def _read_ids(self, part: str) -> dict[str, Decimal | None]:
        """The names of a part's requests, and the most dollars of each."""
        with suppress(FileNotFoundError):
            lines = map(str.split, (self._files / f"{part}.ids").read_text("ascii").splitlines())
            return {words[0]: Decimal(words[1]) if len(words) > 1 else None for words in lines if words}
        return {}

    def _wait_for(self, part: str) -> None:
        """Know that the requests of a part are waited for, and what they may cost."""
        for name, bound in self._read_ids(part).items():
            self._waiting.add(name[:WHO])
            self._hold(name[:WHO], bound)
            self.unpriced += bound is None

    def _hold(self, whose: str, bound: Decimal | None) -> None:
        self._release(whose)
        if bound:
            self._bounds[whose] = bound
            self.held += bound

    def _release(self, whose: str) -> Decimal:
        bound = self._bounds.pop(whose, Decimal())
        self.held -= bound
        return bound

    def announce(self, record: BatchRecord, names: Mapping[str, Decimal | None]) -> None:
        """Write down a part, before the provider gets it.

        Args:
            record: the part.
            names: of its requests -> the most dollars that each may cost; None if unknown.
        """
        with report_write_errors(self._files), open_atomic(self._files / f"{record.part}.ids") as file:
            for name, bound in names.items():
                file.write(f"{name}\n".encode("ascii") if bound is None else f"{name} {bound:f}\n".encode("ascii"))
        fields = {"part": record.part, "channel": record.channel, "model": record.model, "requests": record.requests}
        self._write({"event": "submit", **fields})
        self._wait_for(record.part)

    def note_submitted(self, part: str, batch: str, *, found: bool = False) -> None:
        """Write down the provider's id of a part, and delete the part's file.

        Args:
            part: its id here.
            batch: the provider's id.
            found: no answer gave the id: the provider's list did.
        """
        self._write({"event": "submitted", "part": part, "batch": batch, **({"found": True} if found else {})})
        self.requests_file(part).unlink(missing_ok=True)

    def note_foreign(self, part: str) -> None:
        """Write down that the batch that was found for a part is of another run."""
        self._write({"event": "foreign", "part": part, "batch": self.parts[part].batch})

    def note_state(self, part: str, *, done: int, said: str) -> None:
        """Write down how far a batch is, if that has changed."""
        known = self.parts[part]
        if (known.done, known.said) != (done, said):
            self._write({"event": "state", "part": part, "done": done, "said": said})

    async def collect(self, part: str, results: AsyncIterable[tuple[str, BatchAnswer | None]]) -> BatchRecord:
        """Keep the answers of a part, each name's first, and write down that they are there.

        If reading them fails, nothing is changed.

        Raises ForeignBatch: the batch was found at the provider, and none of its requests is of this part.
        """
        ids = self._read_ids(part)
        names, kept = {name[:WHO]: name for name in ids}, 0
        with report_write_errors(self._files), open_atomic(self._files / f"{part}.answers") as file:
            foreign = None
            async for name, answer in results:
                foreign = foreign is not False and names.get(name[:WHO]) != name
                if answer is None or names.get(name[:WHO]) != name:
                    continue  # never run, or not ours
                del names[name[:WHO]]
                line = {"name": name, "status": answer.status, "body": answer.body.decode("utf-8", "surrogateescape")}
                file.write(json.dumps(line, ensure_ascii=True).encode("ascii") + b"\n")
                kept += 1
            if foreign and self.parts[part].batch in self._found:
                raise ForeignBatch
        self._write({"event": "collected", "part": part, "answered": kept})
        self._stop_waiting(ids)
        self._index(self.parts[part], ids)
        self.requests_file(part).unlink(missing_ok=True)
        return self.parts[part]

    def drop(self, part: str, why: str, *, count: bool = False, paid: bool = False) -> Decimal:
        """Give a part up: its requests are asked again.

        Args:
            part: its id.
            why: for people.
            count: whether this counts as a try of its requests.
            paid: whether the provider may have answered it.

        Returns:
            The most dollars that are lost with it.
        """
        ids = self._read_ids(part)
        lost = sum((bound for bound in ids.values() if bound), Decimal()) if paid else Decimal()
        usd = {"lost_usd": float(lost)} if lost else {}
        self._write({"event": "dropped", "part": part, "why": why, "count": count, **usd})
        self._stop_waiting(ids)
        self.requests_file(part).unlink(missing_ok=True)
        return lost

    def _stop_waiting(self, ids: Mapping[str, Decimal | None]) -> None:
        for name, bound in ids.items():
            self._waiting.discard(name[:WHO])
            self._release(name[:WHO])
            self.unpriced -= bound is None

    # ---- dollars

    def is_counted(self, whose: str) -> bool:
        """Whether an answer was read, in this invocation or an earlier one, so that its dollars are known."""
        return whose in self._counted

    def find_bound(self, whose: str) -> Decimal:
        """The most that an answer may cost which was not read yet; 0 where its price is unknown."""
        return self._bounds.get(whose, Decimal())

    def note_cost(self, whose: str, dollars: Decimal | None) -> Decimal:
        """Write down what an answer cost, when it is first read; without a price it is the most that it may cost."""
        bound = self._release(whose)
        cost = bound if dollars is None else dollars
        self._counted.add(whose)
        path = self._files / COSTS
        with report_write_errors(path):
            if self._costs is None:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._costs = AppendFile(path)
            self._costs.append(f"{whose} {cost:f}\n".encode("ascii"))
        return cost

    # ---- requests

    def find(self, whose: str) -> tuple[BatchAnswer, str] | None:
        """The answer to a request, and the digits of the body it was asked with; None if there is none yet."""
        found = self._answers.get(whose)
        if found is None:
            return None
        part, offset, body = found
        with (self._files / f"{part}.answers").open("rb") as file:
            file.seek(offset)
            line = json.loads(file.readline())
        return BatchAnswer(status=line["status"], body=line["body"].encode("utf-8", "surrogateescape")), body

    def is_waiting(self, whose: str) -> bool:
        """Whether a request is in a part that has no answers yet."""
        return whose in self._waiting

    def count_unanswered(self, whose: str) -> int:
        """In how many batches a request was that ended without a result for it."""
        return self._unanswered[whose]

    # ----

    def _index(self, part: BatchRecord, ids: Mapping[str, Decimal | None]) -> None:
        """Know the answers of a collected part, and which of its requests have none."""
        left, offset = {name[:WHO] for name in ids}, 0
        for line in read_lines(self._files / f"{part.part}.answers"):
            name = str(json.loads(line)["name"])
            self._answers[name[:WHO]] = (part.part, offset, name[WHO:])
            left.discard(name[:WHO])
            offset += len(line)
            if name[:WHO] not in self._counted:
                self._hold(name[:WHO], ids.get(name))
        self._unanswered.update(left)

    def _write(self, event: Mapping[str, Any]) -> None:
        """Append one event, durably."""
        whole = {**event, "at": datetime.now(UTC).isoformat(timespec="milliseconds")}
        with report_write_errors(self._file.path):
            self._file.append(json.dumps(whole, separators=(",", ":")).encode() + b"\n", sync=True)
        self._apply(whole)

    def _apply(self, event: Mapping[str, Any]) -> None:
        kind = event.get("event")
        if kind == "begin":
            self._starts, self._walked = cast("Mapping[str, int]", event["journals"]), False
            self.refused = frozenset()
        elif kind == "end":
            self._starts, self._walked, self._gathered = None, False, False
        elif kind == "refused":
            self.refused |= set(event["names"])
        elif kind == "foreign":
            self.foreign.add(str(event["batch"]))
        elif kind == "walked":
            self._gathered, self._walked = True, bool(event.get("whole", True))
        else:
            self._walked = self._walked and kind == "state"
            apply_event(self.parts, event)
        if kind == "submitted" and event.get("found"):
            self._found.add(str(event["batch"]))
        if kind == "dropped" and event.get("count"):
            self._unanswered.update(name[:WHO] for name in self.names(str(event["part"])))


def apply_event(parts: dict[str, BatchRecord], event: Mapping[str, Any]) -> None:
    """Change the records by one event of a part; an unknown one changes nothing."""
    kind, part = event.get("event"), str(event.get("part", ""))
    if kind == "submit":
        at = datetime.fromisoformat(str(event["at"])).timestamp()
        fields = {name: event[name] for name in ("part", "channel", "model", "requests")}
        parts[part] = BatchRecord(**fields, submitted=at)
    elif part not in parts:
        return
    elif kind == "submitted":
        parts[part] = replace(parts[part], batch=str(event["batch"]), stage="open")
    elif kind == "state":
        parts[part] = replace(parts[part], done=int(event["done"]), said=str(event["said"]))
    elif kind == "collected":
        parts[part] = replace(parts[part], stage="collected", answered=int(event["answered"]))
    elif kind == "dropped":
        parts[part] = replace(parts[part], stage="dropped", said=str(event["why"]))


def load_events(path: Path) -> Iterator[Mapping[str, Any]]:
    """The events of a log, whole lines only. Raises HarnessError for a line that is not one."""
    for line in read_lines(path):
        try:
            event: object = json.loads(line)
        except ValueError:
            event = None
        if not isinstance(event, dict):
            raise HarnessError("a line of the batches' log is not JSON", where=str(path), remedy="restore the file")
        yield cast("Mapping[str, Any]", event)


@dataclass(slots=True)
class FolderBatches:
    """The batches of a run folder as a reader sees them.

    Attributes:
        parts: each batch.
        current: those of the cycle that has not ended.
        lost: the most dollars of batches whose results are gone.
    """

    parts: dict[str, BatchRecord] = field(default_factory=dict[str, BatchRecord])
    current: set[str] = field(default_factory=set[str])
    lost: Decimal = Decimal()

    @property
    def unfinished(self) -> list[BatchRecord]:
        """The batches whose answers are not all in the journals yet."""
        return [part for name, part in self.parts.items() if name in self.current and part.stage != "dropped"]


def list_batches(folder: Path) -> FolderBatches:
    """Read the batches of a run folder without a lock; none if it has never asked in batches."""
    found = FolderBatches()
    for event in load_events(folder / LOG):
        if event.get("event") == "end":
            found.current.clear()
        elif event.get("event") == "submit":
            found.current.add(str(event["part"]))
        found.lost += Decimal(str(event.get("lost_usd") or 0))
        apply_event(found.parts, event)
    return found


def read_costs(folder: Path) -> dict[str, Decimal]:
    """The dollars of each answer of a run folder's batches that was read, by whose it is."""
    words = (line.decode("ascii", "replace").split() for line in read_lines(folder / FOLDER / COSTS))
    return {each[0]: Decimal(each[1]) for each in words if len(each) == 2}
