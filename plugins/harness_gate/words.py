"""A rule's number, interval, limit and verdict in plain words, as every output shows them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from harness.board.display import ARROWS, NOTHING, format_interval, format_value
from harness.runs.gating.result import GateResult, RuleResult, RuleState
from harness.stats.gates import ALPHA

_VERDICTS: Final = {
    RuleState.PASSED: "kept",
    RuleState.FAIL: "BROKEN",
    RuleState.INCOMPLETE: "no number yet",
    RuleState.ERROR: "no number",
    RuleState.SKIPPED: "not asked",
}


def name_rule(rule: RuleResult) -> str:
    """The rule without its limit, which has a column of its own, and the direction of its metric."""
    arrow = ARROWS.get(rule.better, "")
    if rule.kind == "no_worse_than":
        start = f"{rule.metric}:{rule.title}"
        if rule.metric and arrow and rule.rule.startswith(start):
            return f"{start} {arrow}{rule.rule[len(start) :]}"
        return rule.rule
    return f"{rule.rule.removeprefix(f'{rule.kind} ').rpartition('=')[0]} {arrow}".rstrip()


def name_suite(rule: RuleResult) -> str:
    """Task and split that a rule is about, also where the run lacks them."""
    if rule.title:
        return rule.title
    if rule.kind == "no_worse_than":
        return rule.rule
    words = rule.rule.removeprefix(f"{rule.kind} ").rpartition("=")[0].split(":")
    return ":".join(words[1:] if len(words) < 3 else words[-2:]).partition("@")[0] or "no split"


def format_samples(rule: RuleResult) -> str:
    """How many samples the number rests on: `120`, or `10 of 120`."""
    if rule.n is None:
        return NOTHING
    return f"{rule.n:,}" if rule.n_expected in (None, rule.n) else f"{rule.n:,} of {rule.n_expected:,}"


def format_result(found: GateResult, rule: RuleResult) -> str:
    """Number, interval, limit and verdict in one line; for a rule without a number only that there is none."""
    if rule.value is None:
        return f"{format_limit(rule)}: {format_verdict(found, rule)}"
    return (
        f"{format_number(rule)} {format_ends(rule)}, n {format_samples(rule)}, {format_limit(rule)}:"
        f" {format_verdict(found, rule)}"
    )


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
    if rule.state is RuleState.UNDECIDED:
        return "undecided, counts as passed" if found.code(rule) == 0 else "UNDECIDED"
    if rule.state is RuleState.INCOMPLETE and rule.value is not None:
        return "not decided"
    return _VERDICTS[rule.state]


def describe_rule(rule: RuleResult) -> str:
    """Why a rule ended as it did, with what helps."""
    return "; ".join(part for part in (rule.why, rule.remedy) if part)


def describe_end(found: GateResult) -> str:
    """The last sentence: how the gate ended."""
    counts = found.counts
    names = {
        RuleState.PASSED: "kept",
        RuleState.UNDECIDED: "undecided",
        RuleState.INCOMPLETE: "not decided yet",
        RuleState.FAIL: "broken",
        RuleState.ERROR: "in error",
        RuleState.SKIPPED: "not asked",
    }
    told = ", ".join(f"{count} {names[state]}" for state, count in counts.items()) or "no rule"
    broken, undecided = counts.get(RuleState.FAIL, 0), counts.get(RuleState.UNDECIDED, 0)
    bad, verb = (broken, "broken") if broken else (undecided, "undecided")
    ends = {
        0: "The gate passes",
        5: f"The gate is closed: {bad} rule{' is' if bad == 1 else 's are'} {verb}",
        3: "The gate is closed: a run is incomplete",
        2: "The gate is closed: a rule cannot be decided"
        if RuleState.ERROR in found.counts
        else "The gate is closed: nothing was decided",
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
    if any(rule.p is not None and rule.p_holm is not None and rule.p < ALPHA <= rule.p_holm for rule in found.rules):
        yield f"a rule is broken only after Holm's adjustment over {found.family} rules; a pass needs none"
