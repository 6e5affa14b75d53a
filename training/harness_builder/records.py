"""What comes out of the walk: records to be, and how everything else ended.

The lines of each step, `work/<step>.jsonl`: what every seed and element ended in, appended as it ends.

The last line with a key counts. A build that goes on walks all seeds again, out of what is kept of their calls, and
appends only what differs from what stands. Of something that was stopped there is the place it had, and the kind.

What came all the way, `work/records.jsonl`: written as it comes, read in the order of the seeds.

The file is of one walk and made anew by each; in memory there are a number and an offset for each record, and the one
that was read last.

One element's way through the steps: what was made of it so far, and how it ended.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Self, TypeVar, cast, overload

from harness import HarnessError, Json
from harness.keys import canonical
from harness.store.journal import lines as lines_of
from harness.store.journal import replace as replace_file
from harness_builder.calls.results import Halted, StepResult
from harness_builder.disk import disk_errors
from harness_builder.quality import ProbeResult
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
    before,
)

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from pydantic import TypeAdapter


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltRecord:
    """An element that came all the way; the output is made of these.

    Attributes:
        source: name of the seed's source.
        element, question, pair, sorted: what each step made.
        probed: what the probes said; none where they were not asked for.
        label: of a record of the subset `train`; None for the tests.
        calls: digests of all calls on its way, in order, that of the elements first.
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


_MODE: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """What one thing ended in, in one step.

    Attributes:
        step: of the build.
        key: of the seed or the element.
        end: `kept` where it went on.
        why: where it did not; empty else.
        made: what the step made, as plain JSON; nothing where it was stopped.
        calls: digests of the calls it took.
        notes: for a person.
    """

    step: Step
    key: str
    end: End
    why: str = ""
    made: Mapping[str, Json] = field(default_factory=dict[str, Json])
    calls: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def written(self) -> dict[str, Json]:
        """As it stands in the file."""
        said: dict[str, Json] = {"key": self.key, "end": self.end}
        if self.why:
            said["why"] = self.why
        if self.made:
            said["made"] = dict(self.made)
        if self.calls:
            said["calls"] = list(self.calls)
        if self.notes:
            said["notes"] = list(self.notes)
        return said


