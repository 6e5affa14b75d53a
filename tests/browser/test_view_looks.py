"""The viewer for all readers, on all screens, and as files from disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser.pages import browser, violations
from tests.browser.viewing import click_sample, exported, one, open_sample, opened, two, wait_for


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return one(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def other(run: Path) -> Path:
    return two(run.parent)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_screen_reader_finds_nothing_amiss(run: Path, other: Path, scheme: str, width: int) -> None:
    with opened(run, other, color_scheme=scheme, viewport={"width": width, "height": 800}) as seen:
        page = seen.page
        assert violations(page) == []
        open_sample(page, "torn-1" if width == 390 else "plain-1")
        page.keyboard.press("r")
        page.wait_for_selector(".words")
        assert violations(page) == []
        page.keyboard.press("?")
        assert violations(page) == []


def test_dark_and_light_follow_the_system_until_the_reader_chooses(run: Path) -> None:
    def back(page: Page) -> str:
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    with opened(run, color_scheme="dark") as seen:
        dark = back(seen.page)
        seen.page.click("#theme")
        light = back(seen.page)
        seen.page.reload()
        assert (light, dark) == ("rgb(251, 251, 250)", "rgb(20, 22, 26)")
        assert back(seen.page) == light


def test_on_a_phone_the_list_and_the_sample_take_turns(run: Path) -> None:
    with opened(run, viewport={"width": 390, "height": 800}) as seen:
        page = seen.page
        assert not page.locator("#pane").is_visible()
        click_sample(page, "plain-2")
        assert not page.locator("#list").is_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.click("#back")
        assert page.locator("#list").is_visible()
        assert not page.locator("#category").is_visible()
        page.click("#unfold")
        assert page.locator("#category").is_visible()


def test_a_revealed_export_opens_from_disk(run: Path, other: Path, tmp_path: Path) -> None:
    with browser() as seen:
        page = seen.page
        page.goto(exported(run, tmp_path / "out", reveal=True, other=other))
        wait_for(page, "44 samples")
        open_sample(page, "unsafe-1")
        page.wait_for_selector("article >> text=A very particular word.")
        page.wait_for_function("() => [...document.querySelectorAll('figure img')].every(i => i.naturalWidth === 768)")
        page.fill("#q", "PARTICULAR")
        wait_for(page, "1 of 44 samples")
        page.click("#clear")
        page.check("#flips")
        wait_for(page, "2 of 44 samples")
        page.goto(page.url)
        page.reload()
        page.wait_for_selector("article h2:has-text('one')")
        seen.clean()


def test_a_redacted_export_opens_from_disk_and_shows_labels_and_numbers(run: Path, tmp_path: Path) -> None:
    with browser() as seen:
        page = seen.page
        page.goto(exported(run, tmp_path / "out", reveal=False))
        wait_for(page, "44 samples")
        text = open_sample(page, "unsafe-1")
        assert "Redacted: 2 images, 1 text" in text
        assert "40 in, 12 out" in text
        assert page.locator("article .label bdi").first.inner_text() == "unsafe"
        seen.clean()
        assert violations(page) == []  # last: it tries to fetch the style, which may not be
