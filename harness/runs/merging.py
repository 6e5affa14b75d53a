"""`harness merge`: makes the run of one process from the shards below its folder.

The lines of all shards are joined, file by file, and the results are computed from them. Nothing is asked, and no
data is opened, unless a shard has not ended: then its questions are listed from the data, so that they count as
unresolved.

How it stays whole: the merged run is built in `.shards/.merging`. When all of it is there, one rename makes it
`.shards/.merged`, and its files are moved into the run's folder: first the old run.json and results.json go, last the
new ones come. A merge that is killed leaves the shards as they were, and the same command goes on: it finishes the
moves of a merged run that was whole, and builds all others anew.

Merging again takes what the shards have now. What was added to the merged run itself since then (verdicts of `harness
judge`, labels) stays: run.json keeps how much of each file came from the shards, and all behind it is carried over.
asked.jsonl is rewritten by a run, so of it the items are carried over that no shard has.

Nobody writes to a shard or moves it away while it is merged: its lock is held until the merged run is in its place.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from harness.errors import BadData, HarnessError, MissingData
from harness.evaluation.options import JudgeOptions, Options
from harness.evaluation.plan import SplitJob, in_shard, survey_samples
from harness.evaluation.samples import add_run_settings, open_images
from harness.evaluation.splits import SplitPlan
from harness.files import atomic_write, lock_file, read_lines
from harness.keys import messages_digest, request_key
from harness.limits.endpoints import Policy
from harness.progress.lines import Progress
from harness.runs.additions import recompute_results
from harness.runs.costs import join_prices
from harness.runs.notes import FAILED, format_judge_command
from harness.runs.results import ComputedResults, compute_results
from harness.runs.run import Run, judge_async
from harness.runs.selection import load_jobs
from harness.runs.shard_set import ShardedRun, ShardRun, ShardSet, hold_shards, list_numbers, load_shards
from harness.runs.stored import StoredRun
from harness.runs.writer import format_time
from harness.stats.draw import FILE as DRAW
from harness.store.folder import RunFolder, check_inside, file_name
from harness.store.journal import encode_line
from harness.store.journal import place as place_of
from harness.store.listing import Asked
from harness.store.reader import read_answers
from harness.store.records import item_line
from harness.store.run_file import Invocation, RunFile, SplitEntry, TaskEntry
from harness.store.shards import SHARDS, append_part, count_lines, measure_whole_lines
from harness.types import Json, Sample

_BUILDING: Final = ".merging"
_WHOLE: Final = ".merged"
_LOCK: Final = ".merge.lock"
_ASKED: Final = "asked.jsonl"
_PERSONS: Final = "labels-"  # a person's session: no number is made of it, and its draw is of one shard
_COPIES: Final = 4


async def merge_async(
    folder: Path,
    *,
    command: Sequence[str] = (),
    data: Path | None = None,
    task_settings: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Run:
    """Make one run of the shards below a folder, as one process would have made it.

    Args:
        folder: the run's folder, as `--output` named it.
        command: this invocation's arguments.
        data: the data folder, for the questions of shards that have not ended; None for the shards' own.
        task_settings: as `-T`; only a task's data folder is looked at.
        progress: receives the progress of rules that score a whole split; None for no output.

    Returns:
        The run. Its exit code is 3 where a shard is missing or answers wait for a judge.

    Raises:
        HarnessError: there are no shards, or they do not belong together; the message names them and the command that
            mends it. The folder is then unchanged.
    """
    started = time.time()
    place = RunFolder(folder)
    root = folder / SHARDS
    if not root.is_dir():
        load_shards(folder)  # says that there is none
    _check_disk(root)
    busy = HarnessError("another process merges these shards", where=str(folder), remedy="wait until it has ended")
    with lock_file(root / _LOCK, busy=busy):
        if (root / _WHOLE).is_dir():
            _move_into(place, root / _WHOLE)
        shutil.rmtree(root / _BUILDING, ignore_errors=True)
        with hold_shards(folder) as shards:
            merge = _Merge(
                shards=shards,
                place=place,
                options=JudgeOptions(data=data, task_settings=task_settings or {}),
                command=tuple(command),
                started=started,
            )
            computed = merge.build()
            _move_into(place, root / _WHOLE)
    if computed is None:  # the folder has lines of its own
        computed = recompute_results(place, merge.plans, command=command)
    place.log(f"{format_time(started)} merged {len(merge.shards.runs)} shards {shlex.join(command)}")
    notes = [*merge.list_missing(), *computed.unread]
    notes += [f"{display} could not be scored: its task raised {fault}" for display, fault in computed.unscored.items()]
    scored = await _score_whole_splits(merge, progress)
    for run in scored:
        notes += run.notes if run.exit_code else ()
    notes += _list_waiting(merge)
    results = place.results
    notes += _list_incomplete(results, merge.shards.titles) if not notes else ()
    code = 3 if notes else 0
    notes += merge.list_left_work()
    return Run(folder=folder, results=results, exit_code=code, notes=tuple(dict.fromkeys(notes)))


def merge_shards(
    folder: Path | str, *, data: Path | str | None = None, task_settings: Mapping[str, Any] | None = None
) -> Run:
    """Call `merge_async` from ordinary code, in a new thread, so it works in a notebook."""
    from anyio.from_thread import start_blocking_portal

    async def merge() -> Run:
        where = None if data is None else Path(data)
        command = ("harness.merge_shards", str(folder))
        return await merge_async(Path(folder), command=command, data=where, task_settings=task_settings)

    with start_blocking_portal() as portal:
        return portal.call(merge)


@dataclass(slots=True, kw_only=True)
class _Merge:
    """One merge.

    Attributes:
        shards: the shards, checked.
        place: the run's folder.
        options: where the data lies.
        command: this invocation's arguments.
        started: Unix time in seconds.
        plans: a plan of each split; set by `build`.
    """

    shards: ShardSet
    place: RunFolder
    options: JudgeOptions
    command: tuple[str, ...]
    started: float
    plans: tuple[SplitPlan, ...] = ()

    def build(self) -> ComputedResults | None:
        """Build the merged run whole, next to the shards. None if its results wait until it is in its place."""
        root = self.shards.base / SHARDS
        scratch = RunFolder(root / _BUILDING)
        scratch.path.mkdir()
        old = self._load_old()
        file = self._merge_files(old)
        _write_run(scratch, file)
        # before there are lines: a plan needs none, and the ids of a large run need much memory
        jobs = {job.plan.title: job for job in load_jobs(scratch, self.options)[2]}
        self.plans = tuple(job.plan for job in jobs.values())
        left = {title: numbers for title in self.shards.titles if (numbers := self.shards.missing(title))}
        contents: dict[str, int] = {}
        with ThreadPoolExecutor(_COPIES) as pool:
            copies: list[Future[tuple[str, int]]] = []
            for display in dict.fromkeys(title.rpartition(":")[0] for title in self.shards.titles):
                name = file_name(display)
                (scratch.path / name).mkdir()
                for path in (self.place.path / name, *(self.place.path / name).glob("*.jsonl")):
                    check_inside(self.place.path, path)
                asked = self._list_open(display, jobs, left, file, contents)
                self._check_listed(display)
                sources: dict[str, list[Path]] = {}
                for run in self.shards.runs:
                    for path in _list_files(run, name):
                        sources.setdefault(path.name, []).append(path)
                for each in sorted(sources):
                    target = scratch.path / name / each
                    lines = asked if each == _ASKED else []
                    copies.append(pool.submit(self._join, target, f"{name}/{each}", sources[each], lines, old))
            computed = None
            if old is None and not left:
                whole = ShardedRun(folder=scratch, file=file, shards=[each.folder.path for each in self.shards.runs])
                computed = compute_results(whole, {}, plans=self.plans, command=self.command)
            sizes = dict(copy.result() for copy in copies)
        file = replace(_add_contents(file, contents), merged={**file.merged, "files": sizes})
        file = self._enter_own_items(file, old, scratch)
        _write_run(scratch, file)
        if left and old is None:
            computed = compute_results(StoredRun(folder=scratch, file=file), {}, plans=self.plans, command=self.command)
        if computed is not None:
            text = json.dumps(computed.results, ensure_ascii=False, indent=1, allow_nan=False)
            atomic_write(scratch.path / "results.json", text + "\n")
        scratch.path.rename(root / _WHOLE)
        return computed

    def _load_old(self) -> RunFile | None:
        """The run of an earlier merge, if it has something of its own. Raises HarnessError for another run."""
        old = self.place.run
        if old is None:
            return None
        if not old.merged:
            raise HarnessError(
                "this folder holds a run of its own besides its shards",
                where=str(self.place.path),
                remedy="move its run.json, results.json and task folders away, or give the shards another --output",
            )
        sizes: Any = old.merged.get("files")
        if not isinstance(sizes, Mapping) or not all(type(size) is int and size >= 0 for size in sizes.values()):
            raise HarnessError(
                "run.json is damaged: it does not say how much of each file came from the shards",
                where=str(self.place.path / "run.json"),
                remedy="restore it; or move it away with results.json and the task folders, and merge again",
            )
        for path in self.place.path.glob("*/*.jsonl"):
            if path.name.startswith(_PERSONS) or path.stat().st_size != sizes.get(_name_of(path)):
                return old
        tasks = {title.rpartition(":")[0] for title in self.shards.titles}
        return None if old.tasks.keys() <= tasks and not _list_own(old) else old

    def _merge_files(self, old: RunFile | None) -> RunFile:
        """run.json of the merged run."""
        runs, first = self.shards.runs, self.shards.first.file
        before = self.place.run
        now = time.time()
        history = [
            replace(entry, extra={**entry.extra, "shard": run.name}) for run in runs for entry in run.file.history
        ]
        history.sort(key=lambda entry: entry.started)
        history += () if old is None else _list_own(old)
        history.append(
            Invocation(
                started=format_time(self.started),
                finished=format_time(now),
                seconds=round(now - self.started, 3),
                command=self.command,
                tasks=self.shards.titles,
                end="done",
                reason="",
            )
        )
        tasks: dict[str, TaskEntry] = {}
        for title in self.shards.titles:
            display, _, name = title.rpartition(":")
            having = self.shards.having(title)
            entry = tasks.get(display) or replace(
                having[0].file.tasks[display], splits=self._find_own_splits(display, old)
            )
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
            merged={"of": self.shards.count, "shards": [run.shard[0] for run in runs], "files": {}},
        )

    def _find_own_splits(self, display: str, old: RunFile | None) -> Mapping[str, SplitEntry]:
        """The splits of a task of the shards that only the merged run itself was asked."""
        asked = self._find_own_asked(self.place.path / file_name(display) / _ASKED, old)
        if old is None or asked is None or display not in old.tasks:
            return {}
        names = [name for name in asked.list_splits() if f"{display}:{name}" not in self.shards.titles]
        return {name: old.tasks[display].splits[name] for name in names if name in old.tasks[display].splits}

    def _join(
        self, target: Path, name: str, sources: Sequence[Path], lines: Sequence[bytes], old: RunFile | None
    ) -> tuple[str, int]:
        """Write one file of the merged run: the lines of all shards, then those that are only in the old merged run.

        Returns its name, and the bytes that came from the shards.
        """
        with target.open("wb") as file:
            for source in sources:
                if not source.exists():
                    raise HarnessError("this file of a shard was taken away while it was merged", where=str(source))
                append_part(file, source, 0, measure_whole_lines(source))
            file.writelines(lines)
            file.flush()
            size = file.tell()
            own = self.place.path / name
            if old is not None and target.name == _ASKED:
                asked = self._find_own_asked(own, old)  # it is rewritten by each run, so no part of it is at its place
                file.writelines(() if asked is None else _list_other_items(asked.path, target))
            elif old is not None and own.exists():
                end = measure_whole_lines(own)
                append_part(file, own, min(end, old.merged["files"].get(name, 0)), end)
            file.flush()
            os.fsync(file.fileno())
        return name, size

    def _find_own_asked(self, path: Path, old: RunFile | None) -> Asked | None:
        """What the merged run itself asked since the last merge; None if nothing."""
        size = path.stat().st_size if path.exists() else 0
        return None if old is None or size in (0, old.merged["files"].get(_name_of(path))) else Asked(path)

    def _enter_own_items(self, file: RunFile, old: RunFile | None, scratch: RunFolder) -> RunFile:
        """run.json with the limit of each split of which the merged run itself was asked more than its shards."""
        tasks = dict(file.tasks)
        before: Mapping[str, TaskEntry] = {} if old is None else old.tasks
        for display, entry in before.items():
            path = Path(file_name(display)) / _ASKED
            if str(path) not in file.merged["files"] or self._find_own_asked(self.place.path / path, old) is None:
                continue
            own = _find_items(self.place.path / path)
            shards = _find_items(scratch.path / path, file.merged["files"][str(path)])
            for name, was in entry.splits.items():
                more = own.get(name, set()) - shards.get(name, set())
                less = shards.get(name, set()) - own.get(name, set())
                if not more or f"{display}:{name}" not in self.shards.titles:
                    continue
                if less:
                    raise HarnessError(
                        f"of {display}:{name}, the merged run itself was asked {len(more)} questions that no shard has"
                        f", and shards {len(less)} that it was not",
                        where=str(self.place.path / path),
                        remedy="run the shards, or the run itself, with the larger --limit and --epochs of both",
                    )
                new = replace(tasks[display].splits[name], limit=was.limit, epochs=was.epochs, content=was.content)
                tasks[display] = replace(tasks[display], splits={**tasks[display].splits, name: new})
        return replace(file, tasks=tasks)

    def _check_listed(self, display: str) -> None:
        """Raise HarnessError if a shard's asked.jsonl has fewer lines than its run.json has samples."""
        for run in self.shards.runs:
            splits: Mapping[str, Any] = run.file.shard["splits"]
            here = sum(entry["here"] for title, entry in splits.items() if title.rpartition(":")[0] == display)
            path = run.folder.path / file_name(display) / _ASKED
            listed = count_lines(path)
            if listed < here:
                raise HarnessError(
                    f"this file lists {listed} questions, and shard {run.name} has {here} samples of {display}",
                    where=str(path),
                    remedy=f"restore it, or run the shard again: {self.shards.format_command(run.shard[0])} --fresh",
                )

    def _list_open(
        self,
        display: str,
        jobs: Mapping[str, SplitJob],
        left: Mapping[str, Sequence[int]],
        file: RunFile,
        contents: dict[str, int],
    ) -> list[bytes]:
        """The lines of asked.jsonl for the questions of shards that have not ended, from the data; and its hash."""
        lines: list[bytes] = []
        for title, numbers in left.items():
            if title.rpartition(":")[0] != display:
                continue
            job, whole = jobs[title], self.shards.having(title)[0]
            limit = whole.split(title).limit
            try:
                survey = survey_samples(job.plan.samples(), limit, (numbers[0], self.shards.count))
                if survey.listing != whole.file.shard["splits"][title]["listing"]:
                    raise BadData(f"the data of {title} is not what the shards were asked", where=str(job.plan.root))
                count = self.shards.count
                for sample in job.plan.samples():
                    cluster = sample.cluster or sample.id
                    taken = survey.taken is None or cluster in survey.taken
                    if taken and any(in_shard(cluster, (number, count)) for number in numbers):
                        for line, content in _list_items(sample, job, file):
                            lines.append(encode_line(line, self.place.path / _ASKED))
                            contents[title] = (contents.get(title, 0) + int(content, 16)) % 2**256
            except (MissingData, BadData) as error:
                error.what = f"shards {list_numbers(numbers)} have not ended, and {error.what}"
                command = self.shards.format_command(numbers[0])
                error.remedy = f"run them: {command}\n  or say where the data is: --data DIR ({error.remedy})"
                raise
        return lines

    def list_left_work(self) -> Iterator[str]:
        """What people did in shards that cannot be of the merged run: their draws, and how far they have come."""
        names = {file_name(title.rpartition(":")[0]) for title in self.shards.titles}
        for run in self.shards.runs:
            folders = [run.folder.path / name for name in names]
            drawn = any((folder / DRAW).exists() for folder in folders)
            files = [path for folder in folders for path in folder.glob(f"{_PERSONS}*.jsonl")]
            sessions = sorted({path.stem.removeprefix(_PERSONS) for path in files})
            if drawn or sessions:
                whose = f" of {', '.join(sessions)}" if sessions else ""
                yield (
                    f"shard {run.name}: the labels{whose} are in the merged run as verdicts; the draw and the sessions "
                    f"stay in the shard, since they are of its answers alone; "
                    f"harness label {shlex.quote(str(self.shards.base))} draws from all answers"
                )

    def list_missing(self) -> Iterator[str]:
        """What each missing shard costs, and the command that runs it."""
        left: dict[tuple[int, ...], list[str]] = {}
        for title in self.shards.titles:
            if numbers := self.shards.missing(title):
                left.setdefault(numbers, []).append(title)
        begun = {run.shard[0] for run in self.shards.runs}
        for numbers, titles in left.items():
            listed = list_numbers(numbers)
            what = "has not ended" if len(numbers) == 1 else "have not ended"
            if not begun.intersection(numbers):
                what = "has not begun" if len(numbers) == 1 else "have not begun"
            named = f"shard {listed}" if len(numbers) == 1 else f"shards {listed} (--array={listed})"
            unasked = sum(self._count_unasked(title) for title in titles)
            lacks = f"what it lacks of {', '.join(titles)} is unresolved"
            if unasked:
                lacks += (
                    f", not asked {unasked} (shard {listed}/{self.shards.count}), which the table counts as unanswered"
                )
            yield (
                f"{named} of {self.shards.count} {what}: {lacks}; run "
                f"{self.shards.format_command(numbers[0])}, then merge again"
            )

    def _count_unasked(self, title: str) -> int:
        """Questions of a split that no shard has asked, in the merged run."""
        display, _, name = title.rpartition(":")
        return sum(answer.response is None for answer in read_answers(self.place.task(display), name, ()))


