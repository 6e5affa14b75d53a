"""Runs that differ in a seed alone, as one result: the mean over the runs, and an interval that holds both variances.

    grouped = group_runs(paths, results, by="seed")
    boards(grouped.results)

Two runs belong together if everything that identifies their models is equal but a seed: the seed sent to the provider
(`--seed`), or that of a training whose recipe, data and base are equal. A split is averaged where all runs of the
group asked the same samples under the same judge, and where each read all its answers. All else stays with its run.

What must hold:

- The averaged body of a split has the keys that every split of results.json has, so that every report can show it. A
  metric has `seeds` as well: the value of each run, and the standard deviation between them.
- `model.seeds` names the runs. No run is in two groups, and none is left out: it is in a group or as it was.
- The variance between seeds comes from the runs' values, that of the questions from their records (`stats.seeds`). So
  a run without its lines cannot be averaged, and a note names it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from harness.board.sections import find_seed
from harness.contracts import Results
from harness.errors import HarnessError
from harness.keys import canonical
from harness.runs.results import Guard, ScoringError
from harness.runs.stored import JudgedSplit, open_run
from harness.stats.columns import Table
from harness.stats.suites import suite_results
from harness.stats.tally import main_metric, metric_json, to_unit
from harness.types import Json

if TYPE_CHECKING:
    from harness.metrics import Metric
    from harness.stats.units import Units

SEED: Final = "seed"
_COUNTS: Final = ("outcomes", "flags", "verdicts", "labels")  #: dicts of counts, summed over the runs
_EQUAL: Final = ("n", "subset", "epochs", "template_hash", "judge")  #: of a split; else its runs are not averaged


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupedRuns:
    """Results to report.

    Attributes:
        results: the group's results in the place of its first run, and what is left of its runs after them.
        members: of each of them, the places of its runs among the given ones.
        notes: what could not be averaged, and why.
    """

    results: tuple[Results, ...]
    members: tuple[tuple[int, ...], ...]
    notes: tuple[str, ...]


def group_runs(paths: Sequence[Path], results: Sequence[Results], by: str = SEED) -> GroupedRuns:
    """Average the runs that differ in a seed alone.

    Args:
        paths: the results.json of each run.
        results: their content.
        by: what the runs of a group may differ in: `seed`, or the name of a model's setting.
    """
    groups: dict[str, list[int]] = {}
    seeds = {number: find_group_seed(result, by) for number, result in enumerate(results)}
    for number, result in enumerate(results):  # a run without a seed is a group of its own
        key = build_group_key(result, by) if seeds[number] else f"run {number}"
        groups.setdefault(key, []).append(number)
    made, notes = list[tuple[tuple[int, ...], Results]](), list[str]()
    for members in groups.values():
        twice = len({seeds[number] for number in members}) < len(members)
        if len(members) < 2 or twice:
            made += [((number,), results[number]) for number in members]
            named = ", ".join(str(paths[number].parent) for number in members)
            notes += [f"{named}: two of these runs have one seed, so they are not averaged"] if twice else []
            continue
        average = _Average([paths[number].parent for number in members], [results[number] for number in members])
        for places, result in average.build([str(seeds[number]) for number in members]):
            made.append((tuple(members[place] for place in places), result))
        notes += average.notes
    return GroupedRuns(
        results=tuple(result for _, result in made), members=tuple(places for places, _ in made), notes=tuple(notes)
    )


def build_group_key(result: Results, by: str) -> str:
    """What the runs of one group share."""
    model: Mapping[str, Any] = result["model"]
    identity: object = model["identity"]
    training: Mapping[str, Any] = model.get("training") or {}
    if not isinstance(identity, dict):
        return canonical([model["ref"], identity])
    key = cast("dict[str, Any]", identity)
    settings = dict(key.get("settings") or {})
    settings.pop(by, None)
    overrides = dict(key.get("overrides") or {})
    if by == SEED:
        sampling = dict(overrides.get("generation") or {})
        sampling.pop(SEED, None)
        overrides["generation"] = sampling
        if training.get("recipe"):  # the files of another seed's training are other files
            settings.pop("adapter", None)
            around = [key.get("strategy"), key.get("attack")]
            return canonical([key.get("scheme"), settings, around, overrides, training["recipe"]])
    return canonical([model["ref"] if by == SEED else "", {**key, "settings": settings, "overrides": overrides}])


def find_group_seed(result: Results, by: str) -> str | None:
    """What tells a run from the others of its group; None if nothing does."""
    model = result["model"]
    if by != SEED:
        settings: Mapping[str, Any] = model.get("settings") or {}
        given = settings.get(by)
        return None if given is None else str(given)
    return find_seed(model)


class _Average:
    """The average of the runs of one group.

    Args:
        folders: of the runs.
        results: of the runs.
    """

    def __init__(self, folders: Sequence[Path], results: Sequence[Results]) -> None:
        self.folders, self.results = folders, results
        self.notes: list[str] = []
        self._splits: dict[tuple[str, str], list[JudgedSplit]] = {}
        shared = [
            (task, split)
            for task, about in self.results[0]["tasks"].items()
            for split in about["splits"]
            if self._is_comparable(task, split)
        ]
        if not shared:
            return
        found: list[dict[tuple[str, str], JudgedSplit]] = []
        for folder in self.folders:
            try:
                stored = open_run(folder, [f"{task}:{split}" for task, split in shared])
                found.append({(each.display, each.name): each for each in stored.load_splits()})
            except HarnessError as error:
                self.notes.append(f"{folder} is shown apart from the runs of its group: {error}")
                return
        self._splits = {key: [splits[key] for splits in found] for key in shared if all(key in each for each in found)}

    def _is_comparable(self, task: str, split: str) -> bool:
        asked: set[str] = set()
        for result in self.results:
            about = result["tasks"].get(task)
            if about is None or split not in about["splits"]:
                return False
            body = about["splits"][split]
            settings = {name: value for name, value in body["settings"].items() if name != SEED}
            same = [about["version"], about["data"]["sha256"], settings, body.get("map")]
            asked.add(canonical([*same, *(body.get(name) for name in _EQUAL)]))
        return len(asked) == 1

    def build(self, seeds: Sequence[str]) -> Iterator[tuple[tuple[int, ...], Results]]:
        """The group's results, then what is left of each run; each with the places of its runs in the group."""
        tasks: dict[str, dict[str, Any]] = {}
        averaged: set[tuple[str, str]] = set()
        for (task, split), runs in self._splits.items():
            bodies = [result["tasks"][task]["splits"][split] for result in self.results]
            try:
                body = _average_split(bodies, runs)
            except (ScoringError, ValueError) as error:
                self.notes.append(f"{task}:{split} is not averaged over seeds: {error}")
                continue
            about = self.results[0]["tasks"][task]
            entry = tasks.setdefault(task, {**{k: v for k, v in about.items() if k != "paired"}, "splits": {}})
            entry["splits"][split] = body
            averaged.add((task, split))
        if averaged:
            first = self.results[0]
            refs = [str(result["model"]["ref"]) for result in self.results]
            members = [{"ref": ref, "seed": seed} for ref, seed in zip(refs, seeds, strict=True)]
            yield (
                tuple(range(len(self.results))),
                {
                    **first,
                    "folder": "",  # it is of several
                    "model": {**first["model"], "ref": name_group(refs), "seeds": members},
                    "finished": max(str(result.get("finished") or "") for result in self.results),
                    "tasks": tasks,
                    "suites": _average_suites(first, tasks),
                },
            )
        for place, result in enumerate(self.results):
            left: dict[str, Any] = {}
            for task, about in result["tasks"].items():
                splits = {name: body for name, body in about["splits"].items() if (task, name) not in averaged}
                if splits:
                    left[task] = {**about, "splits": splits}
            if left:
                yield (place,), {**result, "tasks": left}


