"""What suites are: names for tasks that are run together, with the settings and rubrics they are run with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Tasks that are run together: `--tasks NAME`.

    Attributes:
        name: stands wherever a task's name does; no task may have it.
        description: one line.
        tasks: `NAME` or `NAME:SPLIT`, in order; never another suite.
        task_settings: as `-T`: `NAME.key` -> value, for these tasks alone and their rubrics; what the user gives stands
            over it.
        judges: task, or entry of `tasks` -> name of the rubric that judges it here; where it needs a model, the user
            names it by `--judge RUBRIC=MODEL`. Such a flag reaches no other task of the suite, and `--judge MODEL`
            leaves it alone.
        mean: entries of `tasks` with one split each, whose main numbers have an unweighted mean.
        notes: what a reader of its numbers should know.
    """

    name: str
    description: str
    tasks: tuple[str, ...]
    task_settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    judges: Mapping[str, str] = field(default_factory=dict[str, str])
    mean: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def rubric(self, entry: str) -> str:
        """The rubric that is named for an entry of `tasks`; empty for none."""
        return self.judges.get(entry) or self.judges.get(entry.partition(":")[0], "")