def _check_disk(root: Path) -> None:
    """Raise HarnessError if the merged run could not be moved out of the folder of the shards."""
    if root.stat().st_dev != root.parent.stat().st_dev:
        raise HarnessError(
            f"{SHARDS} lies on another disk than its run, so the merged run cannot be moved from there in one step",
            where=str(root),
            remedy=f"let {SHARDS} be a folder here; the folders of the shards in it may be links to other disks",
        )


def _move_into(place: RunFolder, whole: Path) -> None:
    """Put a merged run that is whole in its place. Goes on where an earlier process was killed."""
    with place.hold_alone():
        # until all is moved there is no run: nobody reads, judges or verifies half of one
        if (whole / "run.json").exists():
            paths = sorted(whole.glob("*/*.jsonl"))
            targets = [check_inside(place.path, place.path / path.parent.name / path.name) for path in paths]
            (place.path / "results.json").unlink(missing_ok=True)
            (place.path / "run.json").unlink(missing_ok=True)
            for path, target in zip(paths, targets, strict=True):
                target.parent.mkdir(exist_ok=True)
                path.replace(target)
            (whole / "run.json").replace(place.path / "run.json")
        if (whole / "results.json").exists():
            (whole / "results.json").replace(place.path / "results.json")
        shutil.rmtree(whole)


