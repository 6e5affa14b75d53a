"""The viewer's page on the judges of a split: figures, people, and the way to each sample."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from harness_view.index import open_indexes
from harness_view.page import export
from playwright.sync_api import Page

from harness import plugins
from harness.plugins.host import Host
from tests.browser.pages import Seen, browser, violations
from tests.browser.viewing import one, opened, viewed
from tests.plugins.agree_asking import SOURCE, judged
from tests.plugins.test_agree_people import as_second, draw, label

ASKS = " ".join([*["uu"] * 8, *["us"] * 2, *["ss"] * 20])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with two judges and two people, who label 20 drawn answers."""
    folder = judged(tmp_path_factory.mktemp("runs") / "run", asks=ASKS)
    items = draw(folder, 20)
    label(folder, "anna", as_second, items)
    label(folder, "ben", lambda row: "unsafe" if row["question"] != "ss" else "safe", items)
    return folder


@pytest.fixture(autouse=True)
def world() -> Iterator[None]:
    """The toy task, for the viewer as well."""
    with plugins.use(Host.load([SOURCE])):
        yield


@contextmanager
def agreed(run: Path, at: str = "", **settings: Any) -> Generator[Seen]:
    """A browser on the page of the run's judges."""
    with viewed(run) as url, browser(**settings) as seen:
        seen.page.goto(url)
        seen.page.goto(f"{url.partition('?')[0]}agreement.html{at}")
        wait(seen.page)
        yield seen
        seen.clean()


def wait(page: Page) -> None:
    page.wait_for_selector("#figures[aria-busy=false] h2")


def rows(page: Page, caption: str) -> list[list[str]]:
    """The cells of a table of the page."""
    table = page.locator("table", has=page.locator("caption", has_text=caption)).first
    return [[cell.strip() for cell in row.split("\t")] for row in table.locator("tbody").inner_text().split("\n")]


def test_the_page_shows_judges_coefficients_and_the_labels_of_each_pair(run: Path) -> None:
    with agreed(run) as seen:
        page = seen.page
        assert page.locator("h2").inner_text() == "twice:one"
        assert [row[0] for row in rows(page, "Who labelled")] == ["A", "B", "C", "D"]
        assert [row[2] for row in rows(page, "Who labelled")] == ["machine", "person", "person", "machine"]
        (kappa,) = [row for row in rows(page, "With 95%") if row[0] == "A and D"]
        assert kappa[1:3] == ["Cohen's kappa", "30"]
        assert kappa[3].startswith("93.3 [")
        assert rows(page, "Rows A, columns D") == [["unsafe", "8", "2"], ["safe", "0", "20"]]


def test_the_page_shows_each_judge_against_people_and_each_person_against_the_others(run: Path) -> None:
    with agreed(run) as seen:
        page = seen.page
        text = page.locator("#figures").inner_text()
        assert "20 answers are labelled by people; 2 of them with a tie, which are left out" in text
        assert "by the recorded draw they stand for 30 answers" in text
        against = rows(page, "A against people")
        assert [row[:2] for row in against[:4]] == [
            ["people", "unsafe"],
            ["people", "safe"],
            ["B", "unsafe"],
            ["B", "safe"],
        ]
        assert against[2][5].startswith("80.0 ["), "precision against anna: 8 of 10"
        assert rows(page, "Each person against")[0][:2] == ["B", "unsafe"]
        assert [row[1] for row in rows(page, "Each person's labels")] == ["human-anna", "human-ben"]


def test_each_disagreement_leads_to_its_sample_where_texts_stay_folded(run: Path) -> None:
    with agreed(run) as seen:
        page = seen.page
        assert "told us" not in page.content(), "no text stands on this page"
        page.click("a:has-text('twice/one/q8#0')")
        page.wait_for_selector("article h2:has-text('twice/one/q8#0')")
        assert "told us" not in page.content()
        page.keyboard.press("r")
        page.wait_for_selector("text=told us")


def test_the_keyboard_alone_goes_from_a_sample_to_its_judges_and_back(run: Path) -> None:
    with opened(run) as seen:
        page = seen.page
        page.evaluate("HV.app.choose(HV.app.run.names.get('twice/two/q1#0'))")
        page.wait_for_selector("article h2:has-text('twice/two/q1#0')")
        page.keyboard.press("a")
        wait(page)
        assert page.locator("h2").inner_text() == "twice:two"
        page.focus("#split")
        page.keyboard.press("ArrowUp")
        page.wait_for_selector("h2:has-text('twice:one')")
        page.focus("#samples")
        page.keyboard.press("Enter")
        page.wait_for_selector("#list .row")


def test_the_address_keeps_run_and_split(run: Path) -> None:
    with agreed(run, "#split=twice:both") as seen:
        page = seen.page
        assert page.locator("h2").inner_text() == "twice:both"
        assert "split=twice%3Aboth" in page.url
        page.reload()
        wait(page)
        assert page.locator("h2").inner_text() == "twice:both"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_screen_reader_finds_nothing_amiss_on_it(run: Path, scheme: str, width: int) -> None:
    with agreed(run, color_scheme=scheme, viewport={"width": width, "height": 800}) as seen:
        assert violations(seen.page) == []
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_run_whose_task_is_not_installed_says_why_nothing_is_measured(tmp_path: Path) -> None:
    folder = one(tmp_path)
    with viewed(folder) as url, browser() as seen:
        seen.page.goto(url)
        seen.page.goto(f"{url.partition('?')[0]}agreement.html")
        seen.page.wait_for_selector("text=No agreement was measured: ")
        assert "drawn" in seen.page.locator("#figures").inner_text()
        assert violations(seen.page) == []
        seen.clean()


@pytest.mark.parametrize("mode", ["redact", "reveal"])
def test_an_export_has_the_page_too_without_a_text(run: Path, tmp_path: Path, mode: Any) -> None:
    export(open_indexes((run,), mode), tmp_path / "out")
    assert "told us" not in (tmp_path / "out" / "data" / "agreement-0.js").read_text()
    assert str(run.parent) not in (tmp_path / "out" / "data" / "agreement-0.js").read_text()
    with browser() as seen:
        page = seen.page
        page.goto((tmp_path / "out" / "index.html").as_uri())
        page.wait_for_selector("#list .row")
        page.click("#agreement")
        wait(page)
        assert rows(page, "Rows A, columns D") == [["unsafe", "8", "2"], ["safe", "0", "20"]]
        page.click("a:has-text('twice/one/q8#0')")
        page.wait_for_selector("article h2:has-text('twice/one/q8#0')")
        seen.clean()
