"""`harness.compare(...)`: compares two or more runs item by item. A plugin provides the command and its formats.

A side is one run, or several that differ in a seed alone (`comparing.groups`). Several are compared by their mean over
the items that all runs of both sides have resolved, with an interval that holds the variance between seeds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from harness.errors import HarnessError, UnknownName
from harness.labels import measure_both
from harness.metrics import Metric, Record, Share
from harness.remote import find_local
from harness.runs.comparing.comparison import (
    Comparison,
    Counts,
    Flip,
    Flips,
    MetricChange,
    Mismatch,
    SplitComparison,
)
from harness.runs.comparing.groups import group_paths, join_runs, name_sides
from harness.runs.comparing.people import PeopleComparer
from harness.runs.comparing.sides import (
    ComparedRun,
    SplitView,
    find_differences,
    find_mismatches,
    letters,
    list_titles,
    read_run,
)
from harness.runs.results import Guard, ScoringError
from harness.runs.run import Run
from harness.runs.stored import open_run
from harness.settings import nearest
from harness.stats.pairing import PairedResult, paired, paired_runs, unit_identity
from harness.stats.tally import main_metric
from harness.text import natural_key

Place = str | Path | Run
Places = Place | Sequence[Place]


_Resolved = dict[tuple[str, str, int], bool]  #: split, sample and epoch -> whether a side has resolved it


def compare(
    a: Places,
    b: Places,
    *more: Places,
    tasks: str | Sequence[str] = (),
    by: str = "",
    judge: str = "",
    allow_mismatch: bool = False,
    common_errors: bool = False,
    group_by: str = "",
) -> Comparison:
    """Compare runs with a baseline over their common items. Calls no model and no judge.

    Args:
        a: the baseline: a run folder, or the result of `harness.run`; or several that differ in a seed alone.
        b: a run to compare with it, or several such.
        more: further runs, each compared with the baseline.
        tasks: only these, one or several; by default all common ones.
        by: break the main metrics down by `category` or a tag.
        judge: a judge's id or its beginning; by default the primary judge of each split.
        allow_mismatch: compare although task version, settings, data, wording or judge differ, and report it.
        common_errors: if people labelled both runs, also give the difference for a judge that errs equally on both; it
            is wrong for any other judge.
        group_by: join runs that differ in this alone into one side: `seed`, or the name of a model's setting; empty
            leaves the sides as they are given.

    Raises:
        HarnessError: a side has no run, or two runs are the same, have nothing in common or were measured differently.
        UnknownName: a run has no such task or judge.
    """
    given = [[place] if isinstance(place, str | Path | Run) else list(place) for place in (a, b, *more)]
    paths = [[place.folder if isinstance(place, Run) else find_local(place) for place in side] for side in given]
    if not all(paths):
        raise HarnessError("one side of the comparison has no run", remedy="give each side a run folder")
    if group_by:
        paths = group_paths(paths, group_by)
    runs = _read_runs(paths, (tasks,) if isinstance(tasks, str) else tuple(tasks), judge, group_by)
    base, *others = runs
    pairs = [(other, view, twin) for other in others for view, twin in _pair_views(base, other)]
    if not pairs:
        reasons = "; ".join(f"{run.letter}: {reason}" for run in runs for reason in run.left_out)
        raise HarnessError(
            f"there is no split to compare{f' ({reasons})' if reasons else ''}",
            remedy="name tasks that all runs have asked: --task NAME[:SPLIT]",
        )
    mismatches = [each for other, view, twin in pairs for each in find_mismatches(base, other, view, twin)]
    mismatches = list(dict.fromkeys(mismatches))
    if mismatches and not allow_mismatch:
        raise _mismatch_error(runs, mismatches)
    known = {"category", *(name for _, view, _ in pairs for name in view.split.by)}
    known |= {name for _, view, _ in pairs for record in view.records for name in record.tags}
    if by and by not in known:
        raise UnknownName(f"--by {by}: nothing is grouped by it here", remedy=nearest(by, known))
    # split by split; a derived one comes before its parts
    order = list(dict.fromkeys(view.title for _, view, _ in pairs if view.split.parts))
    order += [view.title for _, view, _ in pairs if view.title not in order]
    splits, unscored = list[SplitComparison](), dict[str, str]()
    people = PeopleComparer(common_errors=common_errors)
    for other, view, twin in sorted(pairs, key=lambda pair: order.index(pair[1].title)):
        try:
            if base.twins or other.twins:
                splits.append(compare_split(other.letter, base.all_views(view), other.all_views(twin), by))
            else:
                compared = compare_split(other.letter, [view], [twin], by)
                splits.append(people.add(compared, base, view, other, twin))
        except ScoringError as error:
            unscored[view.title] = str(error)
    adjusted, family = _adjust_tests(splits)
    return Comparison(
        runs=tuple(name_sides(runs)),
        splits=adjusted,
        by=by,
        family=family,
        mismatches=tuple(mismatches),
        differing=tuple(each for other in others for each in find_differences(base, other)),
        left_out=tuple(_list_left_out(base, others)),
        unscored=unscored,
    )


def _read_runs(sides: Sequence[Sequence[Path]], tasks: Sequence[str], judge: str, group_by: str) -> list[ComparedRun]:
    paths = [path for side in sides for path in side]
    whole = [path.resolve() for path in paths]
    for place, path in enumerate(whole):
        if path in whole[:place]:
            raise HarnessError(
                "this run is named twice", where=str(paths[place]), remedy="give the folders of different runs"
            )
    if len(sides) < 2:
        raise HarnessError(
            f"these runs differ in {group_by or 'a seed'} alone, so they are one side with nothing to compare",
            where=", ".join(map(str, paths)),
            remedy="give a run of another model too, or leave out --group-by",
        )
    asked = [list_titles(open_run(path).file) for path in paths]
    for path, each in zip(paths, asked, strict=True):
        if not each:
            raise HarnessError(
                "the run has not ended yet, so its list of questions is not complete",
                where=str(path),
                remedy="wait for it, or resume it: give the same `harness run` command again",
            )
    listed = [", ".join(sorted(f"{task}:{name}" for task, name in each)) for each in asked]
    for place, (path, each) in enumerate(zip(paths[1:], asked[1:], strict=True), 1):
        if not asked[0] & each:
            raise HarnessError(
                f"{path} has no split in common with {paths[0]}",
                remedy=f"run one of them on the other's tasks: {listed[0]} there, {listed[place]} here",
            )
    common = {title for title in asked[0] if any(title in each for each in asked[1:])}
    runs: list[ComparedRun] = []
    for letter, side in zip(letters(), sides, strict=False):
        read = [read_run(letter, path, tasks, common, judge) for path in side]
        runs.append(read[0] if len(read) == 1 else join_runs(read, group_by))
    return runs


def _pair_views(base: ComparedRun, other: ComparedRun) -> Iterator[tuple[SplitView, SplitView]]:
    """Each split of the baseline with the run's split of that name, under the same settings if there is one."""
    same = {(view.display, view.name): view for view in other.views}
    for view in base.views:
        found = same.get((view.display, view.name))
        loose = [each for each in other.views if (each.task, each.name) == (view.task, view.name)]
        ours = [each for each in base.views if (each.task, each.name) == (view.task, view.name)]
        if found is not None:
            yield view, found
        elif len(loose) == len(ours) == 1:
            yield view, loose[0]