def _write_run(folder: RunFolder, file: RunFile) -> None:
    atomic_write(folder.path / "run.json", json.dumps(file.as_json(), ensure_ascii=False, indent=1) + "\n")


def _name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _list_own(file: RunFile) -> tuple[Invocation, ...]:
    """What was done in a merged run's folder itself, merges left out."""
    return tuple(entry for entry in file.history if "shard" not in entry.extra and "merge" not in entry.command[:2])


def _list_files(run: ShardRun, name: str) -> Iterator[Path]:
    """The files of lines of one task in a shard."""
    for path in (run.folder.path / name).glob("*.jsonl"):
        if not path.name.startswith((".", _PERSONS)):
            yield path


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


def _list_other_items(asked: Path, known: Path) -> Iterator[bytes]:
    """The lines of a file asked.jsonl whose items another does not have."""
    items = _find_items(known)
    for line in read_lines(asked):
        item = json.loads(line)
        if place_of(item["id"], item["epoch"]) not in items.get(item["split"], ()):
            yield line


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


def _add_contents(file: RunFile, contents: Mapping[str, int]) -> RunFile:
    """run.json with the data of the questions that were listed for missing shards."""
    tasks = dict(file.tasks)
    for title, content in contents.items():
        display, _, name = title.rpartition(":")
        entry = tasks[display].splits[name]
        whole = f"{(int(entry.content, 16) + content) % 2**256:064x}"
        tasks[display] = replace(tasks[display], splits={**tasks[display].splits, name: replace(entry, content=whole)})
    return replace(file, tasks=tasks)


