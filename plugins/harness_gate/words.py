"""A rule's number, interval, limit and verdict in plain words, as every output shows them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from harness.board.display import NOTHING, format_interval, format_value
from harness.runs.gating.result import GateResult, RuleResult, State

_VERDICTS: Final = {
    State.PASSED: "kept",
    State.FAIL: "BROKEN",
    State.INCOMPLETE: "no number yet",
    State.ERROR: "no number",
    State.SKIPPED: "not asked",
}


def name_rule(rule: RuleResult) -> str:
    """The rule without its limit, which has a column of its own."""
    if rule.kind == "no_worse_than":
        return rule.rule
    return rule.rule.removeprefix(f"{rule.kind} ").rpartition("=")[0]


def format_number(rule: RuleResult) -> str:
    """The number; for a comparison the difference with both numbers."""
    if rule.difference is None:
        return format_value(rule.value, rule.unit) if rule.unit else NOTHING
    sides = f"{format_value(rule.baseline, rule.unit)} → {format_value(rule.value, rule.unit)}"
    return f"{format_signed(rule.difference, rule.unit)} ({sides})"


def format_signed(value: float, unit: str) -> str:
    """A difference with its sign."""
    text = format_value(value, unit)
    return text.replace("-", "") if not float(text) else text if value < 0 else f"+{text}"


def format_ends(rule: RuleResult) -> str:
    """The interval that decides."""
    return format_interval(rule.interval, rule.unit) or NOTHING


def format_limit(rule: RuleResult) -> str:
    """The limit in words."""
    if rule.limit is None:
        return NOTHING
    if rule.kind == "no_worse_than":
        return f"worse by at most {rule.limit:g}"
    return f"at {'most' if rule.kind == 'max' else 'least'} {rule.limit:g}"


def format_verdict(found: GateResult, rule: RuleResult) -> str:
    """How the rule ended."""
    if rule.state is State.UNDECIDED:
        return "undecided" if found.code(rule) == 0 else "UNDECIDED, counts as broken"
    return _VERDICTS[rule.state]


def describe_rule(rule: RuleResult) -> str:
    """Why a rule ended as it did, with what helps."""
    return "; ".join(part for part in (rule.why, rule.remedy) if part)


def describe_end(found: GateResult) -> str:
    """The last sentence: how the gate ended."""
    counts = found.counts
    names = {
        State.PASSED: "kept",
        State.UNDECIDED: "undecided",
        State.INCOMPLETE: "without a number yet",
        State.FAIL: "broken",
        State.ERROR: "in error",
        State.SKIPPED: "not asked",
    }
    told = ", ".join(f"{count} {names[state]}" for state, count in counts.items()) or "no rule"
    ends = {
        0: "The gate passes",
        5: "The gate is closed: a rule is broken",
        3: "The gate is closed: a run is incomplete",
        2: "The gate is closed: a rule cannot be decided",
    }
    return f"{ends[found.exit_code]} ({told}; exit {found.exit_code})."


def list_notes(found: GateResult) -> Iterator[str]:
    """What a reader should know beside the rules, each once."""
    notes: dict[str, list[str]] = {}
    for rule in found.rules:
        for note in rule.notes:
            notes.setdefault(note, []).append(rule.title)
    for note, titles in notes.items():
        yield f"{', '.join(dict.fromkeys(titles))}: {note}"
    for run in found.runs:
        if run.verified is None and run.model:
            yield f"{run.run}: its results.json was not computed again from its lines (--no-verify)"
    if found.family > 1:
        yield f"a rule is broken only after Holm's adjustment over {found.family} rules; a pass needs none"