def _mismatch_error(runs: Sequence[ComparedRun], mismatches: Sequence[Mismatch]) -> HarnessError:
    named = ", ".join(f"{run.letter} {each.stored.folder.path}" for run in runs for each in (run, *run.twins))
    lines = "\n  ".join(each.text for each in mismatches)
    known = [judge for judge in runs[0].file.judges if all(judge in run.file.judges for run in runs)]
    has_shared = known and any(each.what == "the judge" for each in mismatches)
    shared = f", or use a judge that all of them have: --judge {known[0]}" if has_shared else ""
    return HarnessError(
        f"these runs are not measured alike, so the models alone do not explain a difference ({named}):\n  {lines}",
        remedy=f"run or judge one of them again like the other{shared}; --allow-mismatch"
        " (in Python allow_mismatch=True) compares them anyway and reports the mismatch",
    )


def _list_left_out(base: ComparedRun, others: Sequence[ComparedRun]) -> Iterator[str]:
    for run in (base, *others):
        yield from (f"{reason} in {run.letter}" for reason in run.left_out)
    for other in others:
        pairs = list(_pair_views(base, other))
        compared, twins = {view.title for view, _ in pairs}, {twin.title for _, twin in pairs}
        yield from (
            f"{v.title}: only {base.letter} has it, not {other.letter}" for v in base.views if v.title not in compared
        )
        yield from (f"{v.title}: only {other.letter} has it" for v in other.views if v.title not in twins)


