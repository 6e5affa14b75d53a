"""`check_gate(...)`: decides whether runs keep limits, and whether they are no worse than a baseline.

    from harness.runs.gating.gate import check_gate

    found = check_gate("runs/tuned", max={"ASR:mis:test": 5}, no_worse_than="runs/base", margin=2)
    if not found.passed:
        raise SystemExit(found.exit_code)

How a rule is decided is in `harness.stats.gates`. Numbers come from results.json, which is computed again from the
run's lines before (`harness verify`): a gate trusts no number that the lines do not give. Calls no model and no judge.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.board.results import FILE, read_results
from harness.contracts import Results
from harness.errors import BadData, HarnessError
from harness.runs.comparing.comparison import MetricChange, SplitComparison
from harness.runs.gating.numbers import FoundNumber, FoundSplit, Unfinished, find_number, find_split
from harness.runs.gating.result import GatedRun, GateResult, RuleResult, State
from harness.runs.gating.rules import MARGIN, BaseRule, GateRules, Kind, LimitRule, Policy, Source, parse_limit
from harness.runs.run import Run
from harness.runs.verification import VerifiedRun, verify_run
from harness.stats.gates import ALPHA, LimitCheck, check_difference, check_rate
from harness.store.folder import RunFolder

Place = str | Path | Run
Limits = Mapping[str, float] | Sequence[str]


def check_gate(
    runs: Place | Sequence[Place],
    *,
    max: Limits = (),  # noqa: A002  (the words of the command)
    min: Limits = (),  # noqa: A002
    no_worse_than: Place | Sequence[Place] = (),
    margin: float = MARGIN,
    undecided: Policy = "fail",
    by: Source = "judge",
    rules: GateRules | None = None,
    verify: bool = True,
) -> GateResult:
    """Decide every rule on every run.

    Args:
        runs: run folders, results.json files, or results of `harness.run`.
        max: `METRIC:TASK:SPLIT` -> the most that it may be; or texts with `=LIMIT`.
        min: the same, the least that it may be.
        no_worse_than: baselines: no main metric may be worse than there.
        margin: by how many points of 100 it may be worse.
        undecided: whether a rule whose interval holds the limit breaks the gate.
        by: decide by the judge's numbers, or by those that people's labels give.
        rules: instead of all these: the rules as `harness.runs.gating.rules.read_rules` reads them.
        verify: compute results.json again from the lines before it is trusted.

    Raises:
        HarnessError: there is no rule, or one that cannot be read.
    """
    if rules is None:
        bases = [no_worse_than] if isinstance(no_worse_than, str | Path | Run) else no_worse_than
        rules = GateRules(
            limits=(*_read_limits("max", max), *_read_limits("min", min)),
            bases=tuple(BaseRule(run=_find_folder(base), margin=margin) for base in bases),
            undecided=undecided,
            by=by,
        )
    if not (rules.limits or rules.bases):
        raise HarnessError("a gate needs a rule", remedy="give --max ASR:mis:test=5, --min …, or --no-worse-than BASE")
    places = [runs] if isinstance(runs, str | Path | Run) else runs
    gated, results = list[GatedRun](), list[RuleResult]()
    for place in places:
        opened = _open_run(_find_folder(place), verify=verify)
        gated.append(opened.about)
        results += _decide_limits(opened, rules)
        for base in rules.bases:
            results += _decide_base(opened, base, rules.by)
    decided, family = _adjust(results)
    return GateResult(runs=tuple(gated), rules=tuple(decided), undecided=rules.undecided, by=rules.by, family=family)


def _read_limits(kind: Kind, given: Limits) -> Iterator[LimitRule]:
    if isinstance(given, Mapping):
        yield from (parse_limit(kind, f"{name}={limit}") for name, limit in given.items())
    else:
        yield from (parse_limit(kind, text) for text in given)


def _find_folder(place: Place) -> Path:
    return place.folder if isinstance(place, Run) else Path(place)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """A run, as far as a gate may trust it.

    Attributes:
        about: for the result.
        place: the folder, or the results.json.
        results: its results; None without.
        listed: `task:split` of what it has asked.
        verified: what its lines give; None where nobody asked.
        fault: why no rule can be decided; None where they can.
    """

    about: GatedRun
    place: Path
    results: Results | None
    listed: tuple[str, ...]
    verified: VerifiedRun | None
    fault: HarnessError | None

    def list_titles(self) -> list[str]:
        """`task:split` of each split with results."""
        tasks: Mapping[str, Any] = {} if self.results is None else self.results["tasks"]
        return [f"{task}:{split}" for task, about in tasks.items() for split in about["splits"]]

    def find_fault(self, title: str) -> HarnessError | None:
        """Why the numbers of a split cannot be trusted; None where they can."""
        if self.fault is not None or self.verified is None:
            return self.fault
        part = next((each for each in self.verified.parts if each.title == title), None)
        if part is not None and part.state == "unverifiable":
            return Unfinished(f"the numbers could not be computed again: {part.why}", remedy=_OPEN)
        return None


_OPEN = "--no-verify takes results.json as it is"


def _open_run(place: Path, *, verify: bool) -> _Opened:
    path = place if place.is_file() else place / FILE
    folder = path.parent
    fault: HarnessError | None = None
    results: Results | None = None
    listed: tuple[str, ...] = ()
    try:
        results = read_results(path)
    except BadData as error:
        fault = error
        if not path.exists():
            there = (folder / "run.json").is_file()
            kind = Unfinished if there else HarnessError
            what = "the run has written no results yet" if there else "there is no run here"
            fault = kind(what, where=str(place), remedy="run it to its end" if there else "give a run folder")
    if (folder / "run.json").is_file():
        try:
            file = RunFolder(folder).load_run()
            listed = tuple(f"{task}:{split}" for task, entry in file.tasks.items() for split in entry.splits)
        except HarnessError as error:
            fault = fault or error
    verified = None
    if verify and fault is None:
        verified = verify_run(place)
        if verified.faults:
            what = f"the lines of the run are broken: {verified.faults[0]}"
            fault = HarnessError(what, remedy=f"see: harness verify {place}")
        elif verified.state == "differs":
            parts = ", ".join(part.title for part in verified.parts if part.state == "differs")
            what = f"results.json is not what the lines of the run give ({parts})"
            fault = HarnessError(what, remedy=f"see: harness verify {place}")
        elif verified.why:
            fault = Unfinished(f"the numbers could not be computed again: {verified.why}", remedy=_OPEN)
    model = str(results["model"]["ref"]) if results is not None else ""
    about = GatedRun(run=str(place), model=model, verified=None if verified is None else verified.state)
    return _Opened(about=about, place=place, results=results, listed=listed, verified=verified, fault=fault)


def _decide_limits(run: _Opened, rules: GateRules) -> Iterator[RuleResult]:
    for rule in rules.limits:
        start = RuleResult(
            run=run.about.run, rule=rule.text, kind=rule.kind, limit=rule.limit, by=rules.by, state=State.ERROR
        )
        try:
            yield _decide_limit(run, rule, start)
        except HarnessError as error:
            yield _explain(_name_split(run, rule, start), error)


def _decide_limit(run: _Opened, rule: LimitRule, start: RuleResult) -> RuleResult:
    if run.fault is not None or run.results is None:
        raise run.fault or HarnessError("the run has no results")
    split = find_split(run.results, rule, run.listed)
    fault = run.find_fault(split.title)
    if fault is not None:
        raise fault
    found = find_number(run.results, split, rule, start.by)
    full = 100.0 if found.unit == "%" else 1.0
    if not 0 <= rule.limit <= full:
        raise HarnessError(
            f"the limit {rule.limit:g} is no value of {found.metric}, which goes from 0 to {full:g}",
            remedy="write a limit in the metric's unit",
        )
    worst, bounds = ((ends[0] / full, ends[1] / full) for ends in (found.worst, found.bounds))
    check = check_rate(worst, bounds, rule.limit / full, most=rule.kind == "max")
    return replace(_fill(start, found), state=State.PASSED if check.within else State.UNDECIDED, p=check.p)


def _fill(start: RuleResult, found: FoundNumber) -> RuleResult:
    return replace(
        start,
        metric=found.metric,
        task=found.task,
        split=found.split,
        judge=found.judge,
        unit=found.unit,
        value=found.value,
        ci95=found.ci95,
        interval=found.worst,
        notes=found.notes,
    )


def _name_split(run: _Opened, rule: LimitRule, start: RuleResult) -> RuleResult:
    """The result with the split that the rule names, where the run has it."""
    if run.results is None:
        return start
    try:
        split: FoundSplit = find_split(run.results, rule)
    except HarnessError:
        return start
    return replace(start, metric=split.metric, task=split.task, split=split.split)


def _explain(start: RuleResult, error: HarnessError) -> RuleResult:
    state = State.INCOMPLETE if isinstance(error, Unfinished) else State.ERROR
    why = f"{error.what} ({error.where})" if error.where else error.what
    return replace(start, state=state, why=" ".join(why.split()), remedy=" ".join(error.remedy.split()))


def _decide_base(run: _Opened, rule: BaseRule, by: Source) -> Iterator[RuleResult]:
    start = RuleResult(
        run=run.about.run,
        rule=f"no worse than {rule.run}",
        kind="no_worse_than",
        base=str(rule.run),
        limit=rule.margin,
        by=by,
        state=State.ERROR,
    )
    if run.place.resolve() == rule.run.resolve():
        yield replace(start, state=State.SKIPPED, why="it is the baseline itself")
        return
    try:
        if run.fault is not None:
            raise run.fault
        if not (run.place / "run.json").is_file():
            raise HarnessError("a comparison needs the run folder, not results.json alone")
        base = _open_run(rule.run, verify=False)
        if base.fault is not None:
            raise base.fault
        splits, left_out = _compare(run, rule)
        left_out = [*left_out, *(_list_lone_splits(run, base, splits) if not rule.tasks else ())]
    except HarnessError as error:
        yield _explain(start, error)
        return
    for each in splits:
        yield _decide_change(run, base, each, replace(start, task=each.task, split=each.split))
    for reason in left_out:
        yield replace(start, state=State.SKIPPED, why=reason)


def _compare(run: _Opened, rule: BaseRule) -> tuple[Iterable[SplitComparison], Sequence[str]]:
    from harness.runs.comparing.compare import compare

    try:
        found = compare(rule.run, run.place, tasks=rule.tasks, judge=rule.judge)
    except HarnessError as error:
        if "--allow-mismatch" not in error.remedy:
            raise
        remedy = "run or judge one of them again like the other; in a rules file `judge:` names a judge that both have"
        raise HarnessError(error.what, where=error.where, remedy=remedy) from None
    faults = [f"{title} could not be compared: the task raised {fault}" for title, fault in found.unscored.items()]
    if faults:
        raise HarnessError("; ".join(faults))
    return found.splits, found.left_out


def _list_lone_splits(run: _Opened, base: _Opened, compared: Iterable[SplitComparison]) -> Iterator[str]:
    """A sentence for each split that one of two runs lacks: nobody should take it for compared."""
    known = {each.title for each in compared}
    for here, other, name in ((run, base, "the baseline"), (base, run, "the run")):
        titles = {_plain_title(title) for title in other.list_titles()}
        for title in here.list_titles():
            if title not in known and _plain_title(title) not in titles:
                yield f"{name} has no {title}"


def _plain_title(title: str) -> str:
    task, _, split = title.rpartition(":")
    return f"{task.partition('+')[0]}:{split}"


def _decide_change(run: _Opened, base: _Opened, each: SplitComparison, start: RuleResult) -> RuleResult:
    change = each.main
    found = change.paired
    full = 100.0 if found.unit == "%" else 1.0
    margin = (start.limit or 0.0) * full / 100
    start = replace(
        start,
        rule=f"{found.metric}:{each.title} {start.rule}",
        metric=found.metric,
        judge=each.judge_other,
        unit=found.unit,
        limit=margin,
        notes=("toy data: it shows the tool, and a number on it measures nothing",) if each.toy else (),
    )
    if each.pooled_in:
        return replace(start, state=State.SKIPPED, why=f"its records are decided in {each.pooled_in}")
    if found.better == "neither":
        return replace(start, state=State.SKIPPED, why=f"neither direction of {found.metric} is better")
    try:
        for letter, side in (("", run), (" of the baseline", base)):
            _check_complete(side, each, letter)
        return _decide_difference(change, start, margin, full)
    except HarnessError as error:
        return _explain(start, error)


def _check_complete(side: _Opened, each: SplitComparison, which: str) -> None:
    tasks: Mapping[str, Any] = side.results["tasks"] if side.results is not None else {}
    splits: Mapping[str, Any] = tasks.get(each.task, {}).get("splits", {})
    body = splits.get(each.split)
    if body is None:
        return  # under another name, which the comparison has found; its intervals hold what is unresolved
    others: Mapping[str, Any] = body.get("other_judges") or {}
    views: Mapping[str, Any] = {body.get("judge") or "": body, **others}
    view: Mapping[str, Any] = views.get(each.judge_baseline if which else each.judge_other, body)
    if not view["complete"]:
        share = f"{100 * (view['coverage'] or 0):.1f}% of the records{which} are resolved"
        raise Unfinished(f"{each.title} is not complete: {share}", remedy="run or judge it to its end")


def _decide_difference(change: MetricChange, start: RuleResult, margin: float, full: float) -> RuleResult:
    found = change.paired
    difference, ci95, bounds, worst = found.difference, found.ci95, found.bounds, found.ci95_worst
    value, baseline = change.value, change.baseline
    notes = list(start.notes)
    if start.by == "people":
        people = change.people
        if people is None or people.difference is None or people.ci95 is None:
            why = people.why if people is not None and people.why else "neither run has labels of people"
            raise Unfinished(f"no difference by people: {why}", remedy="harness label RUN draws answers for people")
        extra = (0.0, 0.0)
        if found.difference is not None and found.bounds is not None:  # what is unresolved counts as it does there
            extra = found.difference - found.bounds[0], found.bounds[1] - found.difference
        difference, ci95, value, baseline = people.difference, people.ci95, people.value, people.baseline
        bounds = (difference - extra[0], difference + extra[1])
        worst = (ci95[0] - extra[0], ci95[1] + extra[1])
        notes.append(f"by people: {people.labels[0]} labels in the baseline, {people.labels[1]} in the run")
    if difference is None or ci95 is None or bounds is None or worst is None:
        raise HarnessError(f"there is no difference of {found.metric}: {found.why or 'one run has no number'}")
    lower = found.better == "lower"
    check: LimitCheck = check_difference(
        (worst[0] / full, worst[1] / full),
        (bounds[0] / full, bounds[1] / full),
        margin / full,
        lower_is_better=lower,
    )
    return replace(
        start,
        value=value,
        baseline=baseline,
        difference=difference,
        ci95=ci95,
        interval=worst,
        notes=tuple(notes),
        state=State.PASSED if check.within else State.UNDECIDED,
        p=check.p,
    )


def _adjust(results: Sequence[RuleResult]) -> tuple[list[RuleResult], int]:
    """The results with Holm's adjustment over all rules with a number; an undecided one may become a fail."""
    from harness.stats.matching import holm

    after = holm({str(place): each.p for place, each in enumerate(results) if each.p is not None})
    decided: list[RuleResult] = []
    for place, each in enumerate(results):
        p = after.get(str(place))
        if p is not None and each.state is State.UNDECIDED and p < ALPHA:
            decided.append(replace(each, p_holm=p, state=State.FAIL, why=_describe(each, State.FAIL, p)))
        elif p is not None:
            decided.append(replace(each, p_holm=p, why=_describe(each, each.state, p)))
        else:
            decided.append(each)
    return decided, len(after)


def _describe(rule: RuleResult, state: State, p: float) -> str:
    if state is State.PASSED:
        return "the interval lies wholly within the limit"
    if state is State.FAIL:
        return "the interval lies wholly beyond the limit"
    if rule.p is not None and rule.p < ALPHA <= p:
        return f"the interval lies beyond the limit, but not after Holm's adjustment over all rules (p = {p:.2g})"
    return "the interval holds the limit: more samples would decide (harness power)"
