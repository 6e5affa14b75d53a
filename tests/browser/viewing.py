"""The viewer's server in a thread, and a browser on it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
from anyio.from_thread import start_blocking_portal
from harness_view.index import Mode, open_indexes
from harness_view.server import follow, view_app
from playwright.sync_api import Page

from harness.web import serving
from harness.web.pages import first_url
from tests.browser.pages import Seen, browser

TOKEN = "a-token-of-the-tests"


@asynccontextmanager
async def _served(runs: tuple[Path, ...], mode: Mode) -> AsyncGenerator[str]:
    indexes = open_indexes(runs, mode)
    async with serving(view_app(indexes, TOKEN)) as served, anyio.create_task_group() as tasks:
        for index in indexes:
            tasks.start_soon(follow, index)
        yield first_url(served, TOKEN)
        tasks.cancel_scope.cancel()
    for index in indexes:
        index.close()


@contextmanager
def viewed(*runs: Path, mode: Mode = "fold") -> Generator[str]:
    """The address of the runs' page, with its token."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(_served(runs, mode)) as url:
        yield url


@contextmanager
def opened(*runs: Path, mode: Mode = "fold", at: str = "", **settings: Any) -> Generator[Seen]:
    """A browser on the runs' page, with its rows in sight; whatever the page complains of fails the test at its end."""
    with viewed(*runs, mode=mode) as url, browser(**settings) as seen:
        seen.page.goto(url + at)
        seen.page.wait_for_function("() => document.getElementById('count').textContent.match(/samples( ·|$)/)")
        yield seen
        seen.clean()


def count(page: Page) -> str:
    """What the page says of how many rows it lists."""
    return page.locator("#count").inner_text()


def wait_for(page: Page, said: str) -> None:
    """Until it says so many."""
    page.wait_for_function("said => document.getElementById('count').textContent === said", arg=said)


def click_sample(page: Page, name: str) -> None:
    """Click a sample that is in sight."""
    page.locator(".row", has=page.locator(f".row-id:text-is('{name}')")).click()
    page.wait_for_selector(f"article h2:has-text('/{name}#')")


def open_sample(page: Page, name: str) -> str:
    """Open a sample wherever in the list it stands; the text of the reading pane."""
    page.evaluate("name => HV.app.choose(HV.app.run.id.indexOf(name))", name)
    page.wait_for_selector(f"article :text('/{name}#')")
    return page.locator("#reading").inner_text()
