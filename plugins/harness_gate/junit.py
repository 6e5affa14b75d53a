"""The gate as JUnit XML, which CI systems show: a test suite for each split, a test case for each rule.

`failure` is a broken or an undecided rule, `error` one without a number, `skipped` one that was not asked. Names may be
a stranger's, and XML cannot hold every character: what it cannot hold is left out.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Final

from harness.runs.gating.result import GateResult, RuleResult, RuleState

from .words import describe_rule, format_result, name_suite

_UNFIT: Final = re.compile(r"[^\t\n\r\x20-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]")
_ELEMENTS: Final = {2: "error", 3: "error", 5: "failure"}
_KINDS: Final = {2: "error", 3: "incomplete", 5: "broken"}


def render_junit(found: GateResult) -> str:
    """The rules as JUnit XML."""
    suites: dict[str, list[RuleResult]] = {}
    for rule in found.rules:
        where = f"{rule.run}: " if len(found.runs) > 1 else ""
        suites.setdefault(f"{where}{name_suite(rule)}", []).append(rule)
    root = ET.Element("testsuites", {"name": "harness gate", **_count(found, found.rules)})
    for name, rules in suites.items():
        suite = ET.SubElement(root, "testsuite", {"name": _fit(name), **_count(found, rules)})
        for rule in rules:
            case = ET.SubElement(suite, "testcase", {"name": _fit(rule.rule), "classname": _fit(rule.run), "time": "0"})
            code, shown, told = found.code(rule), format_result(found, rule), describe_rule(rule)
            if rule.state is RuleState.SKIPPED:
                ET.SubElement(case, "skipped", {"message": _fit(rule.why)})
            elif code:
                kind = "undecided" if rule.state is RuleState.UNDECIDED else _KINDS[code]
                bad = ET.SubElement(case, _ELEMENTS[code], {"type": kind, "message": _fit(f"{shown}. {told}")})
                bad.text = _fit("\n".join((told, *rule.notes)))
            else:
                ET.SubElement(case, "system-out").text = _fit("\n".join((shown, told, *rule.notes)))
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _count(found: GateResult, rules: tuple[RuleResult, ...] | list[RuleResult]) -> dict[str, str]:
    codes = [found.code(rule) for rule in rules]
    counts = {
        "tests": len(rules),
        "failures": codes.count(5),
        "errors": codes.count(2) + codes.count(3),
        "skipped": sum(rule.state is RuleState.SKIPPED for rule in rules),
    }
    return {**{name: str(count) for name, count in counts.items()}, "time": "0"}


def _fit(text: str) -> str:
    return _UNFIT.sub("", text)
