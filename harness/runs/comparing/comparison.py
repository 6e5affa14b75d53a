"""The result of a comparison, as values, JSON and a table. A is the baseline; B, C, … are compared with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from harness.stats.pairing import PairedResult
from harness.stats.tally import plain_number
from harness.types import Json

if TYPE_CHECKING:
    import pandas as pd

    from harness.stats.common_errors import CommonErrors, ErrorRate

SCHEMA: Final = "harness.comparison/1"
ALPHA: Final = 0.05  #: a difference with a smaller adjusted p is shown
BASELINE: Final = "A"


class Finding(Enum):
    """The finding of a main metric: how a run compares with the baseline."""

    BETTER = "better"
    WORSE = "worse"
    OPEN_BETTER = "better, unless what is unresolved went the other way"
    OPEN_WORSE = "worse, unless what is unresolved went the other way"
    UNCLEAR = "no difference shown"
    EXPLORATORY = "exploratory, not tested by itself"
    NOTHING = "nothing to compare"

    @property
    def shown(self) -> bool:
        """Whether a difference was shown."""
        return self not in (Finding.UNCLEAR, Finding.EXPLORATORY, Finding.NOTHING)


@dataclass(frozen=True, slots=True, kw_only=True)
class SideSeed:
    """One of several runs that differ in a seed alone.

    Attributes:
        seed: its seed, or the setting that it differs in.
        ref: its model as the user wrote it.
        folder: its run folder.
    """

    seed: str
    ref: str
    folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One run, or several that differ in a seed alone.

    Attributes:
        letter: `A` is the baseline.
        ref: the model as the user wrote it; what differs between several is a star.
        name: the model as a leaderboard names it, with what was put around it and what tells it from the others.
        folder: the run folder, or all of them.
        seeds: the runs, where there are several; else empty.
        shards: `i/n` of each of them that is a shard, a part of a run; its numbers are not the run's.
    """

    letter: str
    ref: str
    name: str
    folder: str
    seeds: tuple[SideSeed, ...] = ()
    shards: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """One difference between a run and the baseline.

    Attributes:
        run: letter of the run.
        split: `task:split`; empty for the whole run.
        what: the thing that differs.
        baseline: its value in the baseline; empty for none.
        other: its value in the run.
    """

    run: str
    split: str
    what: str
    baseline: str
    other: str

    @property
    def text(self) -> str:
        """The mismatch in one line."""
        where = f"{self.split}: " if self.split else ""
        return f"{where}{self.what} is {self.baseline or 'none'} in {BASELINE}, {self.other or 'none'} in {self.run}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Records of one split in both runs.

    Attributes:
        common: records asked in both.
        resolved: common records resolved in both.
        unresolved_baseline: common records unresolved in the baseline.
        unresolved_other: common records unresolved in the run.
        only_baseline: records asked only in the baseline.
        only_other: records asked only in the run.
    """

    common: int
    resolved: int
    unresolved_baseline: int
    unresolved_other: int
    only_baseline: int
    only_other: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedPart:
    """How many of a run's answers a judge has read, if not all.

    Attributes:
        answers: number of answers.
        read: number of answers that the judge has read.
        drawn: whether the read answers were drawn at random.
    """

    answers: int
    read: int
    drawn: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """A unit that the main metric hits in one run and not in the other.

    Attributes:
        item: its item in the baseline; the first one of a group.
        other: its item in the run; the name differs only if the task's settings do.
        category: the task's category.
        baseline_label: its label in the baseline.
        other_label: its label in the run.
    """

    item: str
    other: str
    category: str
    baseline_label: str
    other_label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Flips:
    """Flips in both directions, by the names of their items; numbers in names compare as numbers."""

    only_baseline: tuple[Flip, ...] = ()
    only_other: tuple[Flip, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleChange:
    """One metric in both runs by people's labels, each run with its own; rates in the metric's unit.

    Attributes:
        baseline: the baseline's corrected number over the common items; None without a difference.
        value: the run's.
        difference: run - baseline; None with a reason in `why`.
        ci95: of the difference.
        labels: how many common answers people labelled, in the baseline and in the run.
        why: there is no difference, as a sentence without its full stop; empty where there is one.
        common: the difference if the judge errs alike on both runs, with the tests of that; None unless asked for.
            Its first run is the run, its second the baseline; the judge's errors are shares of 1.
    """

    baseline: float | None = None
    value: float | None = None
    difference: float | None = None
    ci95: tuple[float, float] | None = None
    labels: tuple[int, int] = (0, 0)
    why: str = ""
    common: CommonErrors | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricChange:
    """One metric in both runs; the run is the left side of `paired`, so the difference is run - baseline.

    Attributes:
        paired: the paired difference with its interval and test.
        main: whether it is the split's main metric.
        p_holm: p adjusted over the tested main metrics; None for other metrics.
        exploratory: not tested, because a pooled split with the same records is.
        people: the difference by people's labels; None where neither run has labels.
    """

    paired: PairedResult
    main: bool = False
    p_holm: float | None = None
    exploratory: bool = False
    people: PeopleChange | None = None

    @property
    def baseline(self) -> float | None:
        """The baseline's value over the resolved pairs."""
        return self.paired.right

    @property
    def value(self) -> float | None:
        """The run's value over the resolved pairs."""
        return self.paired.left

    @property
    def finding(self) -> Finding:
        """The main metric's finding after Holm's adjustment; NOTHING for other metrics."""
        found = self.paired
        if self.exploratory and found.difference is not None and found.better != "neither":
            return Finding.EXPLORATORY
        if self.p_holm is None or found.difference is None or found.better == "neither":
            return Finding.NOTHING
        if self.p_holm >= ALPHA:
            return Finding.UNCLEAR
        is_better = (found.difference < 0) == (found.better == "lower")
        worst = found.ci95_worst
        if found.unresolved and (worst is None or worst[0] <= 0 <= worst[1]):
            return Finding.OPEN_BETTER if is_better else Finding.OPEN_WORSE
        return Finding.BETTER if is_better else Finding.WORSE


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitComparison:
    """One split of one run compared with the baseline.

    Attributes:
        run: letter of the run.
        task: the task's displayed name in the baseline.
        split: the split's name.
        parts: the splits it pools; empty if it is not pooled.
        pooled_in: the pooled split that is tested in its place; empty if it is tested itself.
        judge_baseline: the judge's id in the baseline; empty for none.
        judge_other: the judge's id in the run.
        epochs: answers for each sample, in the baseline and in the run.
        runs: how many runs the baseline's side and the run's side have.
        counts: counts of its records.
        resolved: the records resolved in both, each by split, sample and epoch.
        changes: metric -> its change, the main metric first.
        by: group -> its change of the main metric; exploratory, outside Holm's family.
        flips: flips of the main metric; None where a side is several runs.
        part_baseline: the part of the baseline's answers that the judge has read; None for all or nothing.
        part_other: the same for the run.
        toy: its data only demonstrates the tool, so a difference measures nothing.
    """

    run: str
    task: str
    split: str
    parts: tuple[str, ...]
    judge_baseline: str
    judge_other: str
    epochs: tuple[int, int]
    counts: Counts
    changes: Mapping[str, MetricChange]
    by: Mapping[str, MetricChange]
    flips: Flips | None
    part_baseline: JudgedPart | None = None
    part_other: JudgedPart | None = None
    toy: bool = False
    pooled_in: str = ""
    runs: tuple[int, int] = (1, 1)
    resolved: frozenset[tuple[str, str, int]] = field(default=frozenset(), repr=False)

    @property
    def title(self) -> str:
        """Task and split, as written for `--tasks`."""
        return f"{self.task}:{self.split}"

    @property
    def main(self) -> MetricChange:
        """The main metric."""
        return next(change for change in self.changes.values() if change.main)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Runs compared with a baseline, split by split.

    Attributes:
        runs: the baseline first.
        splits: the split comparisons, by split, then by run.
        by: the grouping of `SplitComparison.by`; empty for none.
        family: number of tests in Holm's adjustment.
        mismatches: differences that `allow_mismatch` permitted.
        differing: differences of the models and their sampling; reported, never refused.
        left_out: splits that could not be compared, and why.
        unscored: `task:split` -> what the task's code raised.
    """

    runs: tuple[Side, ...]
    splits: tuple[SplitComparison, ...]
    by: str = ""
    family: int
    mismatches: tuple[Mismatch, ...] = ()
    differing: tuple[Mismatch, ...] = ()
    left_out: tuple[str, ...] = ()
    unscored: Mapping[str, str]

    @property
    def baseline(self) -> Side:
        """The run with which all others are compared."""
        return self.runs[0]

    def as_json(self, show: int | None = None) -> dict[str, Json]:
        """`harness.comparison/1`; its JSON Schema is docs/comparison.schema.json.

        Args:
            show: most flips to list in each direction; None for all. The counts include all.
        """

        def list_flips(flips: Sequence[Flip]) -> dict[str, Json]:
            items: list[Json] = [
                {
                    "item": flip.item,
                    "item_in_run": flip.other,
                    "category": flip.category,
                    "baseline": flip.baseline_label,
                    "run": flip.other_label,
                }
                for flip in flips[:show]
            ]
            return {"count": len(flips), "items": items}

        sides: list[Json] = []
        for side in self.runs:
            shards: dict[str, Json] = {"shards": list(side.shards)} if side.shards else {}
            plain = {"letter": side.letter, "ref": side.ref, "name": side.name, "folder": side.folder}
            sides.append({**plain, "seeds": [asdict(each) for each in side.seeds], **shards})
        splits: list[Json] = [
            {
                "run": each.run,
                "task": each.task,
                "split": each.split,
                "parts": list(each.parts),
                "judge": {"baseline": each.judge_baseline or None, "run": each.judge_other or None},
                "drawn": {
                    "baseline": None if each.part_baseline is None else each.part_baseline.drawn,
                    "run": None if each.part_other is None else each.part_other.drawn,
                },
                "toy": each.toy,
                "epochs": {"baseline": each.epochs[0], "run": each.epochs[1]},
                "records": asdict(each.counts),
                "metrics": {name: _change_to_json(change) for name, change in each.changes.items()},
                "by": {group: _change_to_json(change) for group, change in each.by.items()},
                "flips": None
                if each.flips is None
                else {
                    "only_baseline": list_flips(each.flips.only_baseline),
                    "only_run": list_flips(each.flips.only_other),
                },
            }
            for each in self.splits
        ]
        return {
            "schema": SCHEMA,
            "baseline": self.baseline.letter,
            "runs": sides,
            "by": self.by or None,
            "family": self.family,
            "mismatches": [asdict(each) for each in self.mismatches],
            "differing": [asdict(each) for each in self.differing],
            "left_out": list(self.left_out),
            "unscored": dict(self.unscored),
            "splits": splits,
        }

    def to_frame(self) -> pd.DataFrame:
        """One row for each run, split, metric and group (pandas is imported here); percent values are 0 to 100.

        Columns: run, model, task, split, group (empty for all), metric, main, unit, better, pairs, unresolved,
        clusters, baseline, value, difference, ci_low, ci_high, worst_low, worst_high, p, test, p_holm, detectable, and
        what people's labels say: corrected, corrected_low, corrected_high, labels_baseline, labels_run, corrected_why,
        common, common_low, common_high, p_sensitivity, p_specificity. Last: seeds_baseline and seeds_run, the number
        of runs on each side, and sd_baseline and sd_run, the standard deviations between them.
        """
        import pandas as pd

        return pd.DataFrame(self.list_rows())

    def list_rows(self) -> list[dict[str, Any]]:
        """The rows of `to_frame`, as dicts."""
        names = {side.letter: side.name for side in self.runs}
        rows: list[dict[str, Any]] = []
        for each in self.splits:
            place = {"model": names[each.run], "run": each.run, "task": each.task, "split": each.split}
            rows += [place | _frame_row("", change, each.runs) for change in each.changes.values()]
            rows += [place | _frame_row(group, change, each.runs) for group, change in each.by.items()]
        return rows


def _change_to_json(change: MetricChange) -> dict[str, Json]:
    found = change.paired
    estimator: dict[str, Json] = {}
    if found.estimated:
        judged, of = found.estimated
        estimator = {"estimator": {"name": "post-stratified", "judged": judged, "of": of}}
    seeds: dict[str, Json] = {}
    if found.seeds is not None:
        seeds = {
            "baseline": list(found.seeds.right),
            "run": list(found.seeds.left),
            "sd": {"baseline": found.seeds.spreads[1], "run": found.seeds.spreads[0]},
            "freedom": found.seeds.freedom,
        }
    return {
        "metric": found.metric,
        "unit": found.unit,
        "better": found.better,
        "main": change.main,
        "pairs": found.pairs,
        "unresolved": found.unresolved,
        "clusters": found.clusters,
        "denominators": {"baseline": plain_number(found.denominators[1]), "run": plain_number(found.denominators[0])},
        "baseline": change.baseline,
        "run": change.value,
        "difference": found.difference,
        **({"why": found.why} if found.why else {}),
        **estimator,
        "ci95": found.ci95 and list(found.ci95),
        "bounds": found.bounds and list(found.bounds),
        "ci95_worst": found.ci95_worst and list(found.ci95_worst),
        "p": found.p,
        "test": found.test,
        "p_holm": change.p_holm,
        "detectable": found.detectable,
        "finding": change.finding.value if change.main else None,
        **({} if change.people is None else {"corrected": _people_to_json(change.people)}),
        **({"seeds": seeds} if seeds else {}),
    }


def _people_to_json(people: PeopleChange) -> dict[str, Json]:
    common: dict[str, Json] = {}
    if people.common is not None:
        found = people.common
        common = {
            "common_errors": {
                "difference": found.value,
                "ci95": found.ci95 and list(found.ci95),
                **({"why": found.why} if found.why else {}),
                "sensitivity": _errors_to_json(found.sensitivity),
                "specificity": _errors_to_json(found.specificity),
            }
        }
    return {
        "baseline": people.baseline,
        "run": people.value,
        "difference": people.difference,
        "ci95": people.ci95 and list(people.ci95),
        **({"why": people.why} if people.why else {}),
        "labels": {"baseline": people.labels[0], "run": people.labels[1]},
        **common,
    }


def _errors_to_json(found: ErrorRate | None) -> dict[str, Json] | None:
    """A rate from 0 to 1 in both runs, and the test that it is equal."""
    if found is None:
        return None
    return {"both": found.both, "baseline": found.second, "run": found.first, "p": found.p}


def _frame_row(group: str, change: MetricChange, runs: tuple[int, int]) -> dict[str, Any]:
    spreads = (None, None) if change.paired.seeds is None else change.paired.seeds.spreads
    found: dict[str, Any] = _change_to_json(change)
    (low, high), (worst_low, worst_high) = (found[name] or (None, None) for name in ("ci95", "ci95_worst"))
    people: dict[str, Any] = found.get("corrected") or {}
    labels: dict[str, int] = people.get("labels") or {}
    common: dict[str, Any] = people.get("common_errors") or {}
    (people_low, people_high), (common_low, common_high) = (
        each.get("ci95") or (None, None) for each in (people, common)
    )
    errors: list[dict[str, Any]] = [common.get(name) or {} for name in ("sensitivity", "specificity")]
    first = ("metric", "main", "unit", "better", "pairs", "unresolved", "clusters", "baseline")
    return {
        "group": group,
        **{name: found[name] for name in first},
        "value": found["run"],
        "difference": found["difference"],
        "ci_low": low,
        "ci_high": high,
        "worst_low": worst_low,
        "worst_high": worst_high,
        **{name: found[name] for name in ("p", "test", "p_holm", "detectable")},
        "corrected": people.get("difference"),
        "corrected_low": people_low,
        "corrected_high": people_high,
        "labels_baseline": labels.get("baseline"),
        "labels_run": labels.get("run"),
        "corrected_why": people.get("why", ""),
        "common": common.get("difference"),
        "common_low": common_low,
        "common_high": common_high,
        "p_sensitivity": errors[0].get("p"),
        "p_specificity": errors[1].get("p"),
        "seeds_baseline": runs[0],
        "seeds_run": runs[1],
        "sd_baseline": spreads[1],
        "sd_run": spreads[0],
    }
