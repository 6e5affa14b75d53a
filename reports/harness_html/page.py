"""Renders results to one HTML file without external resources, and to a Hugging Face Space folder that serves it.

The page's numbers are also available to programs: one flat row each, the same in the page, in CSV and in JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from harness import Results, SampleLinks
from harness.board.costs import list_costs
from harness.board.leaderboard import Board, boards, licences
from harness.board.palette import DARK, LIGHT, declare_variables
from harness.board.published import find_references
from harness.board.rows import Measure, Row
from harness.board.sheet import CORRECTED, list_corrected_cells, render_csv
from harness.board.suites import group_boards, means
from harness.board.words import MARKS
from harness.text import one_line

from .figures import Looks, draw_figures, write_figures
from .methods import describe_methods
from .overview import build_overview
from .sections import build_section, group_sections, order_by_topic, place_figures
from .templating import declare_policy, load_template, read_asset
from .terms import Glossary, describe_benchmark, describe_task

if TYPE_CHECKING:
    from harness.matrix import Matrix

Flat = dict[str, str | int | float | bool | None]

TITLE: Final = "Safety leaderboard"
_CARD: Final = """\
---
title: {title}
emoji: 🛡️
colorFrom: blue
colorTo: gray
sdk: static
app_file: index.html
pinned: false
---

{title} of vision-language models, made with vlm-safety-harness. `index.html` is the page, `leaderboard.csv` and
`leaderboard.json` its numbers, `figures/` its figures.

To serve it: make a Space whose SDK is `static`, and push this folder to it.
"""


def render_page(results: Sequence[Results], links: SampleLinks | None = None) -> str:
    """The leaderboard of some runs as a page.

    Args:
        results: of the runs.
        links: a viewer of the runs beside the page, to which its numbers lead; None for a page that stands alone.
    """
    from harness import plugins

    every, suites = boards(results), means(results)
    anchors = [f"board-{place}" for place, _ in enumerate(every, 1)]  # independent of names
    tasks = [task for task, _ in plugins.current().offers("tasks")]
    style, script = read_asset("page.css") + _declare_colours(), read_asset("page.js")
    glossary, looks = Glossary(), Looks(every)
    headline, placed, rest = place_figures(draw_figures(every, suites), every, anchors)
    by_suite = group_boards(every, results)
    sections = [
        build_section(
            board,
            anchor,
            find_references(board, tasks),
            describe_task(board, tasks),
            glossary,
            looks,
            placed.get(anchor, ()),
            () if links is None else links.runs,
            [group.suite for group in by_suite if group.suite and board in group.boards],
        )
        for board, anchor in zip(every, anchors, strict=True)
    ]
    grouped = group_sections(sections, by_suite)
    described = {suite.name: suite.description for suite, _ in plugins.current().offers("suites")}
    overview = build_overview(sections, grouped, described, suites, glossary, looks)
    places = {id(row): f"{board}.{line}" for board, each in enumerate(every, 1) for line, row in enumerate(each.rows)}

    def find_place(row: Row) -> str:  # of a board and a line of it
        return places[id(row)]

    marks = {"rank": glossary.fact("Rank").anchor, **{name: glossary.mark(name).anchor for name in MARKS}}
    for section in sections:
        glossary.add("Benchmarks", section.board.task, " ".join(describe_benchmark(section.task)), section.board.split)
    return load_template("page.html").render(
        title=TITLE,
        viewer="" if links is None else links.viewer,
        find_place=find_place,
        pooled={(board.task, board.part_of) for board in every},
        policy=declare_policy(style, script),
        style=style,
        script=script,
        overview=overview,
        groups=grouped,
        topics=[topic for topic, _ in order_by_topic([each for each in sections if not each.board.part_of])],
        suites=[group.name for group in grouped if group.suite],
        folded=[section for section in sections if section.board.part_of],
        columns=list(dict.fromkeys(head.name for section in sections for head in section.table.heads if head.optional)),
        facts=list(dict.fromkeys(name for section in sections for name, _ in section.table.facts)),
        means=suites,
        headline=headline,
        rest=rest,
        glossary=glossary.groups(),
        marks=marks,
        all_tasks=list(dict.fromkeys(board.task for board in every)),
        methods=describe_methods(results, every, suites),
        licences=licences(every),
        costs=list_costs(results),
        data=_embed_numbers(every),
        runs=len(results),
        day=max((str(each.get("finished") or "")[:10] for each in results), default=""),
    )


def render_matrix(table: Matrix) -> str:
    """The paper table as a page of its own, without a script: heads over several columns, footnotes with links back."""
    style = read_asset("page.css") + read_asset("matrix.css")
    return load_template("matrix.html").render(table=table, style=style, policy=declare_policy(style))


def render_figures(results: Sequence[Results]) -> Mapping[str, bytes]:
    """Each figure of the page as SVG and PNG. Raises HarnessError without the drawing library."""
    return write_figures(boards(results), means(results))


def render_space(results: Sequence[Results]) -> Mapping[str, bytes]:
    """The files of a static Space: the page, its data, and the hub's card."""
    every = boards(results)
    texts = {
        "README.md": _CARD.format(title=TITLE),
        "index.html": render_page(results),
        "leaderboard.csv": to_csv(every),
        "leaderboard.json": json.dumps(list_numbers(every), ensure_ascii=True, allow_nan=False, indent=1) + "\n",
    }
    files = {name: text.encode() for name, text in texts.items()}
    if find_spec("vl_convert") is not None:
        files |= {f"figures/{name}": body for name, body in render_figures(results).items()}
    return files


