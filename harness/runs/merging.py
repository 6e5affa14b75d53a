"""`harness merge`: makes the run of one process from the shards below its folder.

The lines of all shards are joined, file by file, and the results are computed from them. Nothing is asked, and no
data is opened, unless a shard has not ended: then its questions are listed from the data, so that they count as
unresolved.

How it stays whole: the merged run is built in `.shards/.merging`. When all of it is there, one rename makes it
`.shards/.merged`, and its files are moved into the run's folder: first the old run.json and results.json go, last the
new ones come. A merge that is killed leaves the shards as they were, and the same command goes on: it finishes the
moves of a merged run that was whole, and builds all others anew.

Nobody writes to a shard or moves it away while it is merged: its lock is held until the merged run is in its place.
"""

from __future__ import annotations

import gc
import json
import os
import shlex
import shutil
import time
from array import array
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from harness.errors import BadData, HarnessError, MissingData
from harness.evaluation.options import JudgeOptions
from harness.evaluation.plan import SplitJob, in_shard, survey_samples
from harness.evaluation.samples import add_run_settings, open_images
from harness.evaluation.splits import SplitPlan
from harness.files import atomic_write, lock_file
from harness.keys import messages_digest, request_key
from harness.progress.lines import Progress
from harness.runs.additions import recompute_results
from harness.runs.merge_notes import (
    Merged,
    list_incomplete,
    list_left_work,
    list_missing,
    list_waiting,
    score_whole_splits,
)
from harness.runs.merged_run import ASKED, PERSONS, EarlierMerge, add_contents, build_run_file, find_earlier
from harness.runs.results import ComputedResults, compute_results
from harness.runs.run import Run
from harness.runs.selection import load_jobs
from harness.runs.shard_set import ShardedRun, ShardRun, ShardSet, hold_shards, list_numbers, load_shards
from harness.runs.shards import format_shard
from harness.runs.stored import StoredRun
from harness.runs.writer import format_time
from harness.store.folder import RunFolder, check_inside, file_name
from harness.store.journal import encode_line
from harness.store.records import item_line
from harness.store.run_file import RunFile
from harness.store.shards import SHARDS, append_part, hash_item, hash_items, measure_whole_lines
from harness.types import Json, Sample

_BUILDING: Final = ".merging"
_WHOLE: Final = ".merged"
_LOCK: Final = ".merge.lock"
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
    _check_root(root)
    busy = HarnessError("another process merges these shards", where=str(folder), remedy="wait until it has ended")
    with lock_file(root / _LOCK, busy=busy):
        if (root / _WHOLE).is_dir():
            _move_into(place, root / _WHOLE)
        shutil.rmtree(root / _BUILDING, ignore_errors=True)
        with hold_shards(folder) as shards:
            options = JudgeOptions(data=data, task_settings=task_settings or {}, command=tuple(command))
            plans, computed = _build_run(shards, place, options, started)
            _move_into(place, root / _WHOLE)
    if computed is None:  # the folder has lines of its own
        computed = recompute_results(place, plans, command=command)
    place.log(f"{format_time(started)} merged {len(shards.runs)} shards {shlex.join(command)}")
    merged = Merged(shards=shards, place=place, options=options, plans=plans)
    notes = [*list_missing(merged), *computed.unread]
    notes += [f"{display} could not be scored: its task raised {fault}" for display, fault in computed.unscored.items()]
    for run in await score_whole_splits(merged, progress):
        notes += run.notes if run.exit_code else ()
    results = place.results
    notes += list_waiting(merged, results)
    notes += list_incomplete(results, shards.titles) if not notes else ()
    code = 3 if notes else 0
    notes += list_left_work(merged)
    return Run(folder=folder, results=results, exit_code=code, notes=tuple(dict.fromkeys(notes)))


def merge_shards(
    folder: Path | str, *, data: Path | str | None = None, task_settings: Mapping[str, Any] | None = None
) -> Run:
    """Merge the shards of a run, as `harness merge` does. It works in a new thread, so also in a notebook."""
    from anyio.from_thread import start_blocking_portal

    async def merge() -> Run:
        where = None if data is None else Path(data)
        command = ("harness.merge_shards", str(folder))
        return await merge_async(Path(folder), command=command, data=where, task_settings=task_settings)

    with start_blocking_portal() as portal:
        return portal.call(merge)


