"""Results made for figures, and the figures of results."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from harness_html.figures import Figure, draw_figures

from harness.board.leaderboard import boards
from harness.board.suites import means
from harness.testing.results import Body, judge, judged, metric, results, split

SVG = "http://www.w3.org/2000/svg"
JUDGE, OTHER = "mis-openai-judge-1f3a9c2e", "mis-openai-other-00000000"
DIRECTIONS: dict[str, Literal["lower", "higher"]] = {
    "ASR": "lower",
    "RSR": "higher",
    "RR": "higher",
    "HR": "lower",
    "BLK": "lower",
}
HOSTILE = [
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "]]>&amp;<!--",
    "a\u202eb\u2066c\u200fd",
    "\ufffe\uffff\x00\x1b[2J\ud800",
    "x" * 300,
    "line\nbreak\ttab",
    "datum.value); alert(1",
    "http://127.0.0.1:9/x.png",
    "",
]


def finding(
    values: Mapping[str, int], main: str, unresolved: int = 0, **directions: Literal["lower", "higher"]
) -> Body:
    """A judge's finding with the metrics named, each a count out of their sum."""
    known: dict[str, Literal["lower", "higher"]] = {**DIRECTIONS, **directions}
    whole = sum(values.values())
    body = judged(values, main=main, judge_error=unresolved)
    metrics = {
        name: metric(count, whole, better=known[name], unresolved=unresolved, main=name == main)
        for name, count in values.items()
    }
    return {**body, "metrics": metrics, "by": {}}


def mis(unsafe: int, unresolved: int = 0, **changes: Any) -> Body:
    """MIS's five metrics; `unsafe` of 1000."""
    rest = 1000 - unsafe
    values = {"ASR": unsafe, "RSR": rest // 2, "RR": rest - rest // 2 - rest // 5, "HR": rest // 10}
    values["BLK"] = 1000 - sum(values.values())
    return {**finding(values, "ASR", unresolved), **changes}


def rate(name: str, count: int, better: Literal["lower", "higher"], n: int = 500) -> Body:
    body = judged({name: count, "rest": n - count}, main=name)
    return {**body, "metrics": {name: metric(count, n, better=better, main=True)}, "by": {}}


def by_category(unsafe: Mapping[str, int], n: int = 100) -> Body:
    groups = {
        name: {"n": n, "metrics": {"ASR": metric(count, n, better="lower", main=True)}}
        for name, count in unsafe.items()
    }
    return {**mis(sum(unsafe.values())), "by": {"category": groups}}


def run(ref: str, tasks: Mapping[str, Body], judge: str = JUDGE, **changes: Any) -> Body:
    """One model; `tasks` are `task:split` -> finding."""
    made: dict[str, dict[str, Body]] = {}
    for title, found in tasks.items():
        task, _, name = title.partition(":")
        made.setdefault(task, {})[name or "all"] = split(found, judge=judge)
    return results(ref, made, **changes)


def mean(value: int, suite: str = "general", *, complete: bool = True) -> dict[str, Any]:
    number = metric(value, 1000, better="higher")
    body = {key: number[key] for key in ("value", "unit", "better", "ci95", "ci95_worst")}
    of = {"a:b": {"metric": "accuracy", "value": 50.0}, "c:d": {"metric": "accuracy", "value": 60.0}}
    return {suite: {"mean": {**body, "of": of, "missing": [], "complete": complete}}}


def declare_tuned(runs: Sequence[Body], tuned: Mapping[str, str]) -> Sequence[Body]:
    """The runs, of which some declare that they were tuned; `tuned` is ref -> the ref it was tuned from."""
    for body in runs:
        if base := tuned.get(body["model"]["ref"]):
            body["model"]["training"] = {"tuned_from": base, "trained_on": []}
    return runs


def drawn(runs: Sequence[Body], tuned: Mapping[str, str] | None = None) -> dict[str, Figure]:
    """The figures of some runs by name."""
    declare_tuned(runs, tuned or {})
    return {figure.name: figure for figure in draw_figures(boards(runs), means(runs))}


def words(svg: str) -> list[str]:
    return ["".join(text.itertext()) for text in ET.fromstring(svg).iter(f"{{{SVG}}}text")]


def everything() -> list[Body]:
    """Three models with all that any figure needs."""
    made: list[Body] = []
    for place, ref in enumerate(("x/base", "x/tuned", "y/other")):
        unsafe = (900, 150, 500)[place]
        body = run(
            ref,
            {
                "mis:easy": by_category({"Violent": unsafe // 10, "Privacy": unsafe // 12}),
                "mis:hard": mis(unsafe - 20),
                "over": rate("refusal_rate", 40 + 90 * place, "lower"),
            },
            identity=f"k1:{ref}",
        )
        body["tasks"]["mis"]["splits"]["easy"]["other_judges"] = {OTHER: mis(unsafe - 100)}
        body["judges"][OTHER] = judge(OTHER)
        body["suites"] = mean(500 + 30 * place)
        made.append(body)
    return made


def hostile() -> list[Body]:
    made = everything()
    categories = by_category({name: place for place, name in enumerate(HOSTILE[:6])})
    for name in HOSTILE:
        body = run(
            name, {f"mis:{HOSTILE[0]}": categories, "over": rate("refusal_rate", 9, "lower")}, identity=f"k1:{name!r}"
        )
        body["suites"] = mean(500, HOSTILE[1])
        made.append(body)
    return made


#: families of names, as many models as the figures must hold
CROWDS = {
    "two": [f"x/model-{place}" for place in range(2)],
    "twelve": [f"hf/organisation/a-model-with-a-name-{place}-Instruct" for place in range(12)],
    "fifty": [f"hf/lab/model-{place}" for place in range(50)],
    "long": ["x/" + "long-" * 60 + str(place) for place in range(5)],
    "cjk": [f"模型/多模态大语言模型通义千问视觉版本{place}" for place in range(14)],
}


def crowd(refs: Sequence[str]) -> list[Body]:
    """Models of which several lie at one point."""
    made: list[Body] = []
    for place, ref in enumerate(refs):
        level = 100 + 17 * (place // 2)
        tasks = {
            "mis:easy": by_category({f"Category {each}": level // 12 + each for each in range(9)}),
            "mis:hard": mis(level),
            "over": rate("refusal_rate", level // 3, "lower"),
            "mmstar": rate("accuracy", 500 - level // 3, "higher"),
        }
        tasks["mis:easy"] = {**tasks["mis:easy"], "metrics": mis(level)["metrics"]}
        made.append(run(ref, tasks, identity=f"k1:{ref}"))
    return made
