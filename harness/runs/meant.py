"""What of a stored run `--tasks` means where it may name a split that is pooled from others, such as `mis:test`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.errors import UnknownName
from harness.evaluation.options import JudgeOptions
from harness.evaluation.splits import SplitPlan
from harness.runs.past import stored
from harness.store.folder import RunFolder
from harness.store.run_file import RunFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Meant:
    """What is wanted of a run.

    Attributes:
        file: its run.json.
        plans: the splits that have to be read.
        titles: `task:split` of what was named, of pooled splits too; None for all that is read.
    """

    file: RunFile
    plans: tuple[SplitPlan, ...]
    titles: frozenset[str] | None

    def holds(self, title: str, parts: Sequence[str] = ()) -> bool:
        """Whether a split was named: itself, or all of its parts, by their titles."""
        return self.titles is None or title in self.titles or (bool(parts) and self.titles.issuperset(parts))


def meant(folder: RunFolder, tasks: Sequence[str]) -> Meant:
    """What some names mean; none for all of the run.

    Raises:
        HarnessError: there is no run.
        UnknownName: it has no such task, or not all parts of a pooled split.
    """
    pooled = {name: found for name in tasks if (found := dict(_pooled(folder, name)))}
    parts = [title for found in pooled.values() for each in found.values() for title in each]
    others = tuple(name for name in tasks if name not in pooled)
    file, plans = _read(folder, (*others, *parts))
    if not pooled:
        return Meant(file=file, plans=plans, titles=None)
    named = {title for found in pooled.values() for title in found}
    if others:
        named |= {plan.title for plan in _read(folder, others)[1]}
    return Meant(file=file, plans=plans, titles=frozenset(named))


def _read(folder: RunFolder, tasks: Sequence[str]) -> tuple[RunFile, tuple[SplitPlan, ...]]:
    file, _, assignments = stored(folder, JudgeOptions(tasks=tuple(tasks)))
    return file, tuple(each.plan for each in assignments)


def _pooled(folder: RunFolder, name: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The titles of the pooled splits that a name means, each with those of its parts; none for any other name."""
    task, _, split = name.rpartition(":")
    file = folder.run
    for display, entry in file.tasks.items() if file else ():
        if task not in (display, entry.task) or split in entry.splits:
            continue
        splits = _read(folder, (f"{display}:{next(iter(entry.splits))}",))[1][0].splits
        parts = splits[split].parts if split in splits else ()
        if missing := [part for part in parts if part not in entry.splits]:
            raise UnknownName(
                f"the run has not asked all of {name!r}",
                where=str(folder.path),
                remedy=f"{', '.join(missing)} is missing: harness run --tasks {display}:{missing[0]} … asks it",
            )
        if parts:
            yield f"{display}:{split}", tuple(f"{display}:{part}" for part in parts)
