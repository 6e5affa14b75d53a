"""run.json of a merged run, and what was added to a merged run since it was merged.

Merging again takes what the shards have now. What was added to the merged run itself (verdicts of `harness judge`,
labels, questions of a larger `--limit`) stays: run.json keeps how much of each file came from the shards, and all
behind it is carried over. asked.jsonl is rewritten by a run, so of it the items are carried over that no shard has.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Final, cast

from harness.errors import HarnessError
from harness.files import read_lines
from harness.runs.costs import join_prices
from harness.runs.shard_set import ShardRun, ShardSet
from harness.runs.writer import format_time
from harness.store.folder import RunFolder, file_name
from harness.store.journal import place as place_of
from harness.store.listing import Asked
from harness.store.run_file import Invocation, RunFile, SplitEntry, TaskEntry
from harness.store.shards import append_part, measure_whole_lines

ASKED: Final = "asked.jsonl"
PERSONS: Final = "labels-"  #: a person's session: no number is made of it, and its draw is of one shard


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierMerge:
    """A merged run to which something was added since.

    Attributes:
        folder: its folder.
        file: its run.json.
    """

    folder: RunFolder
    file: RunFile

    @property
    def history(self) -> tuple[Invocation, ...]:
        """What was done in the folder itself, merges left out."""
        entries = self.file.history
        return tuple(entry for entry in entries if "shard" not in entry.extra and "merge" not in entry.command[:2])

    def find_asked(self, display: str) -> Asked | None:
        """What it asked of a task itself; None if nothing."""
        name = f"{file_name(display)}/{ASKED}"
        path = self.folder.path / name
        size = path.stat().st_size if path.exists() else 0
        return None if size in (0, self.file.merged["files"].get(name, 0)) else Asked(path)

    def find_splits(self, display: str, titles: Sequence[str]) -> Mapping[str, SplitEntry]:
        """The splits of a task that it was asked itself, and that are not among those of the shards."""
        asked = self.find_asked(display)
        if asked is None or display not in self.file.tasks:
            return {}
        splits = self.file.tasks[display].splits
        return {
            name: splits[name] for name in asked.list_splits() if f"{display}:{name}" not in titles and name in splits
        }

    def append_lines(self, target: IO[bytes], path: Path, display: str) -> None:
        """Append to a file of the new merged run what is in this one alone."""
        name = f"{path.parent.name}/{path.name}"
        own = self.folder.path / name
        if path.name != ASKED:
            if own.exists():
                end = measure_whole_lines(own)
                append_part(target, own, min(end, self.file.merged["files"].get(name, 0)), end)
        elif self.find_asked(display) is not None:  # it is rewritten by each run, so no part of it is at its place
            known = _find_items(path)
            for line in read_lines(own):
                item = json.loads(line)
                if place_of(item["id"], item["epoch"]) not in known.get(item["split"], ()):
                    target.write(line)

    def enter_items(self, file: RunFile, scratch: RunFolder, titles: Sequence[str]) -> RunFile:
        """run.json of the new merged run with the limit of each split of which this one was asked more than the shards.

        Raises HarnessError if the shards were also asked what this one was not.
        """
        tasks = dict(file.tasks)
        for display, entry in self.file.tasks.items():
            name = f"{file_name(display)}/{ASKED}"
            if name not in file.merged["files"] or self.find_asked(display) is None:
                continue
            own = _find_items(self.folder.path / name)
            shards = _find_items(scratch.path / name, file.merged["files"][name])
            for split, was in entry.splits.items():
                more = own.get(split, set()) - shards.get(split, set())
                less = shards.get(split, set()) - own.get(split, set())
                if not more or f"{display}:{split}" not in titles:
                    continue
                if less:
                    raise HarnessError(
                        f"of {display}:{split}, the merged run itself was asked {len(more)} questions that no shard has"
                        f", and shards {len(less)} that it was not",
                        where=str(self.folder.path / name),
                        remedy="run the shards, or the run itself, with the larger --limit and --epochs of both",
                    )
                new = replace(tasks[display].splits[split], limit=was.limit, epochs=was.epochs, content=was.content)
                tasks[display] = replace(tasks[display], splits={**tasks[display].splits, split: new})
        return replace(file, tasks=tasks)


def find_earlier(place: RunFolder, shards: ShardSet) -> EarlierMerge | None:
    """The merged run in a folder, if it has something of its own. Raises HarnessError for another run."""
    old = place.run
    if old is None:
        return None
    if not old.merged:
        raise HarnessError(
            "this folder holds a run of its own besides its shards",
            where=str(place.path),
            remedy="move its run.json, results.json and task folders away, or give the shards another --output",
        )
    files: object = old.merged.get("files")
    sizes = cast("Mapping[str, Any]", files) if isinstance(files, Mapping) else {"": None}
    if not all(type(size) is int and size >= 0 for size in sizes.values()):
        raise HarnessError(
            "run.json is damaged: it does not say how much of each file came from the shards",
            where=str(place.path / "run.json"),
            remedy="restore it; or move it away with results.json and the task folders, and merge again",
        )
    earlier = EarlierMerge(folder=place, file=old)
    for path in place.list_line_files():
        if path.name.startswith(PERSONS) or path.stat().st_size != sizes.get(f"{path.parent.name}/{path.name}"):
            return earlier
    tasks = {title.rpartition(":")[0] for title in shards.titles}
    return None if old.tasks.keys() <= tasks and not earlier.history else earlier


def build_run_file(
    shards: ShardSet, place: RunFolder, earlier: EarlierMerge | None, *, command: tuple[str, ...], started: float
) -> RunFile:
    """run.json of the merged run, which does not yet say how much of each file came from the shards.

    Args:
        shards: the shards.
        place: the run's folder.
        earlier: an earlier merge with something of its own; None for none.
        command: this invocation's arguments.
        started: its start, in Unix seconds.
    """
    runs, first = shards.runs, shards.first.file
    old, before = None if earlier is None else earlier.file, place.run
    now = time.time()
    history = [replace(entry, extra={**entry.extra, "shard": run.name}) for run in runs for entry in run.file.history]
    history.sort(key=lambda entry: entry.started)
    history += () if earlier is None else earlier.history
    history.append(
        Invocation(
            started=format_time(started),
            finished=format_time(now),
            seconds=round(now - started, 3),
            command=command,
            tasks=shards.titles,
            end="done",
            reason="",
        )
    )
    tasks: dict[str, TaskEntry] = {}
    for title in shards.titles:
        display, _, name = title.rpartition(":")
        having = shards.having(title)
        own: Mapping[str, SplitEntry] = {} if earlier is None else earlier.find_splits(display, shards.titles)
        entry = tasks.get(display) or replace(having[0].file.tasks[display], splits=own)
        was = None if old is None or display not in old.tasks else old.tasks[display].splits.get(name)
        tasks[display] = replace(entry, splits={**entry.splits, name: _merge_split(title, having, was)})
    files = [*(run.file for run in runs), *(() if old is None else (old,))]
    notes = dict.fromkeys(note for file in files for note in file.model.notes)
    return replace(
        first,
        # tells this run from others (`--upload`), so a shard that comes later does not change it
        started=min(file.started for file in files) if before is None else before.started,
        model=replace(first.model, notes=tuple(notes)),
        plugins=_join_all(file.plugins for file in files),
        judges=_join_all(file.judges for file in files),
        prices=join_prices(file.prices for file in files),
        suites=_join_all(file.suites for file in files),
        tasks=({} if old is None else dict(old.tasks)) | tasks,
        probe=next((file.probe for file in files if file.probe is not None), None),
        history=tuple(history),
        shard={},
        merged={"of": shards.count, "shards": [run.shard[0] for run in runs], "files": {}},
    )


def _find_items(path: Path, end: int | None = None) -> dict[str, set[int]]:
    """Split -> its items in a file asked.jsonl, up to a byte."""
    found: dict[str, set[int]] = {}
    done = 0
    for line in read_lines(path):
        done += len(line)
        if end is not None and done > end:
            break
        item = json.loads(line)
        found.setdefault(item["split"], set()).add(place_of(item["id"], item["epoch"]))
    return found


def _join_all(mappings: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """All entries; the first with a name stays."""
    joined: dict[str, Any] = {}
    for mapping in mappings:
        joined = {**mapping, **joined}
    return joined


def _merge_split(title: str, having: Sequence[ShardRun], was: SplitEntry | None) -> SplitEntry:
    """The entry of a split in run.json; `was` is that of an earlier merge, whose judges may have changed."""
    entries = [run.split(title) for run in having]
    first = entries[0]
    refused = {name for entry in entries for name, value in entry.generation.items() if value is None}
    drawn: dict[str, str] = {}
    for entry in entries:
        for judge, last in entry.drawn.items():
            drawn[judge] = min(last, drawn.get(judge, last))
    new = replace(
        first,
        generation={name: None if name in refused else value for name, value in first.generation.items()},
        content=f"{sum(int(entry.content or '0', 16) for entry in entries) % 2**256:064x}",
        drawn=drawn,
    )
    if was is None:
        return new
    return replace(
        new,
        judge=was.judge or new.judge,
        min_coverage=was.min_coverage,
        maps={**new.maps, **was.maps},
        drawn={**new.drawn, **was.drawn},
    )


def add_contents(file: RunFile, contents: Mapping[str, int]) -> RunFile:
    """run.json with the data of the questions that were listed for missing shards."""
    tasks = dict(file.tasks)
    for title, content in contents.items():
        display, _, name = title.rpartition(":")
        entry = tasks[display].splits[name]
        whole = f"{(int(entry.content, 16) + content) % 2**256:064x}"
        tasks[display] = replace(tasks[display], splits={**tasks[display].splits, name: replace(entry, content=whole)})
    return replace(file, tasks=tasks)