def _list_items(sample: Sample, job: SplitJob, file: RunFile) -> Iterator[tuple[dict[str, Json], str]]:
    """The lines of asked.jsonl of one sample, as its run would write them; the hash of its data with the first."""
    opened, _ = open_images(sample)
    content = messages_digest(opened.request, opened.turns).rpartition(":")[2]
    asked = add_run_settings(opened, job.plan.generation, file.overrides.system)
    for epoch in range(job.epochs):
        key = request_key(
            request=asked.request,
            task=job.plan.display,
            version=job.plan.task.version,
            model=file.identity_digest,
            epoch=epoch,
            turns=asked.turns,
        )
        yield item_line(asked, epoch, key), content if epoch == 0 else "0"


async def _score_whole_splits(merge: _Merge, progress: Progress | None) -> list[Run]:
    """Score the splits by the rules that shards left to the merged run."""
    groups: dict[str, tuple[Mapping[str, Any], list[str]]] = {}
    for title, entry in _list_deferred(merge):
        if not entry["model"]:
            groups.setdefault(json.dumps(entry, sort_keys=True), (entry, []))[1].append(title)
    return [
        await judge_async(
            merge.place.path,
            replace(
                merge.options,
                judges=(entry["rubric"],),
                task_settings={
                    **merge.options.task_settings,
                    **{f"{entry['rubric']}.{key}": value for key, value in entry["settings"].items()},
                },
                tasks=tuple(titles),
                primary=entry["primary"],
                policy=Policy(),
                command=merge.command,
            ),
            progress=progress,
        )
        for entry, titles in groups.values()
    ]


