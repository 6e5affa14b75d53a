"""The files about each element: a line for each step, and a record of each finished element.

Both are in `work/`. The step log, `<step>.jsonl`, gets a line for each seed and element when a step ends; the last line
with a key counts. A continued build walks all seeds again, from its stored calls, and appends only lines that differ.
For a stopped key the log holds the step and the kind of the stop, and no other byte.

Each walk rewrites `records.jsonl`. It is read in the order of the seeds; memory holds a number and an offset for each
record, and the last record read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Self, TypeVar, cast, overload

from harness import HarnessError, Json
from harness.files import AppendFile, atomic_write
from harness.keys import canonical
from harness.store.journal import load_lines
from harness_builder.calls.results import Halted, StepResult
from harness_builder.disk import disk_errors
from harness_builder.steps.probing import ProbeResult
from harness_builder.stops import KINDS
from harness_builder.values import (
    STEPS,
    Assessment,
    Element,
    End,
    Label,
    Pair,
    Question,
    Step,
    Subset,
    SubsetDecision,
    steps_before,
)

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from pydantic import TypeAdapter

RECORDS: Final = "records.jsonl"
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """How a seed or an element ended in one step.

    Attributes:
        step: of the build.
        key: of the seed or the element.
        end: `kept` if it continues.
        why: the reason, if it does not.
        made: what the step made, as plain JSON; empty if it was stopped.
        calls: digests of the step's calls.
        notes: for a person.
    """

    step: Step
    key: str
    end: End
    why: str = ""
    made: Mapping[str, Json] = field(default_factory=dict[str, Json])
    calls: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Json]:
        """The line of the file."""
        more = {"why": self.why, "made": dict(self.made), "calls": list(self.calls), "notes": list(self.notes)}
        return {"key": self.key, "end": self.end, **{name: value for name, value in more.items() if value}}


class StepLog:
    """The files of all steps, open for writing; a context manager.

    Args:
        folder: `work/` of the build. The caller ensures that no other process writes there.

    Raises:
        HarnessError: a file cannot be written, or holds a line that no build wrote.
    """

    def __init__(self, folder: Path) -> None:
        self._paths: dict[Step, Path] = {step: folder / f"{step}.jsonl" for step in STEPS}
        self._lines: dict[tuple[Step, str], int] = {}  # hash of the line that counts
        for step, path in self._paths.items():
            try:
                self._lines |= {(step, str(said["key"])): hash(canonical(said)) for said in load_lines(path)}
            except (ValueError, KeyError, TypeError):
                remedy = "move it away: the build rewrites it"
                raise HarnessError("a line is not from a build", where=str(path), remedy=remedy) from None
        with disk_errors(folder), ExitStack() as stack:
            self._files = {step: stack.enter_context(AppendFile(path)) for step, path in self._paths.items()}
            stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()

    def put(self, line: LogLine) -> None:
        """Append a line if it differs from the last one. The line of a stop erases the one before."""
        text = canonical(line.to_json())
        place = line.step, line.key
        before = self._lines.get(place)
        if before == hash(text):
            return
        if line.end == "stopped" and before is not None and before not in _bare_hashes(line.key):
            self._rewrite_without(line.step, line.key)
        with disk_errors(self._paths[line.step]):
            self._files[line.step].append(text.encode("utf-8", "backslashreplace") + b"\n")
        self._lines[place] = hash(text)

    def strike(self, key: str, lines: Iterable[LogLine]) -> None:
        """Erase a key in all steps, and write these lines, which hold only the kind of a stop."""
        self.erase(key)
        for each in lines:
            self.put(each)

    def erase(self, key: str, *, stopped: bool = False) -> None:
        """Erase the lines of a key in all steps; with `stopped` also lines that hold only the kind of a stop."""
        spared = frozenset[int]() if stopped else _bare_hashes(key)
        for step in STEPS:
            line = self._lines.get((step, key))
            if line is not None and line not in spared:
                self._rewrite_without(step, key)
                del self._lines[step, key]

    def knows(self, key: str) -> bool:
        """Whether a step has a line with this key."""
        return any((step, key) in self._lines for step in STEPS)

    def find_stop(self, key: str, why: str) -> Step | None:
        """The step that stopped a key for this reason, by its line."""
        line = _bare_hash(key, why)
        return next((step for step in reversed(STEPS) if self._lines.get((step, key)) == line), None)

    def _rewrite_without(self, step: Step, key: str) -> None:
        path = self._paths[step]
        # lines without the key's text are not parsed: there may be many lines, and many stops
        quoted = json.dumps(key, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()
        with disk_errors(path):
            with path.open(encoding="utf-8", newline="\n") as old:
                atomic_write(path, (line for line in old if quoted not in line or json.loads(line)["key"] != key))
            self._files[step].close()
            self._files[step] = AppendFile(path)


def read_step_log(folder: Path, step: Step) -> dict[str, dict[str, Json]]:
    """Key -> its last line in the log in `work/`."""
    return {str(said["key"]): said for said in load_lines(folder / f"{step}.jsonl")}


def _bare_hash(key: str, why: str) -> int:
    """The hash of a line that holds only the kind of a stop."""
    return hash(canonical(LogLine(step="elements", key=key, end="stopped", why=why).to_json()))


def _bare_hashes(key: str) -> frozenset[int]:
    return frozenset(_bare_hash(key, why) for why in ("", *KINDS))


# ---- an element on its way, and the record it becomes ----------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class Draft:
    """An element in progress: the results of its steps so far, and how it ended.

    Attributes:
        key: of the element.
        place: among those of its seed.
        lists: the call whose reply lists it.
        element, question, pair, opinion, sorted, probed, label: the result of each finished step.
        calls: digests of its calls, in order.
        lines: of its steps, in order.
        ended: the step and how; None while it continues.
        counted: steps that it passed, counted as `kept` once its seed is done.
    """

    key: str
    place: int
    lists: str = ""
    element: Element | None = None
    question: Question | None = None
    pair: Pair | None = None
    opinion: Assessment | None = None
    sorted: SubsetDecision | None = None
    probed: tuple[ProbeResult, ...] = ()
    label: Label | None = None
    calls: list[str] = field(default_factory=list[str])
    lines: list[LogLine] = field(default_factory=list[LogLine])
    ended: tuple[Step, Halted] | None = None
    counted: tuple[Step, ...] = ()

    def take(self, step: Step, result: StepResult[T] | Halted) -> T | None:
        """Note a step's result and return it; None if the element ended here."""
        if isinstance(result, Halted):
            self.end(step, result)
            return None
        self.calls += result.calls
        made = to_plain(result.value)
        self.lines.append(
            LogLine(step=step, key=self.key, end="kept", made=made, calls=result.calls, notes=result.notes)
        )
        return result.value

    def end(self, step: Step, halted: Halted) -> None:
        """End it here. The step's line has all calls of the step; after a stop all lines hold only the kind."""
        self.ended = (step, halted)
        calls = (*(call for each in self.lines if each.step == step for call in each.calls), *halted.calls)
        notes = (halted.note,) if halted.note else ()
        line = LogLine(step=step, key=self.key, end=halted.end, why=halted.why, calls=calls, notes=notes)
        if halted.end == "stopped":
            self.lines, self.calls = [LogLine(step=each.step, key=each.key, end="stopped") for each in self.lines], []
            line = LogLine(step=step, key=self.key, end="stopped", why=halted.why)
        self.lines = [*(each for each in self.lines if each.step != step), line]

    def close(self) -> None:
        """Free memory once the lines are written: an ended draft keeps only its place and its end."""
        if self.ended is None:
            self.counted = tuple(each.step for each in self.lines)
        else:
            self.counted = steps_before(self.ended[0])  # the lines of a stop do not hold it
            self.element = self.question = self.pair = self.opinion = self.sorted = self.label = None
            self.lines, self.calls = [replace(each, made={}, calls=(), notes=()) for each in self.lines], []

    def to_record(self, source: str) -> BuiltRecord:
        """The record of a finished element."""
        assert self.element
        assert self.question
        assert self.pair
        assert self.sorted
        return BuiltRecord(
            source=source,
            element=self.element,
            question=self.question,
            pair=self.pair,
            sorted=self.sorted,
            probed=self.probed,
            label=self.label,
            calls=tuple(self.calls),
        )


