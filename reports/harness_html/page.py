"""Results to one HTML file: no outside resource, and a policy that allows none."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files as packaged
from typing import TYPE_CHECKING, Any, Final

from harness import Results
from harness.board import display
from harness.board.leaderboard import boards
from harness.board.licences import licences
from harness.board.means import means
from harness.board.references import references
from harness.board.values import Board
from harness.terminal import plain

from . import data, methods, views
from .drawn import drawn
from .figures.theme import DARK, LIGHT, variables

if TYPE_CHECKING:
    from jinja2 import Environment

TITLE: Final = "Safety leaderboard"


def page(results: Sequence[Results]) -> str:
    """The leaderboard of some runs as a whole page."""
    made, suites = boards(results), means(results)
    anchors = _anchors(made)
    style, script = _asset("page.css") + _colours(), _asset("page.js")
    template = _environment().get_template("page.html")
    return template.render(
        title=TITLE,
        policy=_policy(style, script),
        style=style,
        script=script,
        overview=views.overview(made, anchors),
        sections=_sections(made, anchors),
        means=suites,
        figures=drawn(made, suites),
        methods=methods.methods(results, made, suites),
        licences=licences(made),
        data=data.packed(made),
        runs=len(results),
        day=max((str(each.get("finished") or "")[:10] for each in results), default=""),
    )


def _sections(made: Sequence[Board], anchors: Mapping[int, str]) -> list[views.Section]:
    from harness import plugins

    tasks = [task for task, _ in plugins.current().offers("tasks")]
    return [views.section(board, anchors[place], references(board, tasks)) for place, board in enumerate(made)]


def _anchors(made: Sequence[Board]) -> dict[int, str]:
    """An id for each board that no name can break."""
    return {place: f"board-{place + 1}" for place, _ in enumerate(made)}


def _policy(style: str, script: str) -> str:
    """What the page may load: its own style and script, known by their hashes, and nothing else."""
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src '{_hash(style)}'",
            f"script-src '{_hash(script)}'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _asset(name: str) -> str:
    return (packaged(__package__ or "") / "templates" / name).read_text(encoding="utf-8")


def _colours() -> str:
    """The figures' colours in both themes, which follow the page's."""
    light, dark = variables(LIGHT), variables(DARK)
    system = f"@media (prefers-color-scheme: dark) {{ :root:not([data-theme='light']) {{ {dark} }} }}"
    paper = f"@media print {{ :root:root {{ {light} }} }}"
    return "\n".join((f":root {{ {light} }}", system, f":root[data-theme='dark'] {{ {dark} }}", paper, ""))


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(__package__ or "", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalised,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = {"figure": display.figure, "estimate": display.estimate}
    environment.filters.update(filters)
    return environment


def _finalised(value: object) -> object:
    """Text without controls; what the templates marked as safe stays."""
    return plain(value) if type(value) is str else value
