"""The page of a comparison, in a real browser: it runs nothing, loads nothing, and can be read by everybody."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from harness_compare.page import render_html

from tests.browser.pages import browser, violations
from tests.core.compared import beside, played
from tests.reports.test_compare import hostile


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compared")
    runs = [
        played(folder / name, letters, tasks="played:one,played:two") for name, letters in (("a", "u"), ("b", "us?"))
    ]
    file = folder / "comparison.html"
    file.write_text(render_html(beside(*runs, by="category"), {}, 5), encoding="utf-8")
    return file


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 1280, 390])
def test_axe_finds_nothing_and_nothing_is_cut(page: Path, width: int, scheme: Literal["light", "dark"]) -> None:
    with browser(viewport={"width": width, "height": 900}, color_scheme=scheme) as seen:
        seen.page.goto(page.as_uri())
        assert violations(seen.page) == []
        assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert seen.page.evaluate("getComputedStyle(document.querySelector('.said')).borderLeftStyle") == "solid"
        seen.clean()


def test_what_strangers_wrote_stays_text(tmp_path: Path) -> None:
    file = tmp_path / "hostile.html"
    file.write_text(render_html(hostile(), {}, 5), encoding="utf-8")
    with browser() as seen:
        seen.page.goto(file.as_uri())
        assert "<script>alert(1)</script>" in seen.page.locator("h1").inner_text()
        assert seen.page.locator("script").count() == 0
        seen.clean()


def test_the_keyboard_reaches_every_table_and_opens_what_is_folded(page: Path) -> None:
    with browser() as seen:
        seen.page.goto(page.as_uri())
        seen.page.keyboard.press("Tab")
        assert seen.page.evaluate("document.activeElement.className") == "skip"
        tables = seen.page.locator(".scroll")
        assert {tables.nth(place).get_attribute("tabindex") for place in range(tables.count())} == {"0"}
        seen.page.locator("summary").first.focus()
        seen.page.keyboard.press("Enter")
        assert seen.page.locator("details").first.get_attribute("open") is not None
