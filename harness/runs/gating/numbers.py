"""Finds the number that a rule of a gate names in the results of a run, and says what there is where it is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from harness.contracts import Results
from harness.errors import HarnessError, UnknownName
from harness.runs.gating.rules import LimitRule, Source
from harness.runs.selection import select_judge_ids
from harness.settings import nearest
from harness.stats.intervals import Interval

_MOST: Final = 12  #: names that a message lists


class Unfinished(HarnessError):
    """The number is not there yet: the run, a judge or the people have not finished."""


class Unanswered(Unfinished):
    """The model has not answered all of it: the run itself must go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundNumber:
    """One metric of one split under one judge, in the metric's unit.

    Attributes:
        task: the task's name in the results.
        split: the split's name.
        metric: the metric's name.
        judge: the judge's id; empty for a metric that needs none.
        unit: `%` or `0-1`.
        value: the number.
        ci95: its interval.
        bounds: the least and most that it could have been.
        worst: the interval stretched over the bounds.
        notes: what a reader should know of it.
        better: `lower`, `higher` or `neither`.
        main: whether it is the split's main metric.
    """

    task: str
    split: str
    metric: str
    judge: str
    unit: str
    value: float
    ci95: Interval
    bounds: Interval
    worst: Interval
    notes: tuple[str, ...]
    better: str
    main: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSplit:
    """The split and metric that a rule names; the metric may be unknown.

    Attributes:
        task: the task's name in the results.
        split: the split's name.
        metric: what the rule names before them.
        body: the split in the results.
    """

    task: str
    split: str
    metric: str
    body: Mapping[str, Any]

    @property
    def title(self) -> str:
        """Task and split, as written for `--tasks`."""
        return f"{self.task}:{self.split}"


def find_split(results: Results, rule: LimitRule, listed: Sequence[str] = ()) -> FoundSplit:
    """The split that a rule names: by its task's name in the results, or without its settings; of a task with a single
    split without the split.

    Args:
        results: of the run.
        rule: of a metric.
        listed: `task:split` of what the run has asked, with or without results.

    Raises:
        UnknownName: the run has no such split.
        Unfinished: the run has asked it and has no results of it.
        HarnessError: the rule means several splits.
    """
    found: list[FoundSplit] = []
    for task, about in results["tasks"].items():
        splits: Mapping[str, Any] = about["splits"]
        for split, body in splits.items():
            for name in dict.fromkeys((task, task.partition("+")[0])):
                endings = [f":{name}:{split}"] + ([f":{name}"] if len(splits) == 1 else [])
                ending = next((each for each in endings if rule.name.endswith(each) and each != rule.name), None)
                if ending is not None:
                    metric = rule.name.removesuffix(ending)
                    found.append(FoundSplit(task=task, split=split, metric=metric, body=body))
                    break
    if len(found) > 1:  # the metric, and else the task as it stands in the results, decide
        exact = [each for each in found if each.metric in each.body["metrics"]] or found
        found = [each for each in exact if rule.name == f"{each.metric}:{each.title}"] or exact
    if len(found) > 1:
        several = ", ".join(each.title for each in found)
        raise HarnessError(f"{rule.name} may mean {several}", remedy=f"write {found[0].metric}:{found[0].title}")
    if found:
        return found[0]
    if any(rule.name.endswith(f":{title}") for title in listed):
        raise Unanswered("the run has asked this split and has no results of it yet")
    head, _, split = rule.name.rpartition(":")
    for task, about in results["tasks"].items():
        if any(head.endswith(f":{name}") for name in (task, task.partition("+")[0])):
            what = f"the run has no split {split!r} of {task}"
            raise UnknownName(what, remedy=f"it has {_list(list(about['splits']))}")
    asked = rule.name.partition(":")[2]
    titles = [f"{task}:{split}" for task, about in results["tasks"].items() for split in about["splits"]]
    raise UnknownName(f"the run has no split {asked!r}", remedy=f"it has {_list(titles)}")


def find_number(results: Results, split: FoundSplit, rule: LimitRule, by: Source) -> FoundNumber:
    """The number of a rule.

    Raises:
        UnknownName: the split has no such metric, or no such judge.
        Unfinished: there is no number yet, or the judge has not read enough.
        HarnessError: there can be no number.
    """
    judge, view = find_view(results, split, rule.judge)
    metrics: Mapping[str, Mapping[str, Any]] = view["metrics"]
    if split.metric not in metrics:
        known = [name for name in metrics if name]
        guess = nearest(split.metric, known) if known else ""
        remedy = guess if guess.startswith("did") else f"it has {_list(known)}"
        raise UnknownName(f"{split.title} has no metric {split.metric!r}", remedy=remedy)
    body = metrics[split.metric]
    coverage = view["coverage"]
    if coverage is None:
        raise Unanswered(f"{split.title} is not complete: nothing was asked")
    if not view["complete"]:
        what = f"{split.title} is not complete: {100 * coverage:.1f}% of the records are resolved"
        if view.get("drawn"):
            rest = "harness judge RUN judges the rest"
            raise Unfinished(f"{what}; {judge} has judged only a drawn part", remedy=rest)
        if unjudged := view["verdicts"].get("unjudged", 0):
            raise Unfinished(f"{what}; {unjudged} answers are not judged", remedy="harness judge RUN judges them")
        raise Unanswered(what)
    if by == "people":
        return _find_number_by_people(split, judge, body)
    notes = _list_notes(split)
    corrected = cast("Mapping[str, Any]", body.get("corrected") or {})
    if corrected.get("value") is not None:
        ends = ", ".join(f"{end:.1f}" for end in corrected["ci95"])
        notes.append(
            f"the judge's number decides; by people it is {corrected['value']:.1f} [{ends}]"
            f" ({corrected['labels']} labels), which --by people takes"
        )
    value, ci95, bounds, worst = body["value"], body.get("ci95"), body.get("bounds"), body.get("ci95_worst")
    if value is None:
        raise HarnessError(f"{split.metric} has no number: {body.get('why') or 'the results do not say why'}")
    if ci95 is None or worst is None:
        raise HarnessError(f"{split.metric} has no interval, so nothing can be decided by it")
    edges = (value, value) if bounds is None else (bounds[0], bounds[1])
    return _make_number(split, judge, body, value, ci95, bounds=edges, worst=(worst[0], worst[1]), notes=notes)


