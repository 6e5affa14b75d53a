"""`check_gate(...)`: decides whether runs keep limits, and whether they are no worse than a baseline.

    from harness.runs.gating.gate import check_gate

    found = check_gate("runs/tuned", max={"ASR:mis:test": 5}, no_worse_than="runs/base", margin=2)
    if not found.passed:
        raise SystemExit(found.exit_code)

How a rule is decided is in `harness.stats.gates`. Numbers come from results.json, which is computed again from the
run's lines before (`harness verify`): a gate trusts no number that the lines do not give. Calls no model and no judge.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from harness.board.display import format_interval
from harness.board.results import FILE, read_results
from harness.board.sections import name_model
from harness.contracts import Results
from harness.errors import BadData, HarnessError
from harness.runs.comparing.comparison import MetricChange, SplitComparison
from harness.runs.gating.numbers import (
    FoundSplit,
    Unanswered,
    Unfinished,
    describe_subset,
    find_number,
    find_split,
)
from harness.runs.gating.places import describe_absent, find_resume
from harness.runs.gating.result import GatedRun, GateResult, RuleResult, RuleState
from harness.runs.gating.rules import MARGIN, BaseRule, GateRules, Kind, LimitRule, Source, UndecidedPolicy, parse_limit
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
    undecided: UndecidedPolicy = "fail",
    by: Source = "judge",
    allow_subset: bool = False,
    rules: GateRules | None = None,
    verify: bool = True,
) -> GateResult:
    """Decide every rule on every run.

    Args:
        runs: run folders, results.json files, or results of `harness.run`.
        max: `METRIC:TASK:SPLIT` -> the most that it may be; or texts with `=LIMIT`.
        min: the same, the least that it may be.
        no_worse_than: baselines; no main metric may be worse than in them.
        margin: by how many points of 100 it may be worse.
        undecided: whether a rule whose limit lies inside the interval counts as failed or as passed.
        by: decide by the judge's numbers, or by those that people's labels give.
        allow_subset: decide by a part of a split too: a run with `--limit`, or a shard.
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
            allow_subset=allow_subset,
        )
    if not (rules.limits or rules.bases):
        raise HarnessError("a gate needs a rule", remedy="give --max ASR:mis:test=5, --min …, or --no-worse-than BASE")
    places = [runs] if isinstance(runs, str | Path | Run) else runs
    gated, results = list[GatedRun](), list[RuleResult]()
    for place in places:
        opened = _open_run(_find_folder(place), verify=verify)
        gated.append(opened.about)
        for rule in rules.limits:
            start = RuleResult(
                run=opened.about.run,
                rule=rule.text,
                kind=rule.kind,
                limit=rule.limit,
                by=rules.by,
                state=RuleState.ERROR,
            )
            try:
                results.append(_decide_limit(opened, rule, start, allow_subset=rules.allow_subset))
            except HarnessError as error:
                results.append(_explain(_name_split(opened, rule, start), error, opened))
        for base in rules.bases:
            results += _decide_base(opened, base, rules)
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

    @property
    def folder(self) -> Path:
        """The run folder, also where a results.json was given."""
        return self.place.parent if self.place.is_file() else self.place

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
            fault = describe_absent(place)
    if (folder / "run.json").is_file():
        try:
            file = RunFolder(folder).load_run()
            asked = [f"{task}:{split}" for task, entry in file.tasks.items() for split in entry.splits]
            begun = cast("Mapping[str, Any]", file.running.get("splits") or {})
            listed = tuple(dict.fromkeys([*asked, *begun]))
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
    about = GatedRun(
        run=str(place),
        model=model,
        name="" if results is None else name_model(results),
        verified=None if verified is None else verified.state,
    )
    return _Opened(about=about, place=place, results=results, listed=listed, verified=verified, fault=fault)


