"""Reads the answers of several shards as those of one run, shard by shard, in the memory that one of them needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.runs.stored import StoredRun
from harness.store.bulk import read_task
from harness.store.folder import RunFolder
from harness.store.reader import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardedRun(StoredRun):
    """A merged run whose lines are still in its shards.

    Attributes:
        shards: their folders.
    """

    shards: Sequence[Path] = field(default_factory=list[Path])

    def judges_of(self, display: str) -> tuple[str, ...]:
        """Ids of all judges with a file in a shard."""
        found = {judge for path in self.shards for judge in RunFolder(path).task(display).judges()}
        return tuple(sorted(found))

    def repeats_of(self, display: str, judge: str) -> tuple[str, ...]:
        """Ids of a judge's repeats with a file in a shard, in order."""
        found = (RunFolder(path).task(display).repeats(judge) for path in self.shards)
        return max(found, key=len, default=())

    def task_answers(self, display: str, judges: Sequence[str]) -> Iterator[Answer]:
        """Each asked item of a task, shard by shard."""
        for path in self.shards:
            yield from read_task(RunFolder(path).task(display), tuple(self.file.tasks[display].splits), judges)
