"""The rules of a gate: as texts of the command line, and as a mapping of a YAML file or a config.

    METRIC:TASK:SPLIT[@JUDGE]=LIMIT      ASR:mis:test=5, RSR:mssbench+setting=qc:chat@llamaguard=90

The limit follows the last `=`, the judge the last `@` behind the last colon. Metrics (`harmbench:yes`) and tasks
(`mis+data=kitchen`) may hold colons and equals signs, so where the one ends and the other begins is found out from the
results (`harness.runs.gating.numbers`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

from harness.errors import HarnessError, UnknownName
from harness.remote import find_local
from harness.settings import nearest

Kind = Literal["max", "min"]
UndecidedPolicy = Literal["fail", "pass"]
Source = Literal["judge", "people"]

MARGIN: Final = 3.0  #: points by which a run may be worse than the baseline
_FORM: Final = "write METRIC:TASK:SPLIT=LIMIT, such as ASR:mis:test=5; @JUDGE before the = names a judge"
_KEYS: Final = ("max", "min", "no_worse_than", "margin", "undecided", "by", "allow_subset")
_BASE_KEYS: Final = ("run", "margin", "tasks", "judge")


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitRule:
    """One metric may not exceed a limit, or not fall below it.

    Attributes:
        kind: `max` or `min`.
        name: `METRIC:TASK:SPLIT`.
        judge: a judge's id, its rubric, or whole first parts of the id; empty for the primary judge.
        limit: in the metric's unit.
        percent: whether it was written with a % sign.
    """

    kind: Kind
    name: str
    judge: str = ""
    limit: float
    percent: bool = False

    @property
    def text(self) -> str:
        """The rule as it is written."""
        return f"{self.kind} {self.name}{f'@{self.judge}' if self.judge else ''}={self.limit:.12g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseRule:
    """No main metric may be worse than in another run by more than a margin.

    Attributes:
        run: the baseline's run folder.
        margin: in points of 100.
        tasks: only these, as written for `--tasks`; none for all that both runs have.
        judge: as in `LimitRule`.
    """

    run: Path
    margin: float = MARGIN
    tasks: tuple[str, ...] = ()
    judge: str = ""

    def __post_init__(self) -> None:
        """Refuse a margin that decides nothing. Raises HarnessError."""
        _read_margin(self.margin, f"--no-worse-than {self.run}")


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRules:
    """All rules of a gate.

    Attributes:
        limits: of single metrics.
        bases: runs that the run may not be worse than.
        undecided: whether an undecided rule counts as failed or as passed.
        by: whose numbers decide: the judge's, or those that people's labels give.
        allow_subset: decide by a part of a split too: a run with `--limit`, or a shard.
    """

    limits: tuple[LimitRule, ...] = ()
    bases: tuple[BaseRule, ...] = ()
    undecided: UndecidedPolicy = "fail"
    by: Source = "judge"
    allow_subset: bool = False


def parse_limit(kind: Kind, text: str, flag: str = "") -> LimitRule:
    """A rule as it is written. Raises HarnessError where it is none.

    Args:
        kind: `max` or `min`.
        text: the rule.
        flag: that gave it; by default the kind's.
    """
    name, equals, limit = text.rpartition("=")
    where = f"{flag or f'--{kind}'} {text}"
    if not equals:
        raise HarnessError(f"{where}: a rule needs a limit", remedy=_FORM)
    limit = limit.strip()
    try:
        value = float(limit.removesuffix("%"))
    except ValueError:
        raise HarnessError(f"{where}: the limit {limit!r} is not a number", remedy=_FORM) from None
    return _make_limit(kind, name, value, where, percent=limit.endswith("%"))


def _make_limit(kind: Kind, text: str, limit: float, where: str, *, percent: bool = False) -> LimitRule:
    name, at, judge = text.strip().rpartition("@")
    if not at or ":" in judge:
        name, judge = text.strip(), ""
    if not math.isfinite(limit):
        raise HarnessError(f"{where}: the limit is not finite", remedy=_FORM)
    if ":" not in name.strip(":"):
        raise HarnessError(f"{where}: no task is named", remedy=_FORM)
    return LimitRule(kind=kind, name=name, judge=judge, limit=limit, percent=percent)


def read_rules(raw: object, where: str) -> GateRules:
    """The rules of a YAML file, or of a config's `gate`.

    Raises:
        HarnessError: something in it is no rule.
        UnknownName: a key is unknown.
    """
    body = _check_mapping(raw, where, "a mapping with max, min or no_worse_than")
    for key in body:
        if key not in _KEYS:
            raise UnknownName(f"a gate has no key {key!r}", where=where, remedy=nearest(key, _KEYS))
    margin = _read_margin(body.get("margin", MARGIN), f"{where}: margin")
    limits = [rule for kind in ("max", "min") for rule in _read_limits(kind, body.get(kind), f"{where}: {kind}")]
    given: object = body.get("no_worse_than") or []
    listed: list[object] = cast("list[object]", given) if isinstance(given, list) else [given]
    bases = [_read_base(each, margin, f"{where}: no_worse_than") for each in listed]
    rules = GateRules(
        limits=tuple(limits),
        bases=tuple(bases),
        undecided=_read_choice(body.get("undecided", "fail"), ("fail", "pass"), f"{where}: undecided"),
        by=_read_choice(body.get("by", "judge"), ("judge", "people"), f"{where}: by"),
        allow_subset=_read_choice(body.get("allow_subset", False), (False, True), f"{where}: allow_subset"),
    )
    if not (rules.limits or rules.bases):
        raise HarnessError("there is no rule in it", where=where, remedy="give max, min or no_worse_than")
    return rules


def _read_limits(kind: Literal["max", "min"], raw: object, where: str) -> list[LimitRule]:
    if raw is None:
        return []
    if isinstance(raw, list):
        return [parse_limit(kind, str(each), where) for each in cast("list[object]", raw)]
    rules: list[LimitRule] = []
    for name, limit in _check_mapping(raw, where, "a mapping of METRIC:TASK:SPLIT to limits, or a list").items():
        if isinstance(limit, bool) or not isinstance(limit, int | float):
            raise HarnessError(f"the limit of {name} is not a number", where=where, remedy="write ASR:mis:test: 5")
        rules.append(_make_limit(kind, name, float(limit), f"{where}: {name}"))
    return rules


def _read_base(raw: object, margin: float, where: str) -> BaseRule:
    if isinstance(raw, str):
        return BaseRule(run=find_local(raw), margin=margin)
    body = _check_mapping(raw, where, "a run folder, or a mapping with run")
    for key in body:
        if key not in _BASE_KEYS:
            raise UnknownName(f"a baseline has no key {key!r}", where=where, remedy=nearest(key, _BASE_KEYS))
    run = body.get("run")
    if not isinstance(run, str) or not run:
        raise HarnessError("a baseline needs `run`, a run folder", where=where)
    tasks: object = body.get("tasks") or ()
    names = tasks.split(",") if isinstance(tasks, str) else tasks
    if not isinstance(names, Sequence):
        raise HarnessError("tasks must be a list, such as [mis:test]", where=where)
    return BaseRule(
        run=find_local(run),
        margin=_read_margin(body.get("margin", margin), f"{where}: margin"),
        tasks=tuple(str(name).strip() for name in cast("Sequence[object]", names)),
        judge=str(body.get("judge") or ""),
    )


def _read_margin(raw: object, where: str) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not 0 <= raw <= 100:
        raise HarnessError("a margin is a number of points from 0 to 100", where=where)
    return float(raw)


def _read_choice(raw: object, choices: Sequence[object], where: str) -> Any:
    if raw not in choices or isinstance(raw, bool) != isinstance(choices[0], bool):
        words = ("true" if each is True else "false" if each is False else str(each) for each in choices)
        raise UnknownName(f"{raw!r} is not one of {', '.join(words)}", where=where)
    return raw


def _check_mapping(raw: object, where: str, what: str) -> dict[str, Any]:
    if not isinstance(raw, Mapping):
        raise HarnessError(f"must be {what}", where=where)
    return {str(key): value for key, value in cast("Mapping[object, Any]", raw).items()}
