"""The page of the viewer: HTML, style and scripts, written by hand and sent as they are."""

from __future__ import annotations

from importlib import resources
from typing import Final

from harness.web.pages import SHARED

#: the scripts of the page, in the order in which they run
SCRIPTS: Final = (
    "source.js",
    "theme.js",
    "text.js",
    "store.js",
    "list.js",
    "pane.js",
    "filters.js",
    "keys.js",
    "app.js",
)
FILES: Final = ("look.css", "view.css", *SCRIPTS)
_POLICY: Final = "<!-- policy -->"
_DATA: Final = "<!-- data -->"


def read_file(name: str) -> str:
    """One file of this folder, or of those that all local pages share."""
    own, shared = (resources.files(place).joinpath(name) for place in (__name__, SHARED))
    return (own if own.is_file() else shared).read_text(encoding="utf-8")


def build_page(*, data: tuple[str, ...] = ()) -> str:
    """The page itself.

    Args:
        data: scripts with the data of an export; none where a server answers.
    """
    source = read_file("index.html")
    if not data:
        return source.replace(_POLICY, "").replace(_DATA, "")
    policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; base-uri 'none'"
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    scripts = "\n".join(f'<script defer src="{name}"></script>' for name in data)
    return source.replace(_POLICY, meta).replace(_DATA, scripts).replace('"/assets/', '"assets/')