def to_plain(value: object) -> dict[str, Any]:
    """A step's result, as plain JSON without its key, which the line has."""
    if isinstance(value, tuple):
        return {"probes": [to_plain(each) for each in cast("tuple[object, ...]", value)]}
    found = asdict(cast("DataclassInstance", value))
    found.pop("key", None)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltRecord:
    """A finished element; the set is made of these.

    Attributes:
        source: name of the seed's source.
        element, question, pair, sorted: the result of each step.
        probed: results of the probes; empty if the plan asks for none.
        label: of a record of the subset `train`; None for the tests.
        calls: digests of all its calls, in order, the call of step `elements` first.
    """

    source: str
    element: Element
    question: Question
    pair: Pair
    sorted: SubsetDecision
    probed: tuple[ProbeResult, ...] = ()
    label: Label | None = None
    calls: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Of the element."""
        return self.element.key


class RecordFile(Sequence[BuiltRecord]):
    """The records of a walk in the order of their seeds, those of one seed in the order of `put`; a context manager.

    Args:
        folder: `work/` of the build.

    Raises:
        HarnessError: here and in every method: the disk cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / RECORDS
        with disk_errors(self.path):
            self._file: BinaryIO = self.path.open("w+b")
        self._places: list[tuple[int, int]] = []  # number of the seed, offset
        self._sorted = True
        self._end = 0
        self._last: tuple[int, BuiltRecord] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with disk_errors(self.path):
            self._file.close()

    def put(self, number: int, record: BuiltRecord) -> None:
        """Store a record of the seed with this number."""
        line = _record_adapter().dump_json(record) + b"\n"
        with disk_errors(self.path):
            self._file.write(line)
        self._places.append((number, self._end))
        self._end += len(line)
        self._sorted, self._last = False, None

    def of(self, *subsets: Subset) -> Iterator[BuiltRecord]:
        """The records of some subsets."""
        return (record for record in self if record.sorted.subset in subsets)

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, at: int) -> BuiltRecord: ...
    @overload
    def __getitem__(self, at: slice) -> list[BuiltRecord]: ...
    def __getitem__(self, at: int | slice) -> BuiltRecord | list[BuiltRecord]:
        if isinstance(at, slice):
            return [self[each] for each in range(*at.indices(len(self)))]
        if self._last is None or self._last[0] != at:
            if not self._sorted:
                self._places.sort()
                self._sorted = True
            _, offset = self._places[at]
            with disk_errors(self.path):
                self._file.seek(offset)
                line = self._file.readline()
                self._file.seek(0, os.SEEK_END)
            self._last = at, _record_adapter().validate_json(line)
        return self._last[1]


@cache
def _record_adapter() -> TypeAdapter[BuiltRecord]:
    from pydantic import TypeAdapter

    return TypeAdapter(BuiltRecord)