def _build_run(
    shards: ShardSet, place: RunFolder, options: JudgeOptions, started: float
) -> tuple[tuple[SplitPlan, ...], ComputedResults | None]:
    """Build the merged run whole, next to the shards.

    Args:
        shards: the shards, checked.
        place: the run's folder.
        options: where the data lies, and this invocation's arguments.
        started: Unix time in seconds.

    Returns:
        A plan of each split; and the results, or None if they wait until the run is in its place.
    """
    root = shards.base / SHARDS
    scratch = RunFolder(root / _BUILDING)
    scratch.path.mkdir()
    old = find_earlier(place, shards)
    file = build_run_file(shards, place, old, command=options.command, started=started)
    _write_run(scratch, file)
    # before there are lines: a plan needs none, and the ids of a large run need much memory
    jobs = {job.plan.title: job for job in load_jobs(scratch, options)[2]}
    plans = tuple(job.plan for job in jobs.values())
    left = {title: numbers for title in shards.titles if (numbers := shards.missing(title))}
    contents: dict[str, int] = {}
    with ThreadPoolExecutor(_COPIES) as pool:
        copies: list[Future[tuple[str, int]]] = []
        for display in dict.fromkeys(title.rpartition(":")[0] for title in shards.titles):
            name = file_name(display)
            (scratch.path / name).mkdir()
            for path in (place.path / name, *(place.path / name).glob("*.jsonl")):
                check_inside(place.path, path)
            asked, owners = _list_open(shards, display, jobs, left, file, contents)
            _check_items(shards, display, owners)
            sources: dict[str, list[Path]] = {}
            for run in shards.runs:
                for path in _list_files(run, name):
                    sources.setdefault(path.name, []).append(path)
            for each in sorted(sources):
                target = scratch.path / name / each
                lines = asked if each == ASKED else []
                copies.append(pool.submit(_join_lines, target, display, sources[each], lines, old))
        computed = None
        if old is None and not left:
            whole = ShardedRun(folder=scratch, file=file, shards=[each.folder.path for each in shards.runs])
            with _collect_rarely():
                computed = compute_results(whole, {}, plans=plans, command=options.command)
        sizes = dict(copy.result() for copy in copies)
    file = replace(add_contents(file, contents), merged={**file.merged, "files": sizes})
    file = file if old is None else old.enter_items(file, scratch, shards.titles)
    _write_run(scratch, file)
    if left and old is None:
        computed = compute_results(StoredRun(folder=scratch, file=file), {}, plans=plans, command=options.command)
    if computed is not None:
        text = json.dumps(computed.results, ensure_ascii=False, indent=1, allow_nan=False)
        atomic_write(scratch.path / "results.json", text + "\n")
    scratch.path.rename(root / _WHOLE)
    return plans, computed


def _check_items(shards: ShardSet, display: str, opened: Mapping[int, int]) -> None:
    """Raise HarnessError if a shard's asked.jsonl lacks lines, or a file has lines of another shard's items.

    Args:
        shards: the shards.
        display: the task.
        opened: hash of each item of a shard that has not ended -> the number of that shard.
    """
    import numpy as np

    name = file_name(display)
    asked: list[array[int]] = []
    for run in shards.runs:
        splits: Mapping[str, Any] = run.file.shard["splits"]
        here = sum(entry["here"] for title, entry in splits.items() if title.rpartition(":")[0] == display)
        path = run.folder.path / name / ASKED
        asked.append(hash_items(path))
        if len(asked[-1]) < here:
            raise HarnessError(
                f"this file lists {len(asked[-1])} questions, and shard {run.name} has {here} samples of {display}",
                where=str(path),
                remedy=f"restore it, or run the shard again: {shards.format_command(run.shard[0])} --fresh",
            )
    owners = np.concatenate([np.full(len(each), place, dtype=np.int32) for place, each in enumerate(asked)])
    items = np.concatenate([np.array(each, dtype=np.int64) for each in asked])
    order = np.argsort(items, kind="stable")
    items, owners = items[order], owners[order]
    doubled = np.flatnonzero(items[1:] == items[:-1])
    if len(doubled):
        first, second = (shards.runs[owners[doubled[0] + more]] for more in (0, 1))
        path = second.folder.path / name / ASKED
        raise _foreign_error(shards, path, int(items[doubled[0]]), second, first.name, again=first is second)
    for run, listed in zip(shards.runs, asked, strict=True):
        for item in listed if opened else ():
            if opened.get(item, run.shard[0]) != run.shard[0]:
                owner = format_shard((opened[item], shards.count))
                raise _foreign_error(shards, run.folder.path / name / ASKED, item, run, owner)
    for place, run in enumerate(shards.runs):
        for path in _list_files(run, name):
            if path.name == ASKED or not len(items):
                continue
            found = np.array(hash_items(path), dtype=np.int64)
            where = np.minimum(np.searchsorted(items, found), len(items) - 1)
            foreign = np.flatnonzero((items[where] == found) & (owners[where] != place))
            if len(foreign):
                owner = shards.runs[owners[where[foreign[0]]]].name
                raise _foreign_error(shards, path, int(found[foreign[0]]), run, owner)
            for item in hash_items(path) if opened else ():
                if opened.get(item, run.shard[0]) != run.shard[0]:
                    raise _foreign_error(shards, path, item, run, format_shard((opened[item], shards.count)))


