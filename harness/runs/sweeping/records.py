"""What a sweep keeps of its units below `OUTPUT/.sweep/`: how each last ended, its log, and who works on it.

A unit is claimed by a lock, which the system frees however its holder ends, so two sweeps of one folder never run a
unit twice. The run folder has locks of its own besides.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, cast

from harness.errors import HarnessError
from harness.files import HeldLock, atomic_write, lock_file
from harness.runs.catalog import ListedRun, read_listed_run
from harness.runs.sweeping.plan import SweepPlan, Unit
from harness.types import Json

FOLDER: Final = ".sweep"
UnitState = Literal["complete", "incomplete", "answered", "pending", "running", "failed", "interrupted", "waiting"]
STATES: Final[tuple[UnitState, ...]] = (
    "complete",
    "incomplete",
    "answered",
    "pending",
    "running",
    "failed",
    "interrupted",
    "waiting",
)
INTERRUPTED: Final = 130
_TAIL: Final = 1 << 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """How a unit last ended.

    Attributes:
        digest: of what was asked.
        phase: `run`, `answers`, or `judge`.
        code: its exit code; None if its process died.
        message: why it is not done; empty if it is.
        seconds: of all its attempts together.
    """

    digest: str
    phase: str = "run"
    code: int | None = None
    message: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A unit as it stands.

    Attributes:
        unit: the unit.
        state: its state.
        why: what is missing or went wrong; empty if it is complete.
        code: its last exit code; None if its process died, or if it was never run.
        seconds: of all its attempts.
        run: its run folder as `harness runs` lists it; None if there is none.
        log: where its output is.
    """

    unit: Unit
    state: UnitState
    why: str = ""
    code: int | None = None
    seconds: float = 0.0
    run: ListedRun | None = None
    log: Path = field(default_factory=Path)

    def as_json(self) -> dict[str, Json]:
        """The row in sweep.json."""
        listed: Mapping[str, Json] = {} if self.run is None else self.run.as_json()
        return {
            "name": self.unit.name,
            "model": self.unit.model,
            **({"strategy": self.unit.strategy} if self.unit.strategy else {}),
            **({"attack": self.unit.attack} if self.unit.attack else {}),
            "folder": str(self.unit.folder),
            "state": self.state,
            "why": self.why or None,
            "exit_code": self.code,
            "gpus": self.unit.gpus,
            "seconds": round(self.seconds, 3),
            "cost_usd": listed.get("cost_usd"),
            "numbers": listed.get("numbers") or [],
            "log": str(self.log) if self.log.exists() else None,
        }


class Records:
    """The records of one sweep."""

    def __init__(self, plan: SweepPlan) -> None:
        self.folder = plan.output / FOLDER

    def log(self, unit: Unit) -> Path:
        """The file with the unit's output."""
        return self.folder / f"{unit.name}.log"

    def load(self, unit: Unit) -> Record | None:
        """The unit's record; None if it has none that can be read."""
        try:
            raw: dict[str, Any] = json.loads(self._path(unit).read_bytes())
            return Record(**raw)
        except (OSError, ValueError, TypeError):
            return None

    def save(self, unit: Unit, record: Record) -> None:
        """Keep how the unit ended."""
        self.folder.mkdir(parents=True, exist_ok=True)
        atomic_write(self._path(unit), json.dumps(asdict(record), ensure_ascii=False), sync=False)

    def add(self, unit: Unit, *, phase: str, code: int | None, message: str, started: float) -> None:
        """Keep how an attempt ended that began at this time."""
        before = self.load(unit)
        seconds = time.time() - started + (before.seconds if before else 0.0)
        self.save(unit, Record(digest=unit.digest, phase=phase, code=code, message=message, seconds=seconds))

    def claim(self, unit: Unit) -> HeldLock | None:
        """Hold the unit until it is released; None if another process works on it."""
        busy = HarnessError("another sweep works on it", remedy="wait until it has ended")
        try:
            return lock_file(self.folder / f"{unit.name}.lock", busy=busy)
        except HarnessError as error:
            if error is busy:
                return None
            raise

    def find_row(self, unit: Unit, *, apart: bool, claimed: bool = False) -> Row:
        """How the unit stands, by its record and its run folder.

        Args:
            unit: the unit.
            apart: whether its judge comes after its answers.
            claimed: whether this process works on it.
        """
        record = self.load(unit)
        listed = read_listed_run(unit.folder) if (unit.folder / "run.json").is_file() else None
        made = Row(unit=unit, state="waiting", run=listed, log=self.log(unit))
        if record is None or record.digest != unit.digest:
            if listed is None:
                return made
            why = "it was not run by this sweep, or was asked something else: the sweep goes on with it"
            return replace(made, state="running" if listed.state == "running" and not claimed else "waiting", why=why)
        made = replace(made, code=record.code, seconds=record.seconds)
        if listed is not None and listed.state == "running" and not claimed:
            return replace(made, state="running", why=listed.why)
        if record.code == INTERRUPTED:
            return replace(made, state="interrupted", why="it was interrupted")
        if record.code not in (0, 3):
            return replace(made, state="failed", why=record.message)
        if listed is None:
            return replace(made, state="waiting", why="its run folder is gone", run=None)
        if apart and record.phase == "answers" and listed.state in ("complete", "incomplete"):
            return replace(made, state="answered", why="no judge has read its answers yet")
        if listed.state == "complete":
            return replace(made, state="complete")
        state = cast("UnitState", listed.state if listed.state in STATES else "failed")
        return replace(made, state=state, why=listed.why or record.message)

    def find_rows(self, plan: SweepPlan) -> list[Row]:
        """How each unit stands."""
        return [self.find_row(unit, apart=plan.apart) for unit in plan.units]

    def _path(self, unit: Unit) -> Path:
        return self.folder / f"{unit.name}.json"


def find_message(log: Path, start: int) -> str:
    """The last error in a log from this byte on, or else its last line; empty if there is none."""
    try:
        with log.open("rb") as file:
            end = file.seek(0, 2)
            file.seek(max(start, end - _TAIL))
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    except OSError:
        return ""
    if errors := [line for line in lines if line.startswith(("error: ", "Error: "))]:
        return errors[-1].partition("rror: ")[2]
    return lines[-1] if lines else ""
