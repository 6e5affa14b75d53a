"""The gate for GitHub: Markdown for a step's summary, and workflow commands that mark a step's errors."""

from __future__ import annotations

import secrets
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from harness.runs.gating.result import GateResult, RuleResult, RuleState
from harness.text import escape_markdown, plain, say

from .words import (
    describe_end,
    describe_rule,
    format_ends,
    format_limit,
    format_number,
    format_result,
    format_samples,
    format_verdict,
    list_notes,
)

_LIMIT: Final = 1024 * 1024  #: bytes of a step's summary; GitHub takes no larger one
_ROOM: Final = 400  #: bytes for the line that says what was left out
_MARKS: Final = {0: "✅", 2: "⚠️", 3: "⏳", 5: "❌"}
_NAMES: Final = {2: "no number", 3: "incomplete", 5: "broken"}
_LONGEST: Final = 2000  #: characters of one message


def render_markdown(found: GateResult, most: int = _LIMIT) -> str:
    """The rules as a Markdown table of at most `most` bytes; those that are not kept come first."""
    head = [f"### {_MARKS[found.exit_code]} {escape_markdown(describe_end(found))}", ""]
    several = len(found.runs) > 1
    columns = [*(["Run"] if several else []), "", "Rule", "Number", "95% interval", "n", "Limit", "Verdict", "Why"]
    head += [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    rows: list[str] = []
    for rule in sorted(found.rules, key=lambda each: _rank(found, each)):
        texts = (
            rule.rule,
            format_number(rule),
            format_ends(rule),
            format_samples(rule),
            format_limit(rule),
            format_verdict(found, rule),
            "" if rule.state is RuleState.PASSED else describe_rule(rule),
        )
        run = [escape_markdown(rule.run)] if several else []
        mark = "·" if rule.state is RuleState.SKIPPED else _MARKS[found.code(rule)]
        rows.append(f"| {' | '.join([*run, mark, *(escape_markdown(text[:_LONGEST]) for text in texts)])} |")
    notes = [f"- {escape_markdown(note)}" for note in list_notes(found)]
    room = most - _ROOM - _measure(head)
    kept: list[str] = []
    for row in rows:
        room -= _measure([row])
        if room < 0:
            break
        kept.append(row)
    left = len(rows) - len(kept)
    tail = [f"{left} more rules do not fit here: --output gate.json has all."] if left else []
    if not left and _measure(notes) < room:
        tail = notes
    return "\n".join([*head, *kept, "", *tail]).rstrip() + "\n"


def _rank(found: GateResult, rule: RuleResult) -> int:
    return (5, 2, 3, 0).index(found.code(rule)) + (rule.state is RuleState.SKIPPED)


def _measure(lines: list[str]) -> int:
    return sum(len(line.encode("utf-8", "replace")) + 1 for line in lines)


def append_summary(path: Path, found: GateResult) -> None:
    """Append the table to the file that GitHub named, which together with it stays small enough to be shown."""
    there = path.stat().st_size if path.exists() else 0
    text = render_markdown(found, _LIMIT - there - 1)
    with path.open("a", encoding="utf-8", errors="replace") as file:
        file.write(("\n" if there else "") + text)


@contextmanager
def suspend_commands() -> Generator[None]:
    """Let GitHub read nothing of what is printed as a workflow command: a run's or a model's name may look like one."""
    mark = secrets.token_hex(16)
    say(f"::stop-commands::{mark}")
    try:
        yield
    finally:
        say(f"::{mark}::")


def list_annotations(found: GateResult) -> Iterator[str]:
    """A workflow command for each rule that is not kept; GitHub shows the first ten of a step, so broken ones lead."""
    for rule in sorted(found.rules, key=lambda each: _rank(found, each)):
        code = found.code(rule)
        if code:
            shown = f"{format_result(found, rule)}. {describe_rule(rule)}"
            name = "undecided" if rule.state is RuleState.UNDECIDED else _NAMES[code]
            title = _escape(f"harness gate, {name}: {rule.rule}", title=True)
            yield f"::error title={title}::{_escape(shown)}"
        elif rule.state is RuleState.UNDECIDED:
            title = _escape(f"harness gate, undecided: {rule.rule}", title=True)
            yield f"::warning title={title}::{_escape(describe_rule(rule))}"


def _escape(text: str, *, title: bool = False) -> str:
    """The text as GitHub's runner reads it back; in a title a colon and a comma would end it."""
    escaped = plain(text)[:_LONGEST].replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return escaped.replace(":", "%3A").replace(",", "%2C") if title else escaped
