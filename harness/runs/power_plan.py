"""Plans an evaluation from earlier runs: what they say of its rate, clusters, pairs, seeds and cost, and what it needs.

    basis = read_basis("mis:test", against=[Path("runs/base")])
    for row in plan_power(basis, {"detect": 3.0}):
        print(row.samples, row.cost_usd)

The arithmetic is in `harness.stats.power`. All sizes are in points of 100.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import ceil, sqrt
from pathlib import Path
from statistics import fmean, variance
from typing import Any, Final, get_args

from harness import plugins
from harness.board.results import FILE, read_results
from harness.contracts import Split
from harness.data.places import find_root, find_splits
from harness.errors import HarnessError, UnknownName
from harness.runs.gating.numbers import find_split, find_view
from harness.runs.gating.rules import LimitRule
from harness.settings import effective, nearest
from harness.stats.power import (
    POWER,
    Goal,
    PowerModel,
    correlate_pairs,
    count_observations,
    find_reach,
    plan_records,
    with_seeds,
)
from harness.task_files import is_task_path, split_name
from harness.types import Json

SCHEMA: Final = "harness.power/1"
SEEDS: Final = (1, 2, 3, 5)  #: runs on each side that a plan lists where seeds matter
WITHIN: Final = 0.8  #: correlation of one model's answers over seeds, where no runs show it
_MOST: Final = 12  #: splits that a message lists
GOALS: Final[tuple[Goal, ...]] = get_args(Goal)
PAIRED: Final = ("detect", "margin")  #: goals that take two runs


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerBasis:
    """What a plan rests on.

    Attributes:
        title: `task:split`.
        metric: its name.
        unit: `%` or `0-1`.
        better: which direction is good.
        model: rates, clusters, pairs and seeds.
        sources: name of a figure of the model -> where it comes from.
        epochs: answers for each sample.
        published: samples of the split; None when it is not known.
        cost_per_record: dollars of one answer with its judging; None when it is not known.
        cost_why: why it is not known; empty where the run does not say.
        seeds_known: whether runs or the user say how seeds differ.
        rate_ci95: the interval of a rate that one run measured, in points; None for a given one, or for several runs.
        rate_answers: on how many answers it was measured; None as well.
    """

    title: str
    metric: str
    unit: str
    better: str
    model: PowerModel
    sources: Mapping[str, str]
    epochs: int = 1
    published: int | None = None
    cost_per_record: float | None = None
    cost_why: str = ""
    seeds_known: bool = False
    rate_ci95: tuple[float, float] | None = None
    rate_answers: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerRow:
    """What one goal needs with one number of seeds.

    Attributes:
        goal: what is wanted.
        size: of the goal, in points.
        seeds: runs on each side that differ in a seed alone.
        samples: of each run; None if no number reaches the goal.
        calls: answers of one side, all its runs and epochs together.
        cost_usd: of one side; None when it is not known.
        power: the chance that these samples give.
        rates: for a difference both rates, in points; for another goal one rate.
        enough: whether the split has so many samples; None when that is not known.
        reach: the size that all samples of the split can reach, in points; None if unknown, or if they reach none.
        worst_rate: for a limit, the end of the measured rate's interval that is nearer to it, in points; None if the
            rate was not measured.
        worst_samples: samples that the limit needs if `worst_rate` is true; None if no number reaches it.
    """

    goal: Goal
    size: float
    seeds: int
    samples: int | None
    calls: int | None
    cost_usd: float | None
    power: float
    rates: tuple[float, ...]
    enough: bool | None
    reach: float | None
    worst_rate: float | None = None
    worst_samples: int | None = None


def read_basis(
    title: str,
    *,
    metric: str = "",
    against: Sequence[Path] = (),
    rate: float | None = None,
    correlation: float | None = None,
    seed_sd: float | None = None,
    judge: str = "",
) -> PowerBasis:
    """What earlier runs, and the user, say of an evaluation.

    Args:
        title: `task:split`.
        metric: default: the split's main metric.
        against: runs with it. The first is the baseline; runs that differ from it in a seed alone tell how seeds
            differ, one of another model how answers of two models hang together.
        rate: the true rate that is expected, in points; default: the baseline's.
        correlation: between the answers of two models; default: as measured, else 0.
        seed_sd: standard deviation between seeds, in points; default: as measured, else 0.
        judge: as in a gate's rule.

    Raises:
        HarnessError: nothing says what rate is expected, or it is not one.
        UnknownName: a run, or the task, has no such split, metric or judge.
    """
    if rate is not None and not 0 <= rate <= 100:
        raise HarnessError(f"a rate is a number of points from 0 to 100, not {rate:g}", remedy="write 5 for 5 %")
    basis = _read_runs(title, metric, against, judge) if against else _read_task(title, metric)
    if not against and rate is None:
        raise HarnessError(
            "nothing says what rate is expected", remedy="give --rate PERCENT, or --against RUN with an earlier run"
        )
    model, sources = basis.model, dict(basis.sources)
    if rate is not None:
        model, sources["rate"] = replace(model, rate=rate / 100), "given"
        basis = replace(basis, rate_ci95=None, rate_answers=None)
    if correlation is not None:
        model, sources["correlation"] = replace(model, correlation=correlation), "given"
    if seed_sd is not None:
        model, sources["seed_sd"] = replace(model, seed_sd=seed_sd / 100), "given"
    known = basis.seeds_known or seed_sd is not None
    return replace(basis, model=model, sources=sources, seeds_known=known)


def _read_task(title: str, metric: str) -> PowerBasis:
    """From the task alone: its size and its metric."""
    named, wanted = split_name(title)
    task = plugins.current().task(named if is_task_path(named) else named.partition("+")[0])
    name = task.name if is_task_path(named) else named
    settings = effective(task.settings, {}, owner=f"task {task.name}")
    try:
        splits: Mapping[str, Split] = find_splits(task, settings, find_root(task))
    except HarnessError:  # its settings say what its splits are
        splits = {}
    known = list(splits)
    if not wanted and len(known) == 1:
        wanted = known[0]
    sources = {"correlation": "assumed", "design_effect": "assumed", "seed_sd": "assumed", "within": "assumed"}
    model = PowerModel(rate=0.5, within=WITHIN)
    if not splits:
        return PowerBasis(title=title, metric=metric, unit="%", better="lower", model=model, sources=sources)
    if not wanted:
        raise _ask_split(title, [f"{title}:{each}" for each in known])
    if wanted not in splits:
        raise UnknownName(f"{name} has no split {wanted!r}", remedy=nearest(wanted, known))
    split = splits[wanted]
    found = next((each for each in split.metrics if each.name == metric), None)
    if metric and found is None:
        names = [each.name for each in split.metrics]
        raise UnknownName(f"{title} has no metric {metric!r}", remedy=nearest(metric, names))
    main = found or next((each for each in split.metrics if each.main), split.metrics[0])
    sizes = [splits[part].n for part in split.parts] if split.parts else [split.n]
    counts = [size for size in sizes if size is not None]
    return PowerBasis(
        title=f"{name}:{wanted}",
        metric=main.name,
        unit=main.unit,
        better=main.better,
        model=model,
        sources=sources,
        published=sum(counts) if len(counts) == len(sizes) else None,
    )


def _ask_split(title: str, titles: Sequence[str]) -> UnknownName:
    listed = ", ".join(titles[:_MOST]) + (", …" if len(titles) > _MOST else "")
    return UnknownName(f"--task {title} names no split", remedy=f"name a split: {listed}")


def _read_runs(title: str, metric: str, against: Sequence[Path], judge: str) -> PowerBasis:
    from harness.runs.comparing.groups import group_paths

    groups = group_paths([[path] for path in against], "seed")
    seeds = next(group for group in groups if against[0] in group)
    others = [group[0] for group in groups if against[0] not in group]
    read = [_read_run(title, metric, path, judge) for path in seeds]
    first, name = read[seeds.index(against[0])], str(against[0])
    basis, observations = first
    model = replace(basis.model, rate=fmean(each.model.rate for each, _ in read))
    sources = {"rate": name, "design_effect": name, "correlation": "assumed", "seed_sd": "assumed", "within": "assumed"}
    if len(seeds) > 1:
        pairs = [_correlate(against[0], path, basis, judge) for path in seeds if path != against[0]]
        within = fmean([each for each in pairs if each is not None] or [WITHIN])
        noise = (1 - within) * model.rate * (1 - model.rate) / observations
        spread = max(0.0, variance([each.model.rate for each, _ in read]) - noise) ** 0.5
        model = replace(model, within=max(0.0, within), seed_sd=spread)
        told = f"{len(seeds)} seeds of {name}"
        sources |= {"rate": told, "seed_sd": told, "within": told}
    if others:
        found = _correlate(against[0], others[0], basis, judge)
        if found is not None:
            model = replace(model, correlation=max(0.0, found))
            sources["correlation"] = f"{name} and {others[0]}"
    if len(seeds) > 1:  # of their mean no interval is known
        basis = replace(basis, rate_ci95=None, rate_answers=None)
    return replace(basis, model=model, sources=sources, seeds_known=len(seeds) > 1)


def _read_run(title: str, metric: str, path: Path, judge: str) -> tuple[PowerBasis, float]:
    """What one run says, and its effective number of observations."""
    results = read_results(path if path.is_file() else path / FILE)
    of_task = [
        f"{task}:{each}"
        for task, about in results["tasks"].items()
        if title in (task, task.partition("+")[0])
        for each in about["splits"]
    ]
    if len(of_task) > 1:
        raise _ask_split(title, of_task)
    try:
        split = find_split(results, LimitRule(kind="max", name=f"metric:{title}", limit=0.0))
        _, view = find_view(results, split, judge)
    except HarnessError as error:
        error.where = error.where or str(path)
        raise
    metrics: Mapping[str, Mapping[str, Any]] = view["metrics"]
    main = next((name for name, body in metrics.items() if body.get("main")), next(iter(metrics), ""))
    wanted = metric or main
    if wanted not in metrics:
        remedy = nearest(wanted, list(metrics))
        raise UnknownName(f"{split.title} has no metric {wanted!r}", where=str(path), remedy=remedy)
    body = metrics[wanted]
    full = 100.0 if body["unit"] == "%" else 1.0
    value, ends, records = body["value"], body.get("ci95"), int(split.body["records"])
    if value is None or ends is None:
        why = body.get("why") or "it has no interval"
        raise HarnessError(f"{wanted} of {split.title} has no number: {why}", where=str(path), remedy="give --rate")
    observations = count_observations(value / full, (ends[0] / full, ends[1] / full)) or float(records)
    epochs = int(split.body.get("epochs") or 1)
    published = split.body.get("n_expected") or (None if split.body.get("subset") else split.body["n"])
    # the run's usage is not told split by split, so a record costs what all cost on average, with their judging
    usage: Mapping[str, Any] = results.get("usage") or {}
    spent: object = usage.get("cost_usd")
    bodies = [each for about in results["tasks"].values() for each in about["splits"].values()]
    whole = sum(int(each["records"]) for each in bodies if not each.get("parts"))
    cost = None
    if isinstance(spent, int | float) and not isinstance(spent, bool) and whole and records:
        cost = spent / whole
    basis = PowerBasis(
        title=split.title,
        metric=wanted,
        unit=body["unit"],
        better=body["better"],
        model=PowerModel(rate=value / full, design_effect=max(records / observations, 0.01), within=WITHIN),
        sources={},
        epochs=epochs,
        published=published,
        cost_per_record=cost,
        cost_why=str(usage.get("cost_why") or ""),
        rate_ci95=(100 * ends[0] / full, 100 * ends[1] / full),
        rate_answers=records,
    )
    return basis, observations


def _correlate(one: Path, other: Path, basis: PowerBasis, judge: str) -> float | None:
    """The correlation of the answers of two runs to one question; None where they share nothing that shows it."""
    from harness.runs.comparing.compare import compare

    try:
        found = compare(one, other, tasks=basis.title, judge=judge, allow_mismatch=True)
    except HarnessError:
        return None
    each = next((each for each in found.splits if each.title == basis.title), None)
    change = None if each is None else each.changes.get(basis.metric)
    if each is None or change is None or change.baseline is None or change.value is None:
        return None
    full = 100.0 if basis.unit == "%" else 1.0
    left, right = change.value / full, change.baseline / full
    pairs = change.paired.denominators[0]
    if change.main and each.flips is not None and change.paired.test == "mcnemar" and pairs:
        flips = len(each.flips.only_baseline) + len(each.flips.only_other)
        return correlate_pairs(left, right, flips / pairs)
    ends = change.paired.ci95
    if ends is None or not 0 < left < 1 or not 0 < right < 1:
        return None
    observations = each.counts.resolved / basis.model.design_effect
    of_difference = ((ends[1] - ends[0]) / full / (2 * 1.96)) ** 2
    of_sides = [rate * (1 - rate) / max(observations, 1.0) for rate in (left, right)]
    shared = (sum(of_sides) - of_difference) / (2 * sqrt(of_sides[0] * of_sides[1]))
    return min(1.0, max(-1.0, shared))


def plan_power(
    basis: PowerBasis | str,
    goals: Mapping[Goal, float],
    *,
    against: Sequence[str | Path] | str | Path = (),
    rate: float | None = None,
    seeds: Sequence[int] = (),
    power: float = POWER,
) -> list[PowerRow]:
    """What each goal needs: samples, calls and money.

    Args:
        basis: what is known (`read_basis`), or `task:split`.
        goals: `detect`, `margin`, `limit` or `width` -> its size in points.
        against: with `task:split`: earlier runs.
        rate: with `task:split`: the true rate that is expected, in points; default: the first run's.
        seeds: runs on each side; default: one, and if seeds are known to differ also a few more.
        power: the wanted chance of reaching the goal.

    Raises:
        HarnessError: the expected rate is not known, a size is none, or there is no such split or goal.
    """
    if isinstance(basis, str):
        runs = (against,) if isinstance(against, str | Path) else against
        basis = read_basis(basis, against=[Path(run) for run in runs], rate=rate)
    several = tuple(seeds) or (SEEDS if basis.seeds_known else (1,))
    lower, rows = basis.better != "higher", list[PowerRow]()
    for (goal, size), number in product(goals.items(), several):
        if goal not in GOALS:
            raise UnknownName(f"there is no goal {goal!r}", remedy=nearest(goal, GOALS))
        if not 0 < size < 100:
            raise HarnessError(f"the size of {goal} is {size:g} points", remedy="give more than 0 and less than 100")
        model = with_seeds(basis.model, number)
        if goal == "margin" and not lower:  # the same question of the mirrored rate
            model = replace(model, rate=1 - model.rate)
        plan = plan_records(model, goal, size / 100, power=power, lower_is_better=lower)
        samples = None if plan.records is None else ceil(plan.records / basis.epochs)
        calls = None if samples is None else samples * basis.epochs * number
        reach = None
        if basis.published:
            reach = find_reach(model, goal, basis.published * basis.epochs, power=power, lower_is_better=lower)
        worst_rate = worst_samples = None
        if goal == "limit" and basis.rate_ci95 is not None:
            worst_rate = basis.rate_ci95[1] if lower else basis.rate_ci95[0]
            worst_model = replace(model, rate=worst_rate / 100)
            worst = plan_records(worst_model, goal, size / 100, power=power, lower_is_better=lower).records
            worst_samples = None if worst is None else ceil(worst / basis.epochs)
        rates = [basis.model.rate]
        if plan.other_rate is not None and goal != "margin":
            rates.append(plan.other_rate)
        rows.append(
            PowerRow(
                goal=goal,
                size=size,
                seeds=number,
                samples=samples,
                calls=calls,
                cost_usd=None if calls is None or basis.cost_per_record is None else calls * basis.cost_per_record,
                power=plan.power,
                rates=tuple(100 * rate for rate in rates),
                enough=None if basis.published is None else samples is not None and samples <= basis.published,
                reach=None if reach is None else 100 * reach,
                worst_rate=worst_rate,
                worst_samples=worst_samples,
            )
        )
    return rows


def power_as_json(basis: PowerBasis, rows: Sequence[PowerRow], power: float) -> dict[str, Json]:
    """`harness.power/1`: rates, widths, limits and differences in points of 100."""
    model = basis.model
    return {
        "schema": SCHEMA,
        "split": basis.title,
        "metric": basis.metric or None,
        "power": power,
        "basis": {
            "rate": 100 * model.rate,
            "design_effect": model.design_effect,
            "correlation": model.correlation,
            "seed_sd": 100 * model.seed_sd,
            "within": model.within,
            "epochs": basis.epochs,
            "samples": basis.published,
            "cost_usd_per_answer": basis.cost_per_record,
            "rate_ci95": None if basis.rate_ci95 is None else list(basis.rate_ci95),
            "rate_answers": basis.rate_answers,
            **({"cost_why": basis.cost_why} if basis.cost_why and basis.cost_per_record is None else {}),
            "sources": dict(basis.sources),
        },
        "plans": [
            {
                "goal": row.goal,
                "size": row.size,
                "rates": list(row.rates),
                "seeds": row.seeds,
                "runs": (2 if row.goal in PAIRED else 1) * row.seeds,
                "samples": row.samples,
                "calls": row.calls,
                "cost_usd": row.cost_usd,
                "power": row.power,
                "enough": row.enough,
                "reach": row.reach,
                "worst_rate": row.worst_rate,
                "worst_samples": row.worst_samples,
            }
            for row in rows
        ],
    }
