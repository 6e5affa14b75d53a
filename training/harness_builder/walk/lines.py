"""The lines of each step, `work/<step>.jsonl`: what every seed and element ended in, appended as it ends.

The last line with a key counts. A build that goes on walks all seeds again, out of what is kept of their calls, and
appends only what differs from what stands. Of something that was stopped there is the place it had, and the kind.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from harness import HarnessError, Json
from harness.keys import canonical
from harness.store.journal import lines as lines_of
from harness.store.journal import replace
from harness_builder.disk import writing
from harness_builder.stops import KINDS
from harness_builder.values import STEPS, End, Step

_MODE: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
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


class Lines:
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
        with writing(folder):
            self._files = {step: os.open(path, _MODE, 0o644) for step, path in self._paths.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files.values():
            os.close(file)

    def put(self, line: Line) -> None:
        """Append a line where it says something new."""
        text = canonical(line.written)
        stands = self._standing.get((line.step, line.key))
        if stands == hash(text):
            return
        if line.end == "stopped" and stands is not None and stands not in _bare(line.key):
            self._erase(line.step, line.key)
        data = text.encode("utf-8", "backslashreplace") + b"\n"
        with writing(self._paths[line.step]):
            if os.write(self._files[line.step], data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._standing[line.step, line.key] = hash(text)

    def strike(self, key: str, lines: Iterable[Line]) -> None:
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
        with writing(path):
            replace(path, _without(path, key))
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


def read_lines(folder: Path, step: Step) -> dict[str, dict[str, Json]]:
    """The line that counts of each key; none where the step has no file."""
    return {str(said["key"]): said for said in lines_of(folder / f"{step}.jsonl")}


def _stopped(key: str, why: str = "") -> str:
    """A line that says no more than that something was stopped, as it is written."""
    return canonical(Line(step="elements", key=key, end="stopped", why=why).written)


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