def compare_split(run: str, baselines: Sequence[SplitView], others: Sequence[SplitView], by: str) -> SplitComparison:
    """Compare one split of a run with the baseline's. Raises ScoringError if the task's code raises.

    Args:
        run: letter of the run.
        baselines: the split in the baseline; in each of its runs, if they differ in a seed alone.
        others: the same in the run.
        by: `category` or a tag; empty for no breakdown.
    """
    baseline, other = baselines[0], others[0]
    several = len(baselines) + len(others) > 2
    common = measure_both(baseline.split.metrics, other.split.metrics)
    main = main_metric(common)
    metrics = sorted(common, key=lambda metric: metric is not main)

    def pair(metric: Metric, theirs: Sequence[Iterable[Record]], ours: Sequence[Iterable[Record]]) -> PairedResult:
        return paired_runs(metric, theirs, ours) if several else paired(metric, theirs[0], ours[0])

    def group(records: Iterable[Record]) -> dict[str, list[Record]]:
        found: dict[str, list[Record]] = {}
        for record in records if by else ():
            if name := record.category if by == "category" else record.tags.get(by, ""):
                found.setdefault(name, []).append(record)
        return found

    with Guard():
        ours, theirs = ([view.records for view in views] for views in (baselines, others))
        our_groups, their_groups = ([group(records) for records in side] for side in (ours, theirs))
        groups = set[str].intersection(*(set(each) for each in (*our_groups, *their_groups)))
        our_resolved, their_resolved = _find_resolved(ours), _find_resolved(theirs)
        common_items = our_resolved.keys() & their_resolved.keys()
        resolved = frozenset(each for each in common_items if our_resolved[each] and their_resolved[each])
        return SplitComparison(
            run=run,
            task=baseline.display,
            split=baseline.name,
            parts=baseline.split.parts,
            judge_baseline=baseline.judge,
            judge_other=other.judge,
            epochs=(baseline.epochs, other.epochs),
            runs=(len(baselines), len(others)),
            counts=Counts(
                common=len(common_items),
                resolved=len(resolved),
                unresolved_baseline=sum(not our_resolved[each] for each in common_items),
                unresolved_other=sum(not their_resolved[each] for each in common_items),
                only_baseline=len(our_resolved) - len(common_items),
                only_other=len(their_resolved) - len(common_items),
            ),
            resolved=resolved,
            changes={
                metric.name: MetricChange(paired=pair(metric, theirs, ours), main=metric is main) for metric in metrics
            },
            by={
                name: MetricChange(
                    paired=pair(main, [each[name] for each in their_groups], [each[name] for each in our_groups])
                )
                for name in sorted(groups)
            },
            flips=None if several else find_flips(main, baseline.records, other.records),
            part_baseline=baseline.part,
            part_other=other.part,
            toy=baseline.toy or other.toy,
        )


def _find_resolved(runs: Sequence[Iterable[Record]]) -> _Resolved:
    """The records that all runs of a side have, and whether all have resolved them."""
    found, *more = ({(r.split, r.id, r.epoch): r.resolved for r in records} for records in runs)
    for each in more:
        found = {key: resolved and each[key] for key, resolved in found.items() if key in each}
    return found


def find_flips(metric: Metric, baseline: Iterable[Record], other: Iterable[Record]) -> Flips:
    """The units that the metric hits in one run and not in the other, by the names of their items.

    A unit is a record, or a group of records scored together. It is a hit if more than half of its share is. A unit
    that is unresolved or not counted in either run does not flip.
    """
    key = unit_identity(metric)
    sides: list[dict[str, list[Record]]] = [{}, {}]
    for units, records in zip(sides, (baseline, other), strict=True):
        for record in records:
            units.setdefault(key(record), []).append(record)
    only_baseline, only_other = list[Flip](), list[Flip]()
    for unit, ours in sides[0].items():
        theirs = sides[1].get(unit)
        hits = None if theirs is None else (_is_hit(metric, ours), _is_hit(metric, theirs))
        if theirs is None or hits is None or None in hits or hits[0] == hits[1]:
            continue
        labels = [", ".join(dict.fromkeys(record.label or "" for record in records)) for records in (ours, theirs)]
        flip = Flip(
            item=ours[0].item,
            other=theirs[0].item,
            category=ours[0].category,
            baseline_label=labels[0],
            other_label=labels[1],
        )
        (only_baseline if hits[0] else only_other).append(flip)
    for flips in (only_baseline, only_other):  # answers come in another order each time
        flips.sort(key=lambda flip: natural_key(flip.item))
    return Flips(only_baseline=tuple(only_baseline), only_other=tuple(only_other))


def _is_hit(metric: Metric, records: Sequence[Record]) -> bool | None:
    """Whether a unit is a hit; None if it is unresolved or does not count."""

    def is_over_half(share: Share) -> bool:
        return 2 * share[0] > share[1]

    if not all(record.resolved for record in records):
        return None
    shares = [share for share in map(metric.score, records) if share[1] > 0]
    if not shares:
        return None
    hits = [is_over_half(share) for share in shares]
    if metric.combine == "sum":
        return is_over_half((sum(num for num, _ in shares), sum(den for _, den in shares)))
    return {"all": all(hits), "any": any(hits), "majority": 2 * sum(hits) > len(hits)}[metric.combine]


def _adjust_tests(splits: Sequence[SplitComparison]) -> tuple[tuple[SplitComparison, ...], int]:
    """The splits with Holm's adjustment over the tested main metrics, and the number of these tests.

    The parts of a tested pooled split repeat its records, so they are not tests.
    """
    from harness.stats.matching import holm

    pooled = {
        (each.run, f"{each.task}:{part}"): each.title
        for each in splits
        if each.main.paired.p is not None
        for part in each.parts
    }
    family = {
        str(place): each.main.paired.p
        for place, each in enumerate(splits)
        if each.main.paired.p is not None and (each.run, each.title) not in pooled
    }
    after = holm(family)
    adjusted: list[SplitComparison] = []
    for place, each in enumerate(splits):
        pooled_in = pooled.get((each.run, each.title), "")
        changes = {
            name: replace(change, p_holm=after.get(str(place)), exploratory=bool(pooled_in)) if change.main else change
            for name, change in each.changes.items()
        }
        adjusted.append(replace(each, changes=changes, pooled_in=pooled_in))
    return tuple(adjusted), len(family)
