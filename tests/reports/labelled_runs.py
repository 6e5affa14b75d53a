"""Results whose metrics have a number by people, as `harness label` and the runs' results make them."""

from __future__ import annotations

from typing import Any

from harness.testing.results import Body, judged, results, split

JUDGE = "mis-openai-judge-1f3a9c2e"
DESIGN: Body = {
    "judge": JUDGE,
    "seed": 0,
    "cells": [
        {"name": "unsafe", "answers": 800, "labels": 60, "value": 90.0},
        {"name": "safe", "answers": 200, "labels": 60, "value": 5.0},
    ],
}
ALPHA: Body = {"n": 48, "value": 0.81234, "ci95": [0.7, 0.9], "why": None}
ANNOTATORS: Body = {
    "human-anna": {"value": 71.5, "ci95": [66.0, 77.0], "labels": 80, "why": None},
    "human-ben": {"value": None, "ci95": None, "labels": 20, "why": "20 answers are labelled, and 40 are needed"},
}


def corrected(value: float | None = 73.0, **changes: Any) -> Body:
    """A metric's `corrected`; without a value it says why."""
    return {
        "value": value,
        "ci95": None if value is None else [value - 4, value + 4.25],
        **({"why": "12 answers are labelled, and 40 are needed"} if value is None else {}),
        "labels": 120 if value is not None else 12,
        "of": 1000,
        "design": DESIGN,
        "alpha": None,
        "annotators": {},
        "adds_nothing": False,
        **changes,
    }


def run_labelled(ref: str = "x/a", unsafe: int = 800, found: Body | None = None, **changes: Any) -> Body:
    """A run whose main number has labels."""
    finding = judged({"ASR": unsafe, "RSR": 1000 - unsafe}, main="ASR")
    if found is not None:
        finding["metrics"]["ASR"] = {**finding["metrics"]["ASR"], "corrected": found}
    return results(ref, {"mis": {"test": split(finding, judge=JUDGE, **changes)}})