class StepLog:
    """The files of all steps, open for writing.

    Args:
        folder: `work/` of the build; the caller sees to it that no other process writes there.

    Raises:
        HarnessError: a file cannot be written, or holds what is no line of ours.
    """

    def __init__(self, folder: Path) -> None:
        self._paths: dict[Step, Path] = {step: folder / f"{step}.jsonl" for step in STEPS}
        self._standing: dict[tuple[Step, str], int] = {}
        for step, path in self._paths.items():
            self._read(step, path)
        with disk_errors(folder):
            self._files = {step: os.open(path, _MODE, 0o644) for step, path in self._paths.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files.values():
            os.close(file)

    def put(self, line: LogLine) -> None:
        """Append a line where it says something new."""
        text = canonical(line.written)
        stands = self._standing.get((line.step, line.key))
        if stands == hash(text):
            return
        if line.end == "stopped" and stands is not None and stands not in _bare(line.key):
            self._erase(line.step, line.key)
        data = text.encode("utf-8", "backslashreplace") + b"\n"
        with disk_errors(self._paths[line.step]):
            if os.write(self._files[line.step], data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._standing[line.step, line.key] = hash(text)

    def strike(self, key: str, lines: Iterable[LogLine]) -> None:
        """Something was stopped: these lines, which hold the kind alone, are all that stays of it in any step."""
        self.erase(key)
        for each in lines:
            self.put(each)

    def erase(self, key: str, *, stopped: bool = False) -> None:
        """Take away what stands of a key in all steps; what only says that it was stopped where that is asked for."""
        bare = frozenset[int]() if stopped else _bare(key)
        for step in STEPS:
            stands = self._standing.get((step, key))
            if stands is not None and stands not in bare:
                self._erase(step, key)
                del self._standing[step, key]

    def knows(self, key: str) -> bool:
        """Whether a line of some step stands with this key."""
        return any((step, key) in self._standing for step in STEPS)

    def stopped_in(self, key: str, why: str) -> Step | None:
        """The step whose line says that a key was stopped there for this reason; None where none does."""
        said = hash(_stopped(key, why))
        return next((step for step in reversed(STEPS) if self._standing.get((step, key)) == said), None)

    def _erase(self, step: Step, key: str) -> None:
        """Nothing of what was kept before it was stopped may stay."""
        path = self._paths[step]
        with disk_errors(path):
            replace_file(path, _without(path, key))
            os.close(self._files[step])
            self._files[step] = os.open(path, _MODE, 0o644)

    def _read(self, step: Step, path: Path) -> None:
        """Know what stands, and cut a line that was begun and not ended."""
        if not path.exists():
            return
        try:
            for said in lines_of(path):
                self._standing[step, str(said["key"])] = hash(canonical(said))
        except (ValueError, KeyError, TypeError):
            remedy = "move it away: it is written anew"
            raise HarnessError("a line is none of a build", where=str(path), remedy=remedy) from None
        _cut(path)


def read_step_log(folder: Path, step: Step) -> dict[str, dict[str, Json]]:
    """The line that counts of each key; none where the step has no file."""
    return {str(said["key"]): said for said in lines_of(folder / f"{step}.jsonl")}


def _stopped(key: str, why: str = "") -> str:
    """A line that says no more than that something was stopped, as it is written."""
    return canonical(LogLine(step="elements", key=key, end="stopped", why=why).written)


def _bare(key: str) -> frozenset[int]:
    return frozenset(hash(_stopped(key, why)) for why in ("", *KINDS))


def _without(path: Path, key: str) -> Iterator[str]:
    """All other lines; those that do not name the key are not read, for there may be many and a stop in each."""
    named = json.dumps(key, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()
    with path.open(encoding="utf-8", newline="\n") as file:
        yield from (line for line in file if named not in line or json.loads(line)["key"] != key)


def _cut(path: Path) -> None:
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        end = size
        while end:
            step = min(end, 1 << 16)
            file.seek(end - step)
            at = file.read(step).rfind(b"\n")
            if at >= 0:
                file.truncate(end - step + at + 1)
                return
            end -= step
        file.truncate(0)


NAME = "records.jsonl"


class RecordFile(Sequence[BuiltRecord]):
    """The records of a walk, in the order of their seeds, those of one seed as they were put.

    Args:
        folder: `work/` of the build.

    Raises:
        HarnessError: here and in every method: the disk does not take it.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        with disk_errors(self.path):
            self._file: BinaryIO = self.path.open("w+b")
        self._places: list[tuple[int, int]] = []
        self._sorted = True
        self._end = 0
        self._last: tuple[int, BuiltRecord] | None = None

    def __len__(self) -> int:
        return len(self._places)

    def put(self, number: int, made: BuiltRecord) -> None:
        """Keep a record of the seed that was walked as the one of this number."""
        line = _adapter().dump_json(made) + b"\n"
        with disk_errors(self.path):
            self._file.write(line)
        self._places.append((number, self._end))
        self._end += len(line)
        self._sorted, self._last = False, None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with disk_errors(self.path):
            self._file.close()

    @overload
    def __getitem__(self, at: int) -> BuiltRecord: ...
    @overload
    def __getitem__(self, at: slice) -> list[BuiltRecord]: ...
    def __getitem__(self, at: int | slice) -> BuiltRecord | list[BuiltRecord]:
        if isinstance(at, slice):
            return [self[each] for each in range(*at.indices(len(self)))]
        if self._last is None or self._last[0] != at:
            self._last = at, self._read(at)
        return self._last[1]

    def _read(self, at: int) -> BuiltRecord:
        if not self._sorted:
            self._places.sort()
            self._sorted = True
        _, offset = self._places[at]
        with disk_errors(self.path):
            self._file.seek(offset)
            line = self._file.readline()
            self._file.seek(0, os.SEEK_END)
        return parse_record(line)

    def of(self, *subsets: Subset) -> Iterator[BuiltRecord]:
        """Those of some subsets."""
        return (made for made in self if made.sorted.subset in subsets)


def parse_record(line: bytes) -> BuiltRecord:
    """One line of the file. Raises ValueError for any other."""
    return _adapter().validate_json(line)


@cache
def _adapter() -> TypeAdapter[BuiltRecord]:
    from pydantic import TypeAdapter

    return TypeAdapter(BuiltRecord)


T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Draft:
    """See the module.

    Attributes:
        key: of the element.
        place: among those of its seed.
        lists: the call that listed them.
        element, question, pair, opinion, sorted, probed, label: what each step made, as far as it came.
        calls: that it took, in order.
        lines: of its steps, in order.
        ended: how; None while it goes on.
        counted: steps that it went on from, in which it is counted as kept, once its seed is through.
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

    def took(self, step: Step, passed: StepResult[T] | Halted) -> T | None:
        """What a step made, noted; None where it ended here."""
        if isinstance(passed, Halted):
            self.end(step, passed)
            return None
        self.calls += passed.calls
        made = plain(passed.value)
        self.lines.append(
            LogLine(step=step, key=self.key, end="kept", made=made, calls=passed.calls, notes=passed.notes)
        )
        return passed.value

    def add(self, calls: tuple[str, ...]) -> None:
        """More calls of the step that it took last."""
        self.calls += calls
        self.lines[-1] = replace(self.lines[-1], calls=(*self.lines[-1].calls, *calls))

    def end(self, step: Step, ended: Halted) -> None:
        """It goes no further. What had been made in the step gives way, its calls stay; of a stop nothing but the kind
        does."""
        self.ended = (step, ended)
        calls = (*(call for each in self.lines if each.step == step for call in each.calls), *ended.calls)
        line = LogLine(step=step, key=self.key, end=ended.end, why=ended.why, calls=calls, notes=_noted(ended))
        if ended.end == "stopped":
            self.lines, self.calls = [LogLine(step=each.step, key=each.key, end="stopped") for each in self.lines], []
            line = LogLine(step=step, key=self.key, end="stopped", why=ended.why)
        self.lines = [each for each in self.lines if each.step != step]
        self.lines.append(line)

    def close(self) -> None:
        """Its lines are written down: what ended needs no more in memory than its place and how it ended."""
        if self.ended is None:
            self.counted = tuple(each.step for each in self.lines)
        else:
            self.counted = before(self.ended[0])  # its lines say no more where it was stopped
            self.element = self.question = self.pair = self.opinion = self.sorted = self.label = None
            self.lines, self.calls = [replace(each, made={}, calls=(), notes=()) for each in self.lines], []


def plain(value: object) -> dict[str, Any]:
    """What a step made as plain JSON, without its key, which the line has."""
    if isinstance(value, tuple):
        return {"probes": [plain(each) for each in cast("tuple[object, ...]", value)]}
    found = asdict(cast("DataclassInstance", value))
    found.pop("key", None)
    return found


def _noted(ended: Halted) -> tuple[str, ...]:
    return (ended.note,) if ended.note else ()
