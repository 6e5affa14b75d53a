"""A real browser on a page of ours: it may ask this machine alone, and whatever it complains of fails the test."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, sync_playwright

from tests.tools import tool

#: what must never run, be fetched or end an element, whatever place it stands in
INJECTIONS = (
    "<script>window.fired=1</script>",
    "<img src=x onerror=window.fired=1>",
    '"><svg onload=window.fired=1>',
    "' onmouseover='window.fired=1",
    "</script><script>window.fired=1</script>",
    "</style><script>window.fired=1</script>",
    "javascript:window.fired=1",
    "{{ 7*7 }}{% raw %}",
    "<!--<script>window.fired=1//-->",
    "<a href=//example.org>x</a>",
    "\u202egnp.exe\u2066",
    "<base href=//example.org>",
    "<meta http-equiv=refresh content=0;url=//example.org>",
)


@dataclass(slots=True)
class Seen:
    """A page and what it did beside showing itself."""

    page: Page
    complaints: list[str] = field(default_factory=list[str])
    outside: list[str] = field(default_factory=list[str])

    def clean(self) -> None:
        """Nothing was complained of, nothing foreign was asked for, nothing planted ran."""
        assert self.complaints == []
        assert self.outside == []
        assert self.page.evaluate("window.fired") is None


@contextmanager
def browser(**settings: Any) -> Generator[Seen]:
    """A new page of a new browser; `settings` are Playwright's, such as `color_scheme`."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=tool("chromium"), args=["--no-sandbox"])
        seen = Seen(chromium.new_page(**settings))
        seen.page.on("console", lambda said: seen.complaints.append(f"{said.type}: {said.text}"))
        seen.page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        seen.page.on("request", lambda asked: _note(seen, asked.url))
        try:
            yield seen
        finally:
            chromium.close()


def _note(seen: Seen, url: str) -> None:
    if not url.startswith(("file://", "data:", "blob:", "http://127.0.0.1:")):
        seen.outside.append(url)


def violations(page: Page) -> list[str]:
    """What axe-core finds wrong with the page as it stands, one line each."""
    found = Axe().run(page).response["violations"]
    return [f"{each['id']}: {node['html'][:200]}" for each in found for node in each["nodes"]]
