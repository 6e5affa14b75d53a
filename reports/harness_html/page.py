"""Results to one HTML file: no outside resource, and a policy that allows none."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files as packaged
from typing import TYPE_CHECKING, Final

from harness import Results
from harness.board.leaderboard import boards
from harness.board.means import means
from harness.board.references import references
from harness.board.values import Board
from harness.terminal import plain

from . import data, methods, views
from .drawn import drawn

if TYPE_CHECKING:
    from jinja2 import Environment

TITLE: Final = "Safety leaderboard"


def page(results: Sequence[Results]) -> str:
    """The leaderboard of some runs as a whole page."""
    made, suites = boards(results), means(results)
    anchors = _anchors(made)
    style, script = _asset("page.css"), _asset("page.js")
    template = _environment().get_template("page.html")
    return template.render(
        title=TITLE,
        policy=_policy(style, script),
        style=style,
        script=script,
        overview=views.overview(made, anchors),
        sections=_sections(made, anchors),
        means=suites,
        figures=drawn(results, made, suites),
        methods=methods.methods(results, made, suites),
        licences=methods.licences(made),
        data=data.as_json(made),
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
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _asset(name: str) -> str:
    return (packaged(__package__ or "") / "templates" / name).read_text(encoding="utf-8")


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(__package__ or "", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: plain(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["figure"] = _figure
    environment.filters["estimate"] = _estimate
    environment.filters["base64"] = lambda text: base64.b64encode(text.encode()).decode()
    return environment


def _figure(value: float | None, unit: str = "%") -> str:
    from harness.board.display import figure

    return figure(value, unit)


def _estimate(value: float | None, ends: Sequence[float | None] | None, unit: str = "%") -> str:
    from harness.board.display import estimate

    return estimate(value, ends, unit)
