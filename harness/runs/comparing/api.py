"""`harness.compare(...)`: two or more runs, item by item."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.errors import HarnessError, UnknownName
from harness.runs.comparing.checking import differing, mismatches
from harness.runs.comparing.measuring import adjusted, measured
from harness.runs.comparing.reading import Reading, View, letters, model_name, reading, run_file, titles
from harness.runs.comparing.values import Compared, Comparison, Side, Unlike
from harness.runs.running import Run
from harness.runs.scoring import ScoringError
from harness.settings import nearest
from harness.store.folder import RunFolder

Place = str | Path | Run
_Pair = tuple[Reading, View, View]


def compare(
    a: Place,
    b: Place,
    *more: Place,
    tasks: str | Sequence[str] = (),
    by: str = "",
    judge: str = "",
    allow_mismatch: bool = False,
) -> Comparison:
    """Compare runs with a baseline over the items that they have in common. Nothing is asked and nothing is judged.

    Args:
        a: the baseline: a run folder, or what `harness.run` gave.
        b: a run to compare with it.
        more: further ones, each compared with the baseline.
        tasks: only these, one or several; else all that the runs have in common.
        by: break the main metrics down by `category` or a tag.
        judge: its id, or what it begins with; else the primary judge of each split.
        allow_mismatch: compare although task version, settings, data, wording or judge differ, which is then told.

    Raises:
        HarnessError: the runs are one, have nothing in common, or are not alike.
        UnknownName: a run has no such task or judge.
    """
    paths = [place.folder if isinstance(place, Run) else Path(place) for place in (a, b, *more)]
    base, *others = _readings(paths, (tasks,) if isinstance(tasks, str) else tuple(tasks), judge)
    pairs = [(other, view, twin) for other in others for view, twin in _twins(base, other)]
    if not pairs:
        raise _nothing_common([base, *others])
    unlike = tuple(dict.fromkeys(each for other, view, twin in pairs for each in mismatches(base, other, view, twin)))
    if unlike and not allow_mismatch:
        raise _refusal([base, *others], unlike)
    _check_by(by, pairs)
    splits, unscored = _measured(pairs, by)
    after, family = adjusted(splits)
    return Comparison(
        runs=tuple(_side(run) for run in (base, *others)),
        splits=after,
        by=by,
        family=family,
        mismatches=unlike,
        differing=tuple(each for other in others for each in differing(base, other)),
        left_out=tuple(_left_out(base, others)),
        unscored=unscored,
    )


def _readings(paths: Sequence[Path], tasks: Sequence[str], judge: str) -> list[Reading]:
    whole = [path.resolve() for path in paths]
    for place, path in enumerate(whole):
        if path in whole[:place]:
            raise HarnessError(
                "this run is named twice", where=str(paths[place]), remedy="give the folders of two runs"
            )
    asked = [titles(run_file(RunFolder(path))) for path in paths]
    for path, each in zip(paths, asked, strict=True):
        if not each:
            raise HarnessError(
                "the run has not come to its end yet, so nothing says what it asked",
                where=str(path),
                remedy="wait for it, or go on with it: the same `harness run` command resumes it",
            )
    for path, each in zip(paths[1:], asked[1:], strict=True):
        if not asked[0] & each:
            raise HarnessError(
                f"{path} has no split in common with {paths[0]}",
                remedy=f"run one of them on the other's tasks: {_listed(asked[0])} there, {_listed(each)} here",
            )
    common = {title for title in asked[0] if any(title in each for each in asked[1:])}
    return [reading(letter, path, tasks, common, judge) for letter, path in zip(letters(), paths, strict=False)]


def _listed(asked: set[tuple[str, str]]) -> str:
    return ", ".join(sorted(f"{task}:{name}" for task, name in asked)) or "nothing"


def _twins(base: Reading, other: Reading) -> Iterator[tuple[View, View]]:
    """Each split of the baseline with the same one of a run: under the same settings where there is one."""
    same = {(view.display, view.name): view for view in other.views}
    for view in base.views:
        found = same.get((view.display, view.name))
        loose = [each for each in other.views if (each.task, each.name) == (view.task, view.name)]
        ours = [each for each in base.views if (each.task, each.name) == (view.task, view.name)]
        if found is not None:
            yield view, found
        elif len(loose) == len(ours) == 1:
            yield view, loose[0]


def _nothing_common(runs: Sequence[Reading]) -> HarnessError:
    reasons = "; ".join(f"{run.letter}: {reason}" for run in runs for reason in run.left_out)
    return HarnessError(
        f"there is no split to compare{f' ({reasons})' if reasons else ''}",
        remedy="name tasks that all runs have asked: --task NAME[:SPLIT]",
    )


def _refusal(runs: Sequence[Reading], unlike: Sequence[Unlike]) -> HarnessError:
    named = ", ".join(f"{run.letter} {run.folder.path}" for run in runs)
    lines = "\n  ".join(each.told for each in unlike)
    return HarnessError(
        f"these runs are not measured alike, so a difference would not be the models' alone ({named}):\n  {lines}",
        remedy=f"run or judge one of them again in the way of the other{_shared_judge(runs, unlike)}; --allow-mismatch"
        " (in Python allow_mismatch=True) compares them all the same and says so",
    )


def _shared_judge(runs: Sequence[Reading], unlike: Sequence[Unlike]) -> str:
    """The judge that all runs know, where it is the judge that differs."""
    known = [judge for judge in runs[0].file.judges if all(judge in run.file.judges for run in runs)]
    is_meant = known and any(each.what == "the judge" for each in unlike)
    return f", or take a judge that all of them have: --judge {known[0]}" if is_meant else ""


def _check_by(by: str, pairs: Sequence[_Pair]) -> None:
    records = [record for _, view, _ in pairs for record in view.records]
    known = {"category", *(name for _, view, _ in pairs for name in view.split.by)}
    known |= {name for record in records for name in record.tags}
    if by and by not in known:
        raise UnknownName(f"--by {by}: nothing is grouped by it here", remedy=nearest(by, known))


def _measured(pairs: Sequence[_Pair], by: str) -> tuple[list[Compared], dict[str, str]]:
    """All pairs, split by split; a derived one stands before its parts."""
    order = list(dict.fromkeys(view.title for _, view, _ in pairs if view.split.parts))
    order += [view.title for _, view, _ in pairs if view.title not in order]
    found, unscored = list[Compared](), dict[str, str]()
    for other, view, twin in sorted(pairs, key=lambda pair: order.index(pair[1].title)):
        try:
            found.append(measured(other.letter, view, twin, by))
        except ScoringError as error:
            unscored[view.title] = str(error)
    return found, unscored


def _side(run: Reading) -> Side:
    return Side(letter=run.letter, ref=run.file.model.ref, name=model_name(run.file), folder=str(run.folder.path))


def _left_out(base: Reading, others: Sequence[Reading]) -> Iterator[str]:
    for run in (base, *others):
        yield from (f"{reason} in {run.letter}" for reason in run.left_out)
    for other in others:
        compared = {view.title for view, _ in _twins(base, other)}
        twins = {twin.title for _, twin in _twins(base, other)}
        yield from (
            f"{v.title}: only {base.letter} has it, not {other.letter}" for v in base.views if v.title not in compared
        )
        yield from (f"{v.title}: only {other.letter} has it" for v in other.views if v.title not in twins)