def _make_number(
    split: FoundSplit,
    judge: str,
    body: Mapping[str, Any],
    value: float,
    ci95: Sequence[float],
    *,
    bounds: tuple[float, float],
    worst: tuple[float, float],
    notes: Sequence[str],
) -> FoundNumber:
    return FoundNumber(
        task=split.task,
        split=split.split,
        metric=split.metric,
        judge=judge,
        unit=body["unit"],
        value=value,
        ci95=(ci95[0], ci95[1]),
        bounds=bounds,
        worst=worst,
        notes=tuple(notes),
        better=str(body.get("better") or ""),
        main=bool(body.get("main")),
    )


def find_view(results: Results, split: FoundSplit, wanted: str) -> tuple[str, Mapping[str, Any]]:
    """The judge whose numbers are meant, and its part of the split.

    Args:
        results: of the run.
        split: of them.
        wanted: a judge's id, its rubric, or whole first parts of the id; empty for the primary one.

    Raises:
        UnknownName: no such judge has judged the split.
        HarnessError: several have.
    """
    primary = str(split.body.get("judge") or "")
    others: Mapping[str, Mapping[str, Any]] = split.body.get("other_judges") or {}
    if not wanted:
        return primary, split.body
    views = {primary: split.body, **others} if primary else dict(others)
    cards: Mapping[str, Any] = results.get("judges") or {}
    known = {judge: cards.get(judge) or {"rubric": judge} for judge in views}
    try:
        found = select_judge_ids("@", (wanted,), known)
    except UnknownName:
        remedy = f"its judges: {_list(list(known))}" if known else "nobody has judged it: harness judge RUN"
        raise UnknownName(f"no judge {wanted!r} has judged {split.title}", remedy=remedy) from None
    first, *more = (primary,) if primary in found else found
    if more:
        raise HarnessError(f"@{wanted} matches {', '.join(found)}", remedy="give the whole id of one")
    return first, views[first]


def _find_number_by_people(split: FoundSplit, judge: str, body: Mapping[str, Any]) -> FoundNumber:
    corrected = cast("Mapping[str, Any]", body.get("corrected") or {})
    if not corrected:
        what = f"{split.metric} of {split.title} has no number by people: nobody labelled its answers"
        raise Unfinished(what, remedy="harness label RUN draws answers for people; --by judge takes the judge's number")
    value, ends = corrected["value"], corrected.get("ci95")
    if value is None or ends is None:
        why = corrected.get("why") or "the results do not say why"
        raise Unfinished(f"{split.metric} of {split.title} has no number by people: {why}", remedy="harness label RUN")
    full = 100.0 if body["unit"] == "%" else 1.0
    known, records = int(corrected["of"]), int(split.body["records"])
    missing = max(0, records - known)  # each could have been a hit or not
    share = known / max(records, 1)
    low, high = (end * share for end in ends)
    notes = [*_list_notes(split), f"by people: {corrected['labels']} labels", *(corrected.get("notes") or ())]
    if corrected.get("alpha") is None:
        notes.append("one person labelled: agreement unknown")
    open_share = full * missing / max(records, 1)
    bounds, worst = (value * share, value * share + open_share), (low, high + open_share)
    return _make_number(split, judge, body, value, ends, bounds=bounds, worst=worst, notes=notes)


def _list_notes(split: FoundSplit) -> list[str]:
    body, notes = split.body, list[str]()
    data: Mapping[str, Any] = body.get("data") or {}
    if data.get("toy"):
        notes.append("toy data: it shows the tool, and a number on it measures nothing")
    if body.get("subset"):
        notes.append(describe_subset(body))
    elif body.get("n_expected") and body["n"] != body["n_expected"]:
        notes.append(f"{body['n']} samples; as published it has {body['n_expected']}")
    return notes


def describe_subset(body: Mapping[str, Any]) -> str:
    """Which part of a split was asked: `10 of 120 samples (--limit 10)`."""
    flags = ", ".join(f"--{name} {value}" for name, value in body["subset"].items())
    return f"a part of the split: {body['n']} of {body.get('n_expected') or 'an unknown number of'} samples ({flags})"


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return (", ".join(names[:_MOST]) or "none") + more
