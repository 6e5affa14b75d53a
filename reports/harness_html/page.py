"""Results to one HTML file without an outside resource, and to the folder of a Hugging Face Space that serves it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files as packaged
from importlib.util import find_spec
from typing import Any, Final

from harness import Results
from harness.board import display
from harness.board.leaderboard import boards, licences, means
from harness.board.published import find_references
from harness.text import plain

from . import data, views
from .figures import draw_figures, write_figures
from .figures.theme import DARK, LIGHT, declare_variables

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


def render_page(results: Sequence[Results]) -> str:
    """The leaderboard of some runs as a whole page; without figures where the library that draws them is missing."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from harness import plugins

    every, suites = boards(results), means(results)
    anchors = [f"board-{place}" for place, _ in enumerate(every, 1)]  # no name can break such an id
    tasks = [task for task, _ in plugins.current().offers("tasks")]
    style, script = _read_asset("page.css") + _declare_colours(), _read_asset("page.js")
    environment = Environment(
        loader=PackageLoader(__package__ or "", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_drop_controls,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = {"figure": display.format_value, "estimate": display.format_estimate}
    environment.filters.update(filters)
    return environment.get_template(
        "page.html"
    ).render(
        title=TITLE,
        policy="; ".join(  # what the page may load: its own style and script, known by their hashes, and nothing else
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
        overview=views.build_overview(every, anchors),
        sections=[
            views.build_section(board, anchor, find_references(board, tasks))
            for board, anchor in zip(every, anchors, strict=True)
        ],
        means=suites,
        figures=draw_figures(every, suites) if _can_draw() else (),
        methods=views.describe_methods(results, every, suites),
        licences=licences(every),
        data=data.to_page(every),
        runs=len(results),
        day=max((str(each.get("finished") or "")[:10] for each in results), default=""),
    )


def render_figures(results: Sequence[Results]) -> Mapping[str, bytes]:
    """Each figure of the page as SVG and PNG. Raises HarnessError without the library that draws."""
    return write_figures(boards(results), means(results))


def render_space(results: Sequence[Results]) -> Mapping[str, bytes]:
    """The files of a static Space: the page, its data, and the card that the hub reads."""
    every = boards(results)
    texts = {
        "README.md": _CARD.format(title=TITLE),
        "index.html": render_page(results),
        "leaderboard.csv": data.to_csv(every),
        "leaderboard.json": data.to_json(every),
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


def _declare_colours() -> str:
    """The figures' colours in both themes, which follow the page's."""
    light, dark = declare_variables(LIGHT), declare_variables(DARK)
    system = f"@media (prefers-color-scheme: dark) {{ :root:not([data-theme='light']) {{ {dark} }} }}"
    paper = f"@media print {{ :root:root {{ {light} }} }}"
    return "\n".join((f":root {{ {light} }}", system, f":root[data-theme='dark'] {{ {dark} }}", paper, ""))


def _drop_controls(value: object) -> object:
    """Text without controls; what the templates marked as safe stays."""
    return plain(value) if type(value) is str else value