def _foreign_error(
    shards: ShardSet, path: Path, item: int, run: ShardRun, owner: str, *, again: bool = False
) -> HarnessError:
    """An item of one shard is in a file of another: the merged run would count it twice, or take either answer."""
    lines = [number for number, each in enumerate(hash_items(path), 1) if each == item]
    there = owner in {each.name for each in shards.runs}
    whose = "a second time" if again else f"that shard {owner} lists too" if there else f"of shard {owner}"
    return HarnessError(
        f"line {lines[-1]} lists an item {whose}"
        if path.name == ASKED
        else f"line {lines[-1]} is of an item of shard {owner}, and this is shard {run.name}",
        where=str(path),
        remedy=f"remove that line, or run the shard again: {shards.format_command(run.shard[0])} --fresh",
    )


def _list_open(
    shards: ShardSet,
    display: str,
    jobs: Mapping[str, SplitJob],
    left: Mapping[str, Sequence[int]],
    file: RunFile,
    contents: dict[str, int],
) -> tuple[list[bytes], dict[int, int]]:
    """The lines of asked.jsonl for the questions of shards that have not ended, from the data; and its hash.

    Also the hash of each of their items -> the number of its shard.
    """
    lines, owners = list[bytes](), dict[int, int]()
    for title, numbers in left.items():
        if title.rpartition(":")[0] != display:
            continue
        job, whole = jobs[title], shards.having(title)[0]
        limit = whole.split(title).limit
        try:
            survey = survey_samples(job.plan.samples(), limit, (numbers[0], shards.count))
            if survey.listing != whole.file.shard["splits"][title]["listing"]:
                raise BadData(f"the data of {title} is not what the shards were asked", where=str(job.plan.root))
            for sample in job.plan.samples():
                cluster = sample.cluster or sample.id
                own = next((number for number in numbers if in_shard(cluster, (number, shards.count))), None)
                if own is None or (survey.taken is not None and cluster not in survey.taken):
                    continue
                for line, content in _list_items(sample, job, file):
                    lines.append(encode_line(line, shards.base / file_name(display) / ASKED))
                    owners[hash_item(lines[-1])] = own
                    contents[title] = (contents.get(title, 0) + int(content, 16)) % 2**256
        except (MissingData, BadData) as error:
            error.what = f"shards {list_numbers(numbers)} have not ended, and {error.what}"
            command = shards.format_command(numbers[0])
            error.remedy = f"run them: {command}\n  or say where the data is: --data DIR ({error.remedy})"
            raise
    return lines, owners


def _join_lines(
    target: Path, display: str, sources: Sequence[Path], lines: Sequence[bytes], old: EarlierMerge | None
) -> tuple[str, int]:
    """Write one file of the merged run: the lines of all shards, then those that are only in the earlier merged run.

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
        if old is not None:
            old.append_lines(file, target, display)
        file.flush()
        os.fsync(file.fileno())
    return f"{target.parent.name}/{target.name}", size


def _check_root(root: Path) -> None:
    """Raise HarnessError if the merged run cannot be built in the folder of the shards and moved out of it."""
    for path in (root / _LOCK, root / _BUILDING, root / _WHOLE):
        if path.is_symlink():
            raise HarnessError("this is a link, and no merge makes one", where=str(path), remedy="remove it")
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


def _list_files(run: ShardRun, name: str) -> Iterator[Path]:
    """The files of lines of one task in a shard."""
    for path in (run.folder.path / name).glob("*.jsonl"):
        if not path.name.startswith((".", PERSONS)):
            yield path


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


@contextmanager
def _collect_rarely() -> Generator[None]:
    """Look for cyclic garbage once in 100,000 new objects: a million lines make hardly any, and a look costs time."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
