"""`harness judges`: the rubrics and rules, and what each needs."""

from __future__ import annotations

from collections.abc import Mapping

from harness.contracts import Judge
from harness.types import Json

from .listing import Listing, list_command


def _needs(judge: Judge) -> str:
    if judge.needs is None:
        return "no model"
    return f"a model with {', '.join(sorted(judge.needs))}" if judge.needs else "a model"


def _facts(judge: Judge) -> Mapping[str, Json]:
    return {"version": judge.version, "needs": None if judge.needs is None else sorted(judge.needs)}


def _details(judge: Judge) -> str:
    how = judge.name if judge.needs is None else f"{judge.name}=SCHEME/NAME"
    return f"  version {judge.version}\n  needs {_needs(judge)}\n  --judge {how}"


command = list_command(
    Listing(
        kind="judges",
        columns={"VERSION": lambda judge: judge.version, "NEEDS": _needs},
        facts=_facts,
        details=_details,
        flag=lambda judge: f"-T {judge.name}.KEY=VALUE",
    ),
    "List the judges, or show some in detail.",
)