def _declare_colours() -> str:
    """The figures' colours in both themes, as style."""
    light, dark = declare_variables(LIGHT), declare_variables(DARK)
    rules = (
        f":root {{ {light} }}",
        f"@media (prefers-color-scheme: dark) {{ :root:not([data-theme='light']) {{ {dark} }} }}",
        f":root[data-theme='dark'] {{ {dark} }}",
        f"@media print {{ :root:root {{ {light} }} }}\n",
    )
    return "\n".join(rules)


def list_numbers(boards: Sequence[Board]) -> list[Flat]:
    """Each metric of each row; breakdowns are only in `--format csv`."""
    return [_flatten(board, row, measure) for board in boards for row in board.rows for measure in row.measures]


def _embed_numbers(boards: Sequence[Board]) -> str:
    """Column names once, then rows as arrays, for the page; `<` is escaped, so that no text ends a script."""
    rows = list_numbers(boards)
    whole = {"names": list(rows[0]) if rows else [], "rows": [list(row.values()) for row in rows]}
    text = json.dumps(whole, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def to_csv(boards: Sequence[Board]) -> str:
    """CSV; no cell can act as a formula."""
    rows = list_numbers(boards)
    return render_csv(list(rows[0]) if rows else [], rows)


def _flatten(board: Board, row: Row, measure: Measure) -> Flat:
    return {
        "model": one_line(row.model),
        "task": one_line(board.task),
        "split": one_line(board.split),
        "class": board.group,
        "metric": one_line(measure.name),
        "main": measure.main,
        "unit": measure.unit,
        "better": measure.better,
        "value": measure.value,
        "why": one_line(measure.why, 200),
        "ci95_low": measure.ci95[0],
        "ci95_high": measure.ci95[1],
        "ci95_worst_low": measure.ci95_worst[0],
        "ci95_worst_high": measure.ci95_worst[1],
        "numerator": measure.numerator,
        "denominator": measure.denominator,
        "unresolved": measure.unresolved,
        **dict.fromkeys(CORRECTED),
        **{
            name: one_line(cell, 200) if isinstance(cell, str) else cell
            for name, cell in list_corrected_cells(measure).items()
        },
        "n": row.n,
        "coverage": row.coverage,
        "complete": row.complete,
        "blocked": row.blocked,
        "rank": row.rank if measure.main else None,
        "unranked": one_line(row.unranked),
        "judge": one_line(row.judge.id),
        "flags": " ".join(caution.kind for caution in row.cautions),
        "finished": one_line(row.finished),
        "model_revision": one_line(row.model_revision),
        "data": one_line(row.data),
        "revision": one_line(row.revision),
    }
