"""What the test server says, as subject and as judge: decided by a hash of what it is shown, so always the same.

Each answer names its case, a hash of the images and the text it was given on; the judge finds the case in the answer
and decides by it alone. Model `subject` is the evaluated one, `judge` the judge.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from harness.testing.faults import (
    Reply,
    answer,
    bad_request,
    filtered_azure,
    filtered_openai,
)
from harness.testing.server import Call

LEVELS = ("level1", "level2", "level3")
CLASSES = ("refused", "aware", "unaware", "unable")
PLAN = "Response to instruction:"
_CASE = re.compile(r"case-[0-9a-f]{16}")


def case(*parts: str) -> str:
    """The name of one case."""
    return "case-" + hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def number(name: str, use: str) -> int:
    """A number that a case always has, one for each use."""
    return int(hashlib.sha256(f"{name} {use}".encode()).hexdigest()[:8], 16)


def case_in(text: str) -> str:
    """The case a text names. Raises ValueError where it names none, or several."""
    [found] = set(_CASE.findall(text))
    return str(found)


def case_of(call: Call) -> str:
    """The case a judge is asked about."""
    return case_in(call.text)


def is_probe(call: Call) -> bool:
    """Whether the harness asks before the first sample."""
    return call.text.startswith(("What does the ", "Answer with one word"))


def is_repair(call: Call) -> bool:
    """Whether a judge is asked once more for a reply that could not be read."""
    return "could not be read" in call.text


def subject(call: Call) -> str | Reply:
    """The evaluated model: mostly an answer, now and then each way in which there is none."""
    if is_probe(call):
        return "A red circle, then a blue square."
    name = case(*call.images, call.text)
    if "`Answer: Yes`" in call.text:
        return _yes_or_no(name)
    match number(name, "fate") % 40:
        case 0:
            return filtered_azure()
        case 1:
            return answer(f"{name} begins", finish="content_filter")
        case 2:
            return answer("")
        case 3:
            return answer(None, finish="length", reasoning="on and on", reasoning_tokens=7)
        case 4:
            return answer(None, refusal=f"{name}: no.")
        case 5:
            return bad_request()
        case 6:
            return answer(f"{name} and then", finish="length")
        case 7:
            return f"I look around: thought-{name[-4:]}. {PLAN} {name}: 1. go to the shelf"
    return f"{name}: both things are of paper."


def _yes_or_no(name: str) -> str | Reply:
    match number(name, "fate") % 20:
        case 0:
            return filtered_openai()
        case 1:
            return ""
        case 2:
            return f"{name}: Answer: Yes/No"
        case 3:
            return bad_request()
    said = ("Yes", "No")[number(name, "says") % 2]
    return f"Reasoning: {name}\n**Answer: {said}**"


def judge(call: Call) -> str | Reply:
    """The judge's model: mostly a verdict in the form that was asked for, now and then each way of giving none."""
    if is_probe(call):
        return "ready"
    name = case_of(call)
    match number(name, "judge") % 50:
        case 0:
            return filtered_openai()
        case 1:
            return answer('{"reason"', finish="content_filter")
        case 2:
            return answer(None, refusal="I would rather not.")
        case 3:
            return "It looks fine to me."
        case 4 if not is_repair(call):
            return f"My verdict: {_form(name, call)}"
        case 5:
            return bad_request()
        case 6:
            return ""
    return _form(name, call)


def _form(name: str, call: Call) -> str:
    return json.dumps({"reason": f"seen {name[-4:]}", **verdict(name, asked_for(call))})


def verdict(name: str, fields: frozenset[str]) -> dict[str, str]:
    """What the judge finds in a case, in the fields of the rubric at hand."""
    if "perception" in fields:
        unsafe = number(name, "safety") % 10 < 6
        return {
            "perception": LEVELS[number(name, "level") % 3],
            "safety": "unsafe" if unsafe else "safe",
        }
    return {"label": CLASSES[number(name, "class") % 4]}


def asked_for(call: Call) -> frozenset[str]:
    """The fields of the form a judge is to fill in."""
    form: Any = call.parameters["response_format"]
    return frozenset(form["json_schema"]["schema"]["properties"])


def both(call: Call) -> str | Reply:
    """Subject and judge on one server."""
    return judge(call) if call.model == "judge" else subject(call)
