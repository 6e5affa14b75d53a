"""Which folders a gate decides, and what is said of those that have no numbers yet.

A pattern keeps every run folder, with results or without: a run that was interrupted must close a gate, and not vanish
from it.
"""

from __future__ import annotations

import glob
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from harness.board.results import FILE
from harness.errors import HarnessError
from harness.evaluation.options import JudgeOptions, Options
from harness.remote import fetch_folders, is_remote
from harness.runs.catalog import find_run_folders
from harness.runs.gating.numbers import Unanswered, Unfinished
from harness.runs.option_record import format_command, read_options
from harness.runs.shard_set import ShardRun, ShardSet
from harness.store.folder import RunFolder
from harness.store.shards import list_shards

#: what a process that was killed before run.json was written leaves
_BEGUN = (".run.json.lock", ".writers.lock", "log.txt")


def find_places(given: Iterable[str]) -> tuple[list[Path], list[Path]]:
    """The runs that texts name, each once, and the folders that a pattern matches and that hold no run.

    Args:
        given: run folders, also at an address, results.json files, or patterns of them such as `runs/*`.

    Raises:
        HarnessError: a pattern matches no run.
    """
    places: list[Path] = []
    others: list[Path] = []
    for text in given:
        if is_remote(text):
            places += fetch_folders(text)
            continue
        if Path(text).exists() or not glob.has_magic(text):
            places.append(Path(text))
            continue
        matches = [Path(match) for match in sorted(glob.glob(text, recursive=True))]  # noqa: PTH207 - a user's pattern
        found = [match.parent if match.name == FILE else match for match in matches if _is_run(match)]
        if not found:
            raise HarnessError("no run matches", where=text, remedy="give run folders, as `harness run` printed them")
        places += found
        others += [match for match in matches if match.is_dir() and not _is_run(match)]
    return list(dict.fromkeys(places)), list(dict.fromkeys(others))


def _is_run(path: Path) -> bool:
    if path.is_file():
        return path.name == FILE
    return any((path / name).exists() for name in _BEGUN) or path in find_run_folders(path, 0)


def describe_absent(place: Path) -> HarnessError:
    """Why there is no results.json in a place, with the command that makes one."""
    where = str(place)
    if (place / "run.json").is_file():
        return Unanswered("the run has written no results yet", where=where, remedy=find_resume(place))
    if list_shards(place):
        return Unfinished("the shards of the run are not merged", where=where, remedy=_find_merge(place))
    if place.is_dir() and _is_run(place):
        remedy = "give the command that started it again: it continues"
        return Unfinished("the run ended before anything was written", where=where, remedy=remedy)
    return HarnessError("there is no run here", where=where, remedy="give a run folder")


def find_resume(folder: Path) -> str:
    """The command that goes on with a run, from its run.json; of a merged one that of a shard which is missing."""
    if list_shards(folder):
        return _find_merge(folder)
    try:
        file = RunFolder(folder).load_run()
        raw = cast("Mapping[str, Any]", file.running.get("options") or {})
        if raw:
            kind = raw.get("command", "run")
            if kind == "run":
                return format_command(read_options(Options, raw, str(folder)), "run", folder)
            return format_command(read_options(JudgeOptions, raw, str(folder)), kind, folder)
    except HarnessError:  # another version's, or it held a key
        return "give the command that started it again: it continues"
    asked = [each.command for each in file.history if each.command[:2] == ("harness", "run")]
    if not asked:
        return "give the command that started it again: it continues"
    return shlex.join(word for word in asked[-1] if word != "--fresh")


def _find_merge(folder: Path) -> str:
    """The commands that make one run of its shards: those of the shards that have not ended, then the merge."""
    found = list_shards(folder)
    count = max(of for _, of in found)
    runs: list[ShardRun] = []
    for shard, path in found.items():
        try:
            runs.append(ShardRun(shard=shard, folder=RunFolder(path), file=RunFolder(path).load_run()))
        except HarnessError:
            continue  # it counts as one that has not ended
    shards = ShardSet(base=folder, count=count, runs=tuple(runs))
    ended = {run.shard[0] for run in runs if run.file.history and run.file.history[-1].end == "done"}
    left = [number for number in range(count) if number not in ended]
    merge = shlex.join(["harness", "merge", str(folder)])
    if not left and (folder / "run.json").is_file():
        return f"run the shards with failed answers again, then {merge}"
    if not left:
        return merge
    return "; ".join(
        [*(f"shard {number}/{count}: {shards.format_command(number)}" for number in left), f"then {merge}"]
    )
