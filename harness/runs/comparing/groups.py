"""Sides of a comparison that are several runs: which runs belong together, and how a side is named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.board.leaderboard import name_runs
from harness.errors import HarnessError
from harness.runs.comparing.comparison import Side, SideSeed
from harness.runs.comparing.sides import ComparedRun, find_mismatches
from harness.runs.seed_groups import SEED, build_group_key, find_group_seed, name_group
from harness.runs.shards import format_shard
from harness.runs.stored import open_run


def group_paths(sides: Sequence[Sequence[Path]], by: str) -> list[list[Path]]:
    """The runs of one side each as they are, and the others with those that they differ from in this alone.

    Args:
        sides: the runs of each side.
        by: `seed`, or the name of a model's setting.
    """
    found: dict[str, list[Path]] = {}
    for number, side in enumerate(sides):
        results = open_run(side[0]).folder.results if len(side) == 1 else {}
        single = not results or find_group_seed(results, by) is None
        found.setdefault(f"side {number}" if single else build_group_key(results, by), []).extend(side)
    return list(found.values())


def join_runs(runs: Sequence[ComparedRun], by: str) -> ComparedRun:
    """Several runs as one side: the first one, with the others as its twins, and only the splits that all have.

    Raises:
        HarnessError: they differ in more than a seed, or not in a seed, or were not measured alike.
    """
    by = by or SEED
    first = runs[0]
    where = ", ".join(str(run.stored.folder.path) for run in runs)
    for run in runs:
        if not run.results:
            raise HarnessError(
                "this run has no results.json, which says its seed",
                where=str(run.stored.folder.path),
                remedy="let it end: give the same `harness run` command again",
            )
    seeds = [find_group_seed(run.results, by) for run in runs]
    if None in seeds or len({build_group_key(run.results, by) for run in runs}) > 1:
        raise HarnessError(
            f"the runs of one side must differ in {by} alone",
            where=where,
            remedy="give runs of other models as sides of their own, with spaces between them",
        )
    if len(set(seeds)) < len(seeds):
        raise HarnessError(f"two runs of one side have one {by}", where=where, remedy="give each of them once")
    keys = [{(view.display, view.name) for view in run.views} for run in runs]
    shared = set[tuple[str, str]].intersection(*keys)
    unlike: list[str] = []
    for run in runs[1:]:
        same = {(view.display, view.name): view for view in run.views}
        pairs = [(view, same[key]) for view in first.views if (key := (view.display, view.name)) in same]
        unlike += (
            f"{each.split}: {each.what} is {each.baseline or 'none'} in {first.stored.folder.path},"
            f" {each.other or 'none'} in {run.stored.folder.path}"
            for view, twin in pairs
            for each in find_mismatches(first, run, view, twin)
        )
    if unlike:
        lines = "\n  ".join(dict.fromkeys(unlike))
        raise HarnessError(
            f"the runs of one side are not measured alike, so they have no common mean:\n  {lines}",
            remedy="run or judge one of them again like the others, or leave it out",
        )
    left_out = [
        f"{view.display}:{view.name}: not all runs have it"
        for view in first.views
        if (view.display, view.name) not in shared
    ]
    return replace(
        first,
        views=[view for view in first.views if (view.display, view.name) in shared],
        left_out=[*first.left_out, *left_out],
        twins=tuple(runs[1:]),
        seeds=tuple(str(seed) for seed in seeds),
    )


def name_sides(runs: Sequence[ComparedRun]) -> Iterator[Side]:
    """Each side with the name that a leaderboard would give its model."""
    results: list[Mapping[str, Any]] = []  # of the first run of each side, with the model of all its runs
    for run in runs:
        known: Mapping[str, Any] = run.results.get("model") or {}
        model: dict[str, Any] = {**known, "ref": run.file.model.ref}
        if run.twins:
            refs = [each.file.model.ref for each in (run, *run.twins)]
            seeds = [{"ref": ref, "seed": seed} for ref, seed in zip(refs, run.seeds, strict=True)]
            model |= {"ref": name_group(refs), "seeds": seeds}
        results.append({**run.results, "model": model})
    names = name_runs(results) if all(run.results for run in runs) else [run.model_name for run in runs]
    for run, result, name in zip(runs, results, names, strict=True):
        every = (run, *run.twins)
        yield Side(
            letter=run.letter,
            ref=str(result["model"]["ref"]),
            name=name,
            folder=", ".join(str(each.stored.folder.path) for each in every),
            seeds=tuple(
                SideSeed(seed=seed, ref=each.file.model.ref, folder=str(each.stored.folder.path))
                for seed, each in zip(run.seeds, every, strict=False)
            ),
            shards=tuple(format_shard(each.file.part) for each in every if each.file.part is not None),
        )