def _average_suites(first: Results, tasks: Mapping[str, Mapping[str, Any]]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    suites: Mapping[str, Mapping[str, Any]] = first.get("suites") or {}
    for name, suite in suites.items():
        mean: Mapping[str, Any] = suite["mean"] or {}
        found[name] = suite_results(suite["splits"], [*mean.get("of", ()), *mean.get("missing", ())], tasks)
    return found


def name_group(refs: Sequence[str]) -> str:
    """One name for several models: what differs becomes a star."""
    if len(set(refs)) == 1:
        return refs[0]
    shortest = min(map(len, refs))
    alike = [len({ref[place] for ref in refs}) == 1 for place in range(shortest)]
    start = next((place for place in range(shortest) if not alike[place]), shortest)
    from_end = [len({ref[-place - 1] for ref in refs}) == 1 for place in range(shortest - start)]
    end = next((place for place in range(len(from_end)) if not from_end[place]), len(from_end))
    return f"{refs[0][:start]}*{refs[0][len(refs[0]) - end :]}"


def _average_split(bodies: Sequence[Mapping[str, Any]], runs: Sequence[JudgedSplit]) -> dict[str, Json]:
    """The body of a split over all runs. Raises ScoringError or ValueError, with the reason, if there is none."""
    first = bodies[0]
    shared = [judge for judge in first["other_judges"] if all(judge in body["other_judges"] for body in bodies)]
    views = {judge: [body["other_judges"][judge] for body in bodies] for judge in shared}
    # keys that are those of a judge's view, and not of the split; some only where there is something to say
    of_view = {"metrics", "by", "repeats", "drawn", "uncounted", "unmoved", "other_judges", "corrected"}
    of_view |= {name for view in first["other_judges"].values() for name in view}
    return {
        **{key: value for key, value in first.items() if key not in of_view},
        "records": sum(body["records"] for body in bodies),
        **{name: _sum_counts(bodies, name) for name in ("outcomes", "flags")},
        **_average_view(bodies, runs, first["judge"]),
        "other_judges": {judge: _average_view(each, runs, judge) for judge, each in views.items()},
    }


def _sum_counts(bodies: Sequence[Mapping[str, Any]], name: str) -> dict[str, Json]:
    names = dict.fromkeys(key for body in bodies for key in body[name])
    return {key: sum(body[name].get(key, 0) for body in bodies) for key in names}


def _average_view(views: Sequence[Mapping[str, Any]], runs: Sequence[JudgedSplit], judge: str) -> dict[str, Json]:
    from harness.stats.units import as_ints, sort_rows

    if any(judge not in run.judges for run in runs):
        raise ValueError(f"one of the runs has no verdicts of {judge}")
    metrics, by = runs[0].metrics(judge), runs[0].split.by
    tables: list[Table] = []
    with Guard():
        for run in runs:
            table = Table(metrics, by=by)
            for record in run.records:
                table.add(record.seen[judge])
            tables.append(table)
    rows = [sort_rows(table) for table in tables]
    breakdowns: dict[str, Json] = {}
    for name in by:
        groups: dict[str, Json] = {}
        for group in sorted({group for table in tables for group in table.parts[name].values if group}):
            parts = [
                each[as_ints(table.by[name])[each] == table.parts[name].code(group)]
                for table, each in zip(tables, rows, strict=True)
            ]
            if all(len(part) for part in parts):
                n = len(set(as_ints(tables[0].sample)[parts[0]].tolist()))
                groups[group] = {"n": n, "metrics": _average_metrics(tables, parts, metrics)}
        breakdowns[name] = groups
    resolved = sum((view["coverage"] or 0) * len(table) for view, table in zip(views, tables, strict=True))
    return {
        **({"map": views[0]["map"]} if "map" in views[0] else {}),
        **{name: _sum_counts(views, name) for name in ("verdicts", "labels")},
        "coverage": resolved / max(sum(len(table) for table in tables), 1),
        "complete": all(view["complete"] for view in views),
        "metrics": _average_metrics(tables, rows, metrics),
        "by": breakdowns,
    }


def _average_metrics(tables: Sequence[Table], rows: Sequence[Any], metrics: Sequence[Metric]) -> dict[str, Json]:
    from harness.stats.assess import assess
    from harness.stats.seeds import average_seeds
    from harness.stats.units import explain_groups, explain_unscored, metric_units

    found: dict[str, Json] = {}
    main = main_metric(metrics) if metrics else None
    for place, metric in enumerate(metrics):
        every = [table.metrics[place] for table in tables]
        parts = list(zip(tables, every, rows, strict=True))
        why = next(
            filter(None, (explain_unscored(t, r) or explain_groups(t, c, r) for t, c, r in parts)),
            "",
        )
        units = [metric_units(table, columns, part) for table, columns, part in parts]
        if not why and any(each.frame is not None for each in units):
            why = "a judge has read only a part of the answers of one run"
        if not why and len({tuple(columns.strata.values) for columns in every}) > 1:
            why = "the runs have different strata"
        joined = _join_units(units)
        body: dict[str, Any] = metric_json(
            replace(metric, stratum=None), joined, main=metric is main, why=why, strata=()
        )
        if metric.stratum is not None:
            body |= {"numerator": None, "denominator": None}
        estimates = None if body["value"] is None else assess(joined).estimates
        if estimates is not None:
            average = average_seeds(estimates, len(tables))
            ends = [to_unit(end, metric.unit) for end in average.ci95]
            # what unresolved records could still add lies outside the interval as far as it lies outside the value
            value = to_unit(estimates.value, metric.unit)
            bounds: tuple[float, float] = body["bounds"] or (value, value)
            body |= {
                "ci95": ends,
                "ci95_worst": [round(ends[0] - (value - bounds[0]), 10), round(ends[1] + (bounds[1] - value), 10)],
                "seeds": {
                    "values": [to_unit(each, metric.unit) for each in average.values],
                    "sd": to_unit(average.spread, metric.unit),
                    "freedom": round(average.freedom, 1),
                },
            }
        found[metric.name] = body
    return found


def _join_units(every: Sequence[Units]) -> Units:
    """The units of all runs, the strata of each run after those of the one before; clusters are shared."""
    import numpy as np

    from harness.stats.units import SETTLED

    strata, choices, choice, stratum = 0, list[Any](), list[Any](), list[Any]()
    for units in every:
        choice.append(np.where(units.choice == SETTLED, SETTLED, units.choice + len(choices)))
        stratum.append(units.stratum + strata)
        choices += units.choices
        strata += units.strata
    return replace(
        every[0],
        num=np.concatenate([units.num for units in every]),
        den=np.concatenate([units.den for units in every]),
        left_out=np.concatenate([units.left_out for units in every]),
        cluster=np.concatenate([units.cluster for units in every]),
        choice=np.concatenate(choice),
        stratum=np.concatenate(stratum),
        strata=strata,
        choices=tuple(choices),
        frame=None,
    )
