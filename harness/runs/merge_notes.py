"""What a merge leaves to do, in notes: shards that are missing, and rubrics of a whole split.

A shard has only a part of a split, so a rubric that scores all answers at once is left to the merged run. One that is a
rule is asked here; for one that asks a model the command is printed.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.evaluation.options import JudgeOptions
from harness.evaluation.splits import SplitPlan
from harness.limits.endpoints import Policy
from harness.models import ModelSpec
from harness.progress.lines import Progress
from harness.runs.merged_run import PERSONS
from harness.runs.notes import FAILED, format_judge_command
from harness.runs.run import Run, judge_async
from harness.runs.shard_set import ShardSet, list_numbers
from harness.stats.draw import FILE as DRAW
from harness.store.folder import RunFolder, file_name
from harness.store.reader import read_answers


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """A merge whose run is in its place.

    Attributes:
        shards: the shards.
        place: the run's folder.
        options: where the data lies, and the arguments of the merge.
        plans: a plan of each split.
    """

    shards: ShardSet
    place: RunFolder
    options: JudgeOptions
    plans: tuple[SplitPlan, ...]


def list_missing(merge: Merged) -> Iterator[str]:
    """What each missing shard costs, and the command that runs it."""
    left: dict[tuple[int, ...], list[str]] = {}
    for title in merge.shards.titles:
        if numbers := merge.shards.missing(title):
            left.setdefault(numbers, []).append(title)
    begun = {run.shard[0] for run in merge.shards.runs}
    for numbers, titles in left.items():
        listed = list_numbers(numbers)
        single = len(numbers) == 1
        did = "ended" if begun.intersection(numbers) else "begun"
        what = f"has not {did}: its" if single else f"have not {did}: their"
        named = f"shard {listed}" if single else f"shards {listed} (--array={listed})"
        unasked = 0  # questions that no shard has asked
        for title in titles:
            display, _, name = title.rpartition(":")
            task = merge.place.task(display)
            unasked += sum(answer.response is None for answer in read_answers(task, name, ()))
        unanswered = f" ({unasked} unanswered)" if unasked else ""
        others = "" if single else ", the others in the same way"
        yield (
            f"{named} of {merge.shards.count} {what} samples of {', '.join(titles)} are unresolved{unanswered}; run "
            f"{merge.shards.format_command(numbers[0])}{others}, then merge again"
        )


def list_left_work(merge: Merged) -> Iterator[str]:
    """What people did in shards that cannot be of the merged run: their draws, and how far they have come."""
    names = {file_name(title.rpartition(":")[0]) for title in merge.shards.titles}
    for run in merge.shards.runs:
        folders = [run.folder.path / name for name in names]
        drawn = any((folder / DRAW).exists() for folder in folders)
        files = [path for folder in folders for path in folder.glob(f"{PERSONS}*.jsonl")]
        sessions = sorted({path.stem.removeprefix(PERSONS) for path in files})
        if drawn or sessions:
            whose = f" of {', '.join(sessions)}" if sessions else ""
            yield (
                f"shard {run.name}: the labels{whose} are in the merged run as verdicts; the draw and the sessions "
                f"stay in the shard, since they are of its answers alone; "
                f"harness label {shlex.quote(str(merge.shards.base))} draws from all answers"
            )


async def score_whole_splits(merge: Merged, progress: Progress | None) -> list[Run]:
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
            ),
            progress=progress,
        )
        for entry, titles in groups.values()
    ]


def list_waiting(merge: Merged, results: Mapping[str, Any]) -> Iterator[str]:
    """The commands that finish the run by judges that ask a model."""
    place, file = merge.place, merge.place.load_run()
    deferred = list(_list_deferred(merge))
    commands: dict[str, list[str]] = {}
    for title, entry in deferred:
        if not entry["model"]:
            continue
        display, _, name = title.rpartition(":")
        # a task whose scoring raised is not in the results
        split = results["tasks"].get(display, {}).get("splits", {}).get(name, {})
        judges = (split.get("judge"), *split.get("other_judges", ()))
        cards = [file.judges[judge] for judge in judges if judge in file.judges]
        if all(card["rubric"] != entry["rubric"] for card in cards):
            words = ["harness", "judge", str(place.path), "--judge", f"{entry['rubric']}={entry['model']}"]
            words += [word for key, value in entry["judge_settings"].items() for word in ("-J", f"{key}={value}")]
            given = entry["settings"].items()
            words += [word for key, value in given for word in ("-T", f"{entry['rubric']}.{key}={value}")]
            words += ["--primary"] if entry["primary"] else []
            commands.setdefault(shlex.join(words), []).append(title)
    for command, titles in commands.items():
        yield f"{', '.join(titles)}: the rubric scores all answers at once, by a model; finish with: {command}"
    waiting = [
        plan
        for plan in merge.plans
        if plan.title in merge.shards.titles
        and not plan.judges
        and file.tasks[plan.display].splits[plan.name].judge is None
        and not any(title == plan.title for title, _ in deferred)
    ]
    if waiting:
        model = ModelSpec(ref=file.model.ref)
        options = merge.options.of(model, file.overrides.generation, file.overrides.system)
        yield format_judge_command(waiting, options, place.path)


def list_incomplete(results: Mapping[str, Any], titles: Sequence[str]) -> Iterator[str]:
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


def _list_deferred(merge: Merged) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Title and rubric, of each rubric of a whole split that the shards left out. A split that lacks shards waits."""
    for title in merge.shards.titles:
        if not merge.shards.missing(title):
            first = merge.shards.having(title)[0]
            yield from ((title, entry) for entry in first.file.shard["splits"][title]["deferred"])
