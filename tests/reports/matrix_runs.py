"""Results for the tests of the paper table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.testing.results import Body, judged, results, split

GPT = "mis-openai-gpt-4o-1f3a9c2e"
RULE = "choice-0a1b2c3d"
_GROUPS = {"mis": "safety", "figstep": "safety", "xstest": "over-refusal", "mmstar": "ability"}


def rates(n: int = 1000, judge: str = GPT, *, main: str = "ASR", **counts: int) -> Body:
    """One split: ASR and others by their counts; the rest of n is `rest`."""
    better = "higher" if main in ("accuracy", "safe_rate") else "lower"
    finding = judged({**counts, "rest": n - sum(counts.values())}, main=main, better=better)
    return split(finding, judge=judge)


def run(ref: str, splits: Mapping[str, Body], **model: Any) -> Body:
    """A run of splits by title, such as `mis:easy`."""
    tasks: dict[str, dict[str, Body]] = {}
    for title, body in splits.items():
        task, _, name = title.partition(":")
        group = _GROUPS.get(task.partition("+")[0])
        tasks.setdefault(task, {})[name or "all"] = {"group": group, **body}
    return results(ref, tasks, **model)


def three(**more: Body) -> list[Body]:
    """Three models far apart on MIS and on MMStar, and `more` splits of the first."""
    return [
        run(
            f"x/{name}",
            {
                "mis:easy": rates(ASR=unsafe, RSR=(1000 - unsafe) // 2),
                "mmstar:val": rates(judge=RULE, main="accuracy", accuracy=unsafe),
                **(more if name == "a" else {}),
            },
        )
        for name, unsafe in (("a", 100), ("b", 400), ("c", 800))
    ]


def mean(body: Body, suite: str, of: Mapping[str, float], missing: tuple[str, ...] = ()) -> Body:
    """The run with the mean of a suite."""
    value = None if missing else sum(of.values()) / len(of)
    ends = None if value is None else [value - 1, value + 1]
    found = {
        "value": value,
        "unit": "%",
        "better": "higher",
        "ci95": ends,
        "ci95_worst": ends,
        "complete": not missing,
        "missing": list(missing),
        "of": {title: {"metric": "accuracy", "value": each} for title, each in of.items()},
    }
    return {**body, "suites": {**body.get("suites", {}), suite: {"tasks": [], "splits": [], "mean": found}}}
