"""The review page: HTML, style and scripts, written by hand and sent as they are."""

from __future__ import annotations

from importlib import resources


def page() -> str:
    """The page itself."""
    return resources.files(__name__).joinpath("index.html").read_text(encoding="utf-8")
