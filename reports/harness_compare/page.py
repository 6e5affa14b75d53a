"""A comparison as one HTML file: no script, nothing from elsewhere, a strict policy, the look of the local pages."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from importlib.resources import files as packaged
from typing import Any, Final

from harness import Comparison
from harness.runs.comparing.comparison import Finding, MetricChange, SplitComparison
from harness.text import plain

from .formats import (
    Texts,
    describe_conclusion,
    describe_counts,
    describe_flips,
    describe_people,
    describe_tests,
    explain_missing,
    format_change,
    format_metric,
    has_open,
    list_asides,
    list_notes,
    list_texts,
)

_TONES: Final = {
    Finding.BETTER: "better",
    Finding.WORSE: "worse",
    Finding.OPEN_BETTER: "open",
    Finding.OPEN_WORSE: "open",
}


def render_html(found: Comparison, texts: Texts, most: int) -> str:
    """A comparison as a page; lists `most` flips of each way."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    shared = (packaged("harness.web.page") / "look.css").read_text(encoding="utf-8")
    own = (packaged(__package__ or "") / "templates" / "comparison.css").read_text(encoding="utf-8")
    style = shared + own
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment = Environment(
        loader=PackageLoader(__package__ or "", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_drop_controls,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    splits = [_lay_out(found, each, texts, most) for each in found.splits]
    page = environment.get_template("comparison.html").render(
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        style=style,
        runs=found.runs,
        notes=list(list_notes(found)),
        asides=list(list_asides(found)),
        contents=splits,
        splits=splits,
        legend=describe_tests(found),
        revealed=bool(texts),
    )
    return page.lstrip() + "\n"


def _drop_controls(value: object) -> object:
    """Text without control characters; markup that templates marked safe stays."""
    return plain(value) if type(value) is str else value


def _lay_out(found: Comparison, each: SplitComparison, texts: Texts, most: int) -> dict[str, Any]:
    metrics = {format_metric(change): change for change in each.changes.values()}
    conclusion = describe_conclusion(found, each)
    return {
        "title": f"{each.title}: {each.run} beside {found.baseline.letter}",
        "conclusion": conclusion,
        "short": conclusion.partition(" (")[0].rstrip("."),
        "tone": _TONES.get(each.main.finding, ""),
        "counts": " · ".join(describe_counts(found, each)),
        "told": [*describe_people(found, each), *explain_missing(each)],
        "metrics": _build_table(found, each, "Metric", metrics),
        "by_head": f"{format_metric(each.main)} by {found.by}",
        "by": _build_table(found, each, found.by, each.by) if each.by else None,
        "flips": [
            {
                "text": f"{text}{'' if most >= len(flips) else f', {most} listed'}",
                "listed": [
                    {
                        "item": flip.item,
                        "before": flip.baseline_label,
                        "after": flip.other_label,
                        "texts": list_texts(found, each, flip, texts),
                    }
                    for flip in flips[:most]
                ],
            }
            for text, flips in describe_flips(found, each)
        ],
    }


def _build_table(
    found: Comparison, each: SplitComparison, head: str, changes: Mapping[str, MetricChange]
) -> dict[str, Any]:
    base, is_open = found.baseline.letter, has_open(each)
    heads = [head, "n", base, each.run, f"{each.run} - {base}", "95% interval", *(["Worst case"] if is_open else [])]
    rows = [
        {"name": name, "main": change.main, "cells": format_change(change, is_open=is_open)}
        for name, change in changes.items()
    ]
    return {"heads": heads, "rows": rows}
