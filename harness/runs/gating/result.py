"""The result of a gate, as values and JSON (`harness.gate/1`; its JSON Schema is docs/gate.schema.json)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal

from harness.runs.gating.rules import Source, UndecidedPolicy
from harness.stats.gates import ALPHA
from harness.stats.intervals import Interval
from harness.types import Json

SCHEMA: Final = "harness.gate/1"


class RuleState(Enum):
    """How a rule ended, the best first."""

    SKIPPED = "skipped"
    PASSED = "pass"
    UNDECIDED = "undecided"
    INCOMPLETE = "incomplete"
    FAIL = "fail"
    ERROR = "error"


#: the exit code of a rule's end; an undecided rule has that of a pass or a fail
_CODES: Final = {
    RuleState.SKIPPED: 0,
    RuleState.PASSED: 0,
    RuleState.INCOMPLETE: 3,
    RuleState.FAIL: 5,
    RuleState.ERROR: 2,
}
#: the code that wins, the first of them
_ORDER: Final = (2, 5, 3, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleResult:
    """One rule on one run; numbers in the metric's unit.

    Attributes:
        run: the run as it was given.
        rule: the rule as it is written.
        kind: `max`, `min` or `no_worse_than`.
        metric: its name; empty where the run lacks it.
        task: the task's name in the results; empty where the run lacks it.
        split: the split's name.
        judge: the judge's id; empty for none.
        by: whose number it is.
        unit: `%` or `0-1`; empty without a number.
        limit: the limit, or the margin.
        base: the baseline; empty for a limit.
        better: `lower`, `higher` or `neither`; empty without a number.
        n: samples of the split that were asked; None without a number.
        n_expected: samples that the split has; None if unknown.
        value: the number, or the run's over the items of both runs.
        baseline: the baseline's number over these items.
        difference: run less baseline.
        ci95: of the value, or of the difference.
        interval: what decides: that interval stretched over what is unresolved.
        p: two-sided, that the number is at the limit.
        p_holm: p adjusted over all rules with a number.
        state: how the rule ended.
        why: reason for this end in one sentence without its full stop.
        remedy: what helps; empty for nothing.
        notes: what a reader should know of the number.
    """

    run: str
    rule: str
    kind: Literal["max", "min", "no_worse_than"]
    metric: str = ""
    task: str = ""
    split: str = ""
    judge: str = ""
    by: Source = "judge"
    unit: str = ""
    limit: float | None = None
    base: str = ""
    better: str = ""
    n: int | None = None
    n_expected: int | None = None
    value: float | None = None
    baseline: float | None = None
    difference: float | None = None
    ci95: Interval | None = None
    interval: Interval | None = None
    p: float | None = None
    p_holm: float | None = None
    state: RuleState
    why: str = ""
    remedy: str = ""
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Task and split, as written for `--tasks`; empty where the run lacks them."""
        return f"{self.task}:{self.split}" if self.task else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatedRun:
    """One run.

    Attributes:
        run: the run as it was given.
        model: the evaluated model; empty if it cannot be read.
        name: the model with its strategy and attack, as leaderboards name it.
        verified: what `harness verify` says of it; None where it was not asked.
    """

    run: str
    model: str = ""
    name: str = ""
    verified: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """All rules on all runs.

    Attributes:
        runs: the runs.
        rules: their rules, run by run.
        undecided: whether an undecided rule counts as failed or as passed.
        by: whose numbers decide.
        family: number of tests in Holm's adjustment.
    """

    runs: tuple[GatedRun, ...]
    rules: tuple[RuleResult, ...]
    undecided: UndecidedPolicy = "fail"
    by: Source = "judge"
    family: int = 0

    def code(self, rule: RuleResult) -> int:
        """The exit code of one rule: 0, 2 (no number), 3 (incomplete) or 5 (broken)."""
        if rule.state is RuleState.UNDECIDED:
            return 5 if self.undecided == "fail" else 0
        return _CODES[rule.state]

    @property
    def exit_code(self) -> int:
        """Of all rules: an error first, then a broken rule, then an incomplete run; 2 if no rule was decided at all."""
        codes = {self.code(rule) for rule in self.rules if rule.state is not RuleState.SKIPPED}
        if not codes:
            return 2
        return next(code for code in _ORDER if code in codes or code == 0)

    @property
    def passed(self) -> bool:
        """Whether every rule is kept, and there is one."""
        return self.exit_code == 0

    @property
    def counts(self) -> Mapping[RuleState, int]:
        """How many rules ended in each state that occurs."""
        return {state: count for state in RuleState if (count := sum(rule.state is state for rule in self.rules))}

    def as_json(self) -> dict[str, Json]:
        """`harness.gate/1`."""
        return {
            "schema": SCHEMA,
            "passed": self.passed,
            "exit": self.exit_code,
            "undecided": self.undecided,
            "by": self.by,
            "alpha": ALPHA,
            "family": self.family,
            "counts": {state.value: count for state, count in self.counts.items()},
            "runs": [{"run": each.run, "model": each.model, "verified": each.verified} for each in self.runs],
            "rules": [
                {
                    "run": rule.run,
                    "rule": rule.rule,
                    "kind": rule.kind,
                    "metric": rule.metric or None,
                    "task": rule.task or None,
                    "split": rule.split or None,
                    "judge": rule.judge or None,
                    "by": rule.by,
                    "unit": rule.unit or None,
                    "limit": rule.limit,
                    "base": rule.base or None,
                    "better": rule.better or None,
                    "n": rule.n,
                    "n_expected": rule.n_expected,
                    "value": rule.value,
                    "baseline": rule.baseline,
                    "difference": rule.difference,
                    "ci95": rule.ci95 and list(rule.ci95),
                    "interval": rule.interval and list(rule.interval),
                    "p": rule.p,
                    "p_holm": rule.p_holm,
                    "state": rule.state.value,
                    "passed": self.code(rule) == 0,
                    "why": rule.why or None,
                    "remedy": rule.remedy or None,
                    "notes": list(rule.notes),
                }
                for rule in self.rules
            ],
        }
