"""A person at a page that shows one thing after another, by keyboard: the review of a set, the labels of answers."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any

from anyio.from_thread import start_blocking_portal
from playwright.sync_api import Page

from tests.browser.pages import Seen, browser


@contextmanager
def serve(page: AbstractAsyncContextManager[str]) -> Generator[str]:
    """The address of a page, as long as it is served."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(page) as url:
        yield url


@contextmanager
def sit_down(page: AbstractAsyncContextManager[str], name: str, **settings: Any) -> Generator[Seen]:
    """Somebody in front of the first thing, as far as the keyboard gets them; what the page complains of fails."""
    with serve(page) as url, browser(**settings) as seen:
        seen.page.goto(url)
        begin(seen.page, name)
        yield seen
        seen.clean()


def begin(page: Page, name: str) -> None:
    page.wait_for_selector("#name:focus")
    page.keyboard.type(name)
    page.keyboard.press("Enter")
    page.wait_for_selector("#begin .main:focus")
    page.keyboard.press("Enter")
    page.wait_for_selector("#work:visible")


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def at(page: Page, said: str) -> None:
    """Until the page says so much of how far the person is."""
    page.wait_for_function("said => document.getElementById('about').textContent.includes(said)", arg=said)
