"""A real browser on a page of ours: it may ask this machine alone, and whatever it complains of fails the test."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

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


class _Chromium:
    """One browser for tests that follow each other: a start costs more than most tests do.

    Playwright's event loop stands still between two tests. It must not be this thread's running loop meanwhile, or no
    test could run one of its own.
    """

    def __init__(self) -> None:
        self._driver: Playwright | None = None
        self._browser: Browser | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._users = 0

    @contextmanager
    def used(self) -> Generator[Browser]:
        """The browser, which is started if there is none."""
        if self._users == 0:
            self._resume()
        self._users += 1
        try:
            yield self._start()
        finally:
            self._users -= 1
            if self._users == 0:
                self._pause()

    def close(self) -> None:
        """End the browser and Playwright's process, if there are any."""
        if self._driver is not None:
            self._resume()
            if self._browser is not None:
                self._browser.close()
            self._driver.stop()
            self._driver = self._browser = None
            self._pause()

    def _start(self) -> Browser:
        if self._browser is None or not self._browser.is_connected():
            self._driver = self._driver or sync_playwright().start()
            self._browser = self._driver.chromium.launch(executable_path=tool("chromium"), args=["--no-sandbox"])
        return self._browser

    def _resume(self) -> None:
        if self._driver is not None:
            asyncio._set_running_loop(self._loop)

    def _pause(self) -> None:
        if self._driver is not None:
            self._loop = asyncio._get_running_loop()
        asyncio._set_running_loop(None)


_CHROMIUM = _Chromium()


def close_browser() -> None:
    """End the browser that the last tests had; the next test starts another."""
    _CHROMIUM.close()


@contextmanager
def browser(**settings: Any) -> Generator[Seen]:
    """A new page that knows nothing of earlier ones; `settings` are Playwright's, such as `color_scheme`."""
    with _CHROMIUM.used() as chromium, chromium.new_context(**settings) as context:
        seen = Seen(context.new_page())
        seen.page.on("console", lambda said: seen.complaints.append(f"{said.type}: {said.text}"))
        seen.page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        seen.page.on("request", lambda asked: _note(seen, asked.url))
        yield seen


def _note(seen: Seen, url: str) -> None:
    if not url.startswith(("file://", "data:", "blob:", "http://127.0.0.1:")):
        seen.outside.append(url)


def violations(page: Page) -> list[str]:
    """What axe-core finds wrong with the page as it stands, one line each."""
    found = Axe().run(page).response["violations"]
    return [f"{each['id']}: {node['html'][:200]}" for each in found for node in each["nodes"]]