def _list_deferred(merge: _Merge) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Title and rubric, of each rubric of a whole split that the shards left out. A split that lacks shards waits."""
    for title in merge.shards.titles:
        if not merge.shards.missing(title):
            first = merge.shards.having(title)[0]
            yield from ((title, entry) for entry in first.file.shard["splits"][title]["deferred"])


def _list_waiting(merge: _Merge) -> Iterator[str]:
    """The commands that finish the run by judges that ask a model."""
    place = merge.place
    commands: dict[str, list[str]] = {}
    for title, entry in _list_deferred(merge):
        if entry["model"] and not _has_judged(place, title, entry["rubric"]):
            words = ["harness", "judge", str(place.path), "--judge", f"{entry['rubric']}={entry['model']}"]
            words += [word for key, value in entry["judge_settings"].items() for word in ("-J", f"{key}={value}")]
            given = entry["settings"].items()
            words += [word for key, value in given for word in ("-T", f"{entry['rubric']}.{key}={value}")]
            words += ["--primary"] if entry["primary"] else []
            commands.setdefault(shlex.join(words), []).append(title)
    for command, titles in commands.items():
        yield f"{', '.join(titles)}: the rubric scores all answers at once, by a model; finish with: {command}"
    file = place.load_run()
    waiting = [
        plan
        for plan in merge.plans
        if plan.title in merge.shards.titles
        and not plan.judges
        and file.tasks[plan.display].splits[plan.name].judge is None
        and not any(title == plan.title for title, _ in _list_deferred(merge))
    ]
    if waiting:
        yield format_judge_command(waiting, _options_of(merge, file), place.path)


def _options_of(merge: _Merge, file: RunFile) -> Options:
    from harness.models import ModelSpec

    return merge.options.of(ModelSpec(ref=file.model.ref), file.overrides.generation, file.overrides.system)


def _has_judged(place: RunFolder, title: str, rubric: str) -> bool:
    """Whether a judge of this rubric has read the merged answers of a split."""
    file = place.load_run()
    display, _, name = title.rpartition(":")
    split = place.results["tasks"][display]["splits"][name]
    return any(
        file.judges[judge]["rubric"] == rubric
        for judge in (split["judge"], *split["other_judges"])
        if judge is not None and judge in file.judges
    )


def _list_incomplete(results: Mapping[str, Any], titles: Sequence[str]) -> Iterator[str]:
    """The splits whose coverage is too low, though all shards have ended."""
    for title in titles:
        display, _, name = title.rpartition(":")
        split = results["tasks"].get(display, {}).get("splits", {}).get(name)
        if split is not None and not split["complete"]:
            left = {state: count for state, count in split["verdicts"].items() if count and state != "scored"}
            left |= {name: count for name in FAILED if (count := split["outcomes"].get(name, 0))}
            coverage = "nothing was asked" if split["coverage"] is None else f"coverage {split['coverage']:.1%}"
            listed = ", ".join((coverage, *(f"{state} {count}" for state, count in left.items())))
            yield f"{title} is incomplete: {listed}; run the shards again and merge, or judge the merged run again"