def _decide_limit(run: _Opened, rule: LimitRule, start: RuleResult, *, allow_subset: bool) -> RuleResult:
    if run.fault is not None or run.results is None:
        raise run.fault or HarnessError("the run has no results")
    split = find_split(run.results, rule, run.listed)
    start = replace(start, n=int(split.body["n"]), n_expected=split.body.get("n_expected"))
    fault = run.find_fault(split.title)
    if fault is not None:
        raise fault
    found = find_number(run.results, split, rule, start.by)
    full = 100.0 if found.unit == "%" else 1.0
    if rule.percent and found.unit != "%":
        raise HarnessError(
            f"{found.metric} is not a percentage", remedy=f"write {rule.limit / 100:g} instead of {rule.limit:g}%"
        )
    if not (0 <= found.worst[0] <= found.worst[1] <= full):
        raise HarnessError(
            f"results.json gives {found.metric} an interval that is not valid: {list(found.worst)}",
            remedy="see: harness verify RUN",
        )
    if not 0 <= rule.limit <= full:
        raise HarnessError(
            f"the limit {rule.limit:g} is not a value of {found.metric}, which goes from 0 to {full:g}",
            remedy="write a limit in the metric's unit",
        )
    worst, bounds = ((ends[0] / full, ends[1] / full) for ends in (found.worst, found.bounds))
    notes = list(found.notes)
    if found.unit == "%" and 0 < rule.limit < 1:  # this and the next look like slips
        notes.append(f"{rule.limit:g} is {rule.limit:g} %; for {100 * rule.limit:g} % write {100 * rule.limit:g}")
    if (rule.kind, found.better) in (("max", "higher"), ("min", "lower")):
        other = "min" if rule.kind == "max" else "max"
        notes.append(f"{found.metric} is better when {found.better}: --{other}?")
    filled = replace(
        start,
        metric=found.metric,
        task=found.task,
        split=found.split,
        judge=found.judge,
        unit=found.unit,
        better=found.better,
        value=found.value,
        ci95=found.ci95,
        interval=found.worst,
        notes=tuple(notes),
    )
    if split.body.get("subset") and not allow_subset:
        return _leave_subset(filled, describe_subset(split.body))
    check = check_rate(worst, bounds, rule.limit / full, most=rule.kind == "max")
    remedy = ""
    if not check.within and 0 < rule.limit < full:
        metric = () if found.main else ("--metric", found.metric)
        judge = ("--judge", rule.judge) if rule.judge else ()
        goal = ("--limit", f"{100 * rule.limit / full:g}")
        remedy = shlex.join(
            ["harness", "power", "--task", split.title, *metric, *judge, *goal, "--against", run.about.run]
        )
    return replace(filled, state=RuleState.PASSED if check.within else RuleState.UNDECIDED, p=check.p, remedy=remedy)


def _leave_subset(rule: RuleResult, what: str) -> RuleResult:
    """The rule with its number and without a verdict: a part of a split says nothing sure of the whole."""
    return replace(
        rule,
        state=RuleState.INCOMPLETE,
        why=what,
        remedy="run the whole split, merge the shards, or give --allow-subset",
        notes=tuple(note for note in rule.notes if note != what),
    )


def _name_split(run: _Opened, rule: LimitRule, start: RuleResult) -> RuleResult:
    """The result with the split that the rule names, where the run has it or has asked it."""
    if run.results is None or any(rule.name.endswith(f":{title}") for title in run.listed):
        title = next((each for each in run.listed if rule.name.endswith(f":{each}")), "")
        task, _, name = title.rpartition(":")
        return replace(start, metric=rule.name.removesuffix(f":{title}"), task=task, split=name) if title else start
    try:
        split: FoundSplit = find_split(run.results, rule)
    except HarnessError:
        return start
    return replace(start, metric=split.metric, task=split.task, split=split.split)


def _explain(start: RuleResult, error: HarnessError, run: _Opened) -> RuleResult:
    state = RuleState.INCOMPLETE if isinstance(error, Unfinished) else RuleState.ERROR
    why = f"{error.what} ({error.where})" if error.where else error.what
    remedy = error.remedy
    if isinstance(error, Unanswered):
        remedy = remedy or find_resume(run.folder)
    return replace(start, state=state, why=" ".join(why.split()), remedy=" ".join(remedy.split()))


def _decide_base(run: _Opened, rule: BaseRule, rules: GateRules) -> Iterator[RuleResult]:
    from harness.runs.comparing.compare import compare

    start = RuleResult(
        run=run.about.run,
        rule=f"no worse than {rule.run}",
        kind="no_worse_than",
        base=str(rule.run),
        limit=rule.margin,
        by=rules.by,
        state=RuleState.ERROR,
    )
    if run.place.resolve() == rule.run.resolve():
        yield replace(start, state=RuleState.SKIPPED, why="it is the baseline itself")
        return
    try:
        if run.fault is not None:
            raise run.fault
        if not (run.place / "run.json").is_file():
            raise HarnessError("a comparison needs the run folder, not results.json alone", remedy="give the folder")
        base = _open_run(rule.run, verify=False)
        if base.fault is not None:
            raise base.fault
        compared = compare(rule.run, run.place, tasks=rule.tasks, judge=rule.judge)
    except HarnessError as error:
        if "--allow-mismatch" in error.remedy:  # a gate has no such flag
            error.remedy = (
                "run or judge one of them again like the other; in a rules file `judge:` names a judge that both have"
            )
        yield _explain(start, error, run)
        return
    if compared.unscored:
        faults = [
            f"{title} could not be compared: the task raised {fault}" for title, fault in compared.unscored.items()
        ]
        yield _explain(start, HarnessError("; ".join(faults)), run)
        return
    for each in compared.splits:
        begun = replace(start, task=each.task, split=each.split)
        yield _decide_change(run, base, each, begun, allow_subset=rules.allow_subset)
    for reason in compared.left_out:
        yield replace(start, state=RuleState.SKIPPED, why=reason)
    if rule.tasks:
        return
    # what one run lacks: nobody should take it for compared
    known = {each.title for each in compared.splits}
    told = "run it, or name the tasks to compare: `tasks:` in a rules file"
    for here, other, whose, state, remedy in (
        (run, base, "the baseline", RuleState.SKIPPED, ""),
        (base, run, "the run", RuleState.INCOMPLETE, told),
    ):
        titles = {_plain_title(title) for title in other.list_titles()}
        for title in here.list_titles():
            if title not in known and _plain_title(title) not in titles:
                yield replace(start, state=state, why=f"{whose} has no {title}", remedy=remedy)


