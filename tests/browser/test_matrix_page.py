"""The paper table as a reader meets it in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from harness_html import tabulate

from harness.board.matrix import build_matrix
from tests.browser.pages import INJECTIONS, browser, violations
from tests.reports.matrix_runs import rates, run
from tests.reports.test_matrix import full


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "matrix.html"
    path.write_text(tabulate(full()), encoding="utf-8")
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_the_table_is_accessible_and_nothing_but_the_table_scrolls(page: Path, scheme: Any, width: int) -> None:
    with browser(color_scheme=scheme, viewport={"width": width, "height": 800}) as seen:
        seen.page.goto(page.as_uri())
        assert violations(seen.page) == []
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
        seen.clean()


def test_a_footnote_is_reached_by_keyboard_and_leads_back(page: Path) -> None:
    with browser() as seen:
        seen.page.goto(page.as_uri())
        mark = seen.page.get_by_role("link", name="footnote c at x/b")
        mark.focus()
        seen.page.keyboard.press("Enter")
        assert seen.page.locator(":target").inner_text().startswith("c Answered in German.")
        seen.page.get_by_role("link", name="back to the first number with footnote c").click()
        assert seen.page.evaluate("location.hash") == "#mark-c"
        seen.clean()


@pytest.mark.parametrize("text", INJECTIONS)
def test_nothing_planted_in_a_name_acts(text: str, tmp_path: Path) -> None:
    body = run(f"x/{text}", {f"{text}": rates(ASR=3)}, notes=[text])
    (tmp_path / "page.html").write_text(tabulate(build_matrix([body])), encoding="utf-8")
    with browser() as seen:
        seen.page.goto((tmp_path / "page.html").as_uri())
        seen.clean()


def test_right_to_left_and_chinese_names_stay_in_their_cells(tmp_path: Path) -> None:
    runs = [run(name, {"mis:easy": rates(ASR=count)}) for name, count in (("x/模型一号", 3), ("x/نموذج", 5))]
    (tmp_path / "page.html").write_text(tabulate(build_matrix(runs)), encoding="utf-8")
    with browser() as seen:
        seen.page.goto((tmp_path / "page.html").as_uri())
        names = seen.page.locator("tbody th bdi").all_inner_texts()
        assert [name.replace("\u200b", "") for name in names] == ["x/模型一号", "x/نموذج"]
        assert violations(seen.page) == []
