"""Renders results to one HTML file without external resources, and to a Hugging Face Space folder that serves it.

The page's numbers are also available to programs: one flat row each, the same in the page, in CSV and in JSON.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.resources import files as packaged
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup, escape

from harness import Results, SampleLinks
from harness.board import display
from harness.board.costs import format_usd, list_costs
from harness.board.leaderboard import CORRECTED, Board, boards, licences, list_corrected_cells, means
from harness.board.palette import DARK, LIGHT, declare_variables
from harness.board.published import find_references
from harness.board.rows import Measure, Row
from harness.board.suites import group_boards
from harness.board.words import MARKS
from harness.text import escape_cell, one_line, plain

from . import views
from .figures import Looks, draw_figures, write_figures
from .terms import Glossary, describe_task

#: a name up to a place where it may break: after a mark, or after so many characters without one
_PIECES: Final = re.compile(r"[^/\-_.:\s]{0,24}[/\-_.:\s]+|[^/\-_.:\s]{1,24}")

if TYPE_CHECKING:
    from jinja2 import Template

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
    # the figures' colours in both themes
    light, dark = declare_variables(LIGHT), declare_variables(DARK)
    colours = (
        f":root {{ {light} }}",
        f"@media (prefers-color-scheme: dark) {{ :root:not([data-theme='light']) {{ {dark} }} }}",
        f":root[data-theme='dark'] {{ {dark} }}",
        f"@media print {{ :root:root {{ {light} }} }}\n",
    )
    style, script = _read_asset("page.css") + "\n".join(colours), _read_asset("page.js")
    glossary, looks = Glossary(), Looks(every)
    headline, placed, rest = views.place_figures(draw_figures(every, suites), every, anchors)
    sections = [
        views.build_section(
            board,
            anchor,
            find_references(board, tasks),
            describe_task(board, tasks),
            glossary,
            looks,
            placed.get(anchor, ()),
            () if links is None else links.runs,
        )
        for board, anchor in zip(every, anchors, strict=True)
    ]
    by_suite = group_boards(every, results)
    members = {
        board.name: [group.suite for group in by_suite if group.suite and board in group.boards] for board in every
    }
    sections = [replace(section, suites=members[section.board.name]) for section in sections]
    grouped = views.group_sections(sections, by_suite)
    described = {suite.name: suite.description for suite, _ in plugins.current().offers("suites")}
    overview = views.build_overview(sections, grouped, described, suites, glossary, looks)
    places = {id(row): f"{board}.{line}" for board, each in enumerate(every, 1) for line, row in enumerate(each.rows)}

    def find_place(row: Row) -> str:  # of a board and a line of it
        return places[id(row)]

    marks = {"rank": glossary.fact("Rank").anchor, **{name: glossary.mark(name).anchor for name in MARKS}}
    for section in sections:
        glossary.add("Benchmarks", section.board.task, " ".join(views.describe_benchmark(section)), section.board.split)
    return _load_template().render(
        title=TITLE,
        viewer="" if links is None else links.viewer,
        find_place=find_place,
        pooled={(board.task, board.part_of) for board in every},
        policy="; ".join(  # the page may load only its own style and script, by hash
            (
                "default-src 'none'",
                f"style-src '{_hash(style)}'",
                f"script-src '{_hash(script)}'",
                "base-uri 'none'",
                "form-action 'none'",
            )
        ),
        style=style,
        script=script,
        overview=overview,
        groups=grouped,
        topics=[topic for topic, _ in views.order_by_topic([each for each in sections if not each.board.part_of])],
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
        methods=views.describe_methods(results, every, suites),
        licences=licences(every),
        costs=list_costs(results),
        data=_embed_numbers(every),
        runs=len(results),
        day=max((str(each.get("finished") or "")[:10] for each in results), default=""),
    )


def _load_template() -> Template:
    """The page's template. It escapes all text, and a name that it does not get is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(__package__ or "", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_drop_controls,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = {
        "figure": display.format_value,
        "usd": format_usd,
        "estimate": display.format_estimate,
        "breaks": _mark_breaks,
    }
    environment.filters.update(filters)
    return environment.get_template("page.html")


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
    if _can_draw():
        files |= {f"figures/{name}": body for name, body in render_figures(results).items()}
    return files


def _can_draw() -> bool:
    return find_spec("vl_convert") is not None


def _read_asset(name: str) -> str:
    return (packaged(__package__ or "") / "templates" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _mark_breaks(text: str) -> Markup:
    """A name that may break after `/`, `-`, `_`, `.` and `:`, and inside a long word only if it has none of these."""
    escaped = (str(escape(piece)) for piece in _PIECES.findall(plain(str(text))))
    return Markup("<wbr>").join(map(Markup, escaped))


def _drop_controls(value: object) -> object:
    """Text without control characters; markup that templates marked safe stays."""
    return plain(value) if type(value) is str else value


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
    rows, out = list_numbers(boards), io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]) if rows else [], lineterminator="\n", restval="")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: escape_cell(cell) if isinstance(cell, str) else cell for name, cell in row.items()})
    return out.getvalue()


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