def _plain_title(title: str) -> str:
    task, _, split = title.rpartition(":")
    return f"{task.partition('+')[0]}:{split}"


def _decide_change(
    run: _Opened, base: _Opened, each: SplitComparison, start: RuleResult, *, allow_subset: bool
) -> RuleResult:
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
        better=found.better,
        limit=margin,
        notes=("toy data: it shows the tool, and a number on it measures nothing",) if each.toy else (),
    )
    if each.pooled_in:
        return replace(start, state=RuleState.SKIPPED, why=f"its records are decided in {each.pooled_in}")
    if found.better == "neither":
        return replace(start, state=RuleState.SKIPPED, why=f"neither direction of {found.metric} is better")
    for whose, side, judge in (("", run, each.judge_other), (" of the baseline", base, each.judge_baseline)):
        tasks: Mapping[str, Any] = side.results["tasks"] if side.results is not None else {}
        body: Mapping[str, Any] | None = tasks.get(each.task, {}).get("splits", {}).get(each.split)
        if body is None:
            continue  # under another name, which the comparison has found; its intervals hold what is unresolved
        others: Mapping[str, Any] = body.get("other_judges") or {}
        view: Mapping[str, Any] = {body.get("judge") or "": body, **others}.get(judge, body)
        if not view["complete"]:
            share = f"{100 * (view['coverage'] or 0):.1f}% of the records{whose} are resolved"
            waits = view["verdicts"].get("unjudged", 0)
            remedy = "harness judge RUN judges the rest" if waits else find_resume(side.folder)
            return _explain(start, Unfinished(f"{each.title} is not complete: {share}", remedy=remedy), run)
    try:
        decided = _decide_difference(change, start, margin, full)
    except HarnessError as error:
        return _explain(start, error, run)
    here = _find_body(run, each)
    if here is not None:
        decided = replace(decided, n=int(here["n"]), n_expected=here.get("n_expected"))
    for name, side in (("", run), ("the baseline: ", base)):
        body = _find_body(side, each)
        if body is not None and body.get("subset"):
            what = f"{name}{describe_subset(body)}"
            if not allow_subset:
                return replace(_leave_subset(decided, what), p=None)
            decided = replace(decided, notes=(*decided.notes, what))
    if decided.state is RuleState.UNDECIDED and 0 < margin / full < 1:
        words = ["harness", "power", "--task", each.title, "--margin", f"{100 * margin / full:g}"]
        remedy = shlex.join([*words, "--against", start.base, "--against", run.about.run])
        return replace(decided, remedy=remedy)
    return decided


def _find_body(side: _Opened, each: SplitComparison) -> Mapping[str, Any] | None:
    """The split in the results of one side; None where it has another name there, and several could be meant."""
    tasks: Mapping[str, Any] = side.results["tasks"] if side.results is not None else {}
    exact: Mapping[str, Any] | None = tasks.get(each.task, {}).get("splits", {}).get(each.split)
    if exact is not None:
        return exact
    plain = each.task.partition("+")[0]
    alike = [about["splits"].get(each.split) for task, about in tasks.items() if task.partition("+")[0] == plain]
    found: list[Mapping[str, Any]] = [body for body in alike if body is not None]
    return found[0] if len(found) == 1 else None


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
        state=RuleState.PASSED if check.within else RuleState.UNDECIDED,
        p=check.p,
    )


def _adjust(results: Sequence[RuleResult]) -> tuple[list[RuleResult], int]:
    """The results with Holm's adjustment over all rules with a number; an undecided one may become a fail."""
    from harness.stats.matching import holm

    after = holm({str(place): each.p for place, each in enumerate(results) if each.p is not None})
    decided: list[RuleResult] = []
    for place, each in enumerate(results):
        p = after.get(str(place))
        if p is not None and each.state is RuleState.UNDECIDED and p < ALPHA:
            decided.append(
                replace(each, p_holm=p, state=RuleState.FAIL, why=_describe(each, RuleState.FAIL, p), remedy="")
            )
        elif p is not None:
            decided.append(replace(each, p_holm=p, why=_describe(each, each.state, p)))
        else:
            decided.append(each)
    return decided, len(after)


def _describe(rule: RuleResult, state: RuleState, p: float) -> str:
    if state is RuleState.PASSED:
        return "the interval lies wholly within the limit"
    if state is RuleState.FAIL:
        return "the interval lies wholly beyond the limit"
    if rule.p is not None and rule.p < ALPHA <= p:
        return f"the interval lies beyond the limit, but not after Holm's adjustment over all rules (p = {p:.2g})"
    ends = format_interval(rule.interval, rule.unit)
    name = "limit" if rule.kind in ("max", "min") else "margin"
    sign = "-" if name == "margin" and rule.better == "higher" else "+" if name == "margin" else ""
    return f"undecided: the {name} {sign}{rule.limit:g} lies inside the interval {ends}"
