"""A cast whose checker, labeller and server turn between two builds, and what is left in the folder then."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.testing.faults import Reply, no_quota
from harness.testing.server import Call
from tests.training.cast import SECRET, Cast, Stage, _case

STEPS = ("elements", "write", "draw", "sort", "probe", "label")


@dataclass(slots=True)
class Turning(Cast):
    """Plays as the cast does, and turns.

    Attributes:
        lists: case of a seed -> the cases of the elements that its reply lists.
        strict: the checker sees a person everywhere.
        slips: the case whose label names a person.
        refuses: the case with whose label, or check, the quota of the server is spent.
    """

    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    strict: bool = False
    slips: str = ""
    refuses: str = ""

    def check(self, call: Call) -> str | Reply:
        said = Cast.check(self, call)
        if _case(call) == self.refuses != "":
            return no_quota()
        return json.dumps({"minors": "no", "person": "yes", "weapon": "no"}) if self.strict else said

    def _elements(self, case: str, given: Mapping[str, Any], again: int) -> str | Reply | None:
        each = [Cast._elements(self, name, given, again) for name in self.lists.get(case, (case,))]
        return json.dumps([json.loads(said)[0] for said in each if isinstance(said, str)])

    def _label(self, case: str, given: Mapping[str, Any], again: int) -> str | Reply | None:
        if case == self.slips:
            return f"In the first picture, {SECRET} lays one on the other, which nobody should do."
        return no_quota() if case == self.refuses else Cast._label(self, case, given, again)


def another_checker(stage: Stage) -> None:
    """The same server under another name: what it said before holds no more."""
    text = stage.config.read_text(encoding="utf-8")
    stage.config.write_text(text.replace("openai/checker", "openai/checker2"), encoding="utf-8")


def left(stage: Stage, *words: str) -> list[str]:
    """Files under the folder, by their name or in any byte, that still say one of these."""
    return sorted(
        path.relative_to(stage.out).as_posix()
        for path in stage.out.rglob("*")
        if path.is_file() and any(word in path.name or word.encode() in path.read_bytes() for word in words)
    )


def lines(stage: Stage) -> dict[str, list[tuple[str, str]]]:
    """Step -> key and end of each of its lines."""
    return {
        step: sorted(
            (line["key"], line["end"])
            for line in map(json.loads, (stage.out / "work" / f"{step}.jsonl").read_text(encoding="utf-8").splitlines())
        )
        for step in STEPS
    }


def told(stage: Stage) -> dict[str, Any]:
    """What the manifest says of how everything ended, and all lists of the set."""
    found = {path.name: path.read_text(encoding="utf-8") for path in stage.out.glob("mis_*.json")}
    said = json.loads((stage.out / "build.json").read_text(encoding="utf-8"))
    return found | {name: said.get(name) for name in ("records", "ends", "stops")}
