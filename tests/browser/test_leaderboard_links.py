"""From a number of the leaderboard to the samples behind it, served and exported together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from harness_html import harness_reports, render
from harness_view.index import open_indexes
from harness_view.page import export
from playwright.sync_api import Locator, Page

from harness import plugins, rate
from harness.board.results import read_results
from harness.contracts import Task
from harness.plugins.host import Host
from harness.testing.fakes import fake_judge, fake_sample, fake_task, host_of
from harness.types import Failure, Response, Sample
from tests.browser.pages import INJECTIONS, Seen, browser, violations
from tests.browser.viewing import opened, viewed
from tests.core.carried import Server, go

N, UNSAFE, BLOCKED, LOST = 40, 12, 3, 2
#: what a sample of the fake task is to the server: its number decides
ODD, EVEN = "odd", "a <b>group</b> & more"


def task(name: str = "fake") -> Task:
    def samples() -> Iterator[Sample]:
        for n in range(N):
            yield fake_sample(f"q{n}", text=f"question {n}", category=ODD if n % 2 else EVEN)

    metrics = (rate("ASR", "unsafe", better="lower", main=True), rate("safe rate", "safe", better="higher"))
    return fake_task(samples, name=name, metrics=metrics, by=("category",))


def script(text: str, unsafe: int) -> str | Response | Failure:
    number = int(text.split()[-1])
    if number < unsafe:
        return "yes"
    if number >= N - LOST:
        return Failure(outcome="error", reason="server", message="gone")
    return Failure(outcome="input_blocked", reason="filter", message="no") if number >= N - LOST - BLOCKED else "no"


def host() -> Host:
    return host_of(Server().provider, task(), task("other"), fake_judge(), *harness_reports())


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """One run alone, and two that differ in a seed."""
    root = tmp_path_factory.mktemp("runs")
    made: list[Path] = []
    for name, unsafe, fields in (
        ("alone & <i>odd", UNSAFE, {"system": "Be careful."}),
        ("first", 20, {"generation": {"seed": 1}}),
        ("second", 24, {"generation": {"seed": 2}}),
    ):
        server = Server(script=lambda text, unsafe=unsafe: script(text, unsafe))
        given: dict[str, Any] = fields
        go(server, root / name, task("other"), task=task(), tasks=("fake", "other"), min_coverage=0.5, **given)
        made.append(root / name)
    return tuple(made)


@pytest.fixture(scope="module")
def site(runs: tuple[Path, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs, exported."""
    folder = tmp_path_factory.mktemp("export") / "site"
    with plugins.use(host()):
        indexes = open_indexes(runs, "redact")
        export(indexes, folder)
        for index in indexes:
            index.close()
    return folder


@pytest.fixture
def board(site: Path) -> Iterator[Seen]:
    with browser(viewport={"width": 1440, "height": 900}) as seen:
        seen.page.goto((site / "leaderboard.html").as_uri())
        yield seen
        seen.clean()


def row(page: Page, name: str) -> Locator:
    return page.locator("#board-1-table tbody tr:not(.member)", has_text=name)


def listed(page: Page) -> int:
    """How many samples the viewer lists."""
    page.wait_for_function(
        "() => /^\\d+ of \\d+ samples$|^\\d+ samples$/.test(document.getElementById('count')?.textContent)"
    )
    page.wait_for_function("() => /^\\d/.test(document.querySelector('#behind [aria-pressed=true]')?.textContent)")
    return int(page.locator("#count").inner_text().split()[0])


def labels(page: Page) -> set[str]:
    """The labels of the listed samples."""
    return set(page.evaluate("HV.app.list.rows.map((n) => HV.app.run.word('label', n))"))


def follow(seen: Seen, link: Locator) -> int:
    link.click()
    return listed(seen.page)


def test_a_number_opens_the_samples_that_hit_and_its_interval_those_that_it_divides_by(board: Seen) -> None:
    row_of = row(board.page, "system prompt")
    cell = row_of.locator("td.number").first
    assert cell.get_attribute("title") == f"{UNSAFE} of {N - LOST}, {LOST} unresolved"
    assert follow(board, cell.locator(".value a")) == UNSAFE
    assert labels(board.page) == {"unsafe"}
    assert board.page.evaluate("HV.app.run.about.name") == "alone & <i>odd"
    board.page.go_back()
    assert follow(board, row(board.page, "system prompt").locator("td.number .interval a").first) == N - LOST
    assert "unresolved" not in labels(board.page)


def test_every_number_of_a_table_is_a_link_and_each_lists_as_many_samples_as_it_says(board: Seen) -> None:
    page = board.page
    numbers = row(page, "system prompt").locator("td.number")
    assert numbers.locator(".value a").count() == numbers.count() == 2
    links = page.locator("td.number[title] > .value a.to").evaluate_all(
        "every => every.map((a) => [a.href, a.closest('td').title.match(/\\d+/g).slice(0, 2).map(Number)])"
    )
    links = [link for link in links if "index.html" in link[0]]
    assert len(links) == 6, "two metrics of two tasks, and the main ones again in the overview"
    for href, (hits, of) in links:
        page.goto("about:blank")
        page.goto(href)
        assert listed(page) == hits
        page.locator("#behind button", has_text="divided by").click()
        assert listed(page) == of
        page.locator("#behind button", has_text="open").click()
        assert listed(page) == LOST


def test_a_cell_of_a_breakdown_opens_the_samples_of_its_group(board: Seen) -> None:
    page = board.page
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    table = page.locator("table[data-by=category]").first
    column = table.locator("thead th[data-group]").evaluate_all(
        "(every, name) => every.findIndex((th) => th.dataset.group === name)", EVEN
    )
    line = table.locator("tbody tr", has_text="system prompt")
    assert follow(board, line.locator("td").nth(column + 1).locator("a")) == UNSAFE // 2
    assert EVEN in page.locator("#behind").inner_text()
    assert page.evaluate("[...new Set(HV.app.list.rows.map((n) => HV.app.run.word('category', n)))]") == [EVEN]


def test_counts_of_samples_are_links_too(board: Seen) -> None:
    page = board.page
    for fact, count in (("Coverage", N - LOST), ("Blocked", BLOCKED)):
        links = page.locator(f"#board-1-table a.to[title^={fact}]")
        href = links.first.evaluate("a => a.href") if links.count() else None
        if href is None:  # the same in all rows, so it is said once above the table
            assert fact in page.locator("section[data-split] .shared").first.inner_text()
            continue
        page.goto(href)
        assert listed(page) == count
        page.go_back()


def test_a_mean_over_seeds_leads_to_its_runs_and_each_of_these_to_its_samples(board: Seen) -> None:
    page = board.page
    mean = page.locator("#overview tbody tr", has_text="seen/x").filter(has_not_text="system prompt")
    mean.locator("td.number a.to").first.click()
    members = page.locator("#board-1-table tr.member")
    for place in range(2):
        members.nth(place).wait_for()
    assert follow(board, members.nth(1).locator("td.number a").first) == 24
    assert page.evaluate("HV.app.run.about.name") == "second"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_linked_numbers_work_by_keyboard_and_axe_has_nothing_to_say(site: Path, scheme: str) -> None:
    with browser(color_scheme=scheme) as seen:
        seen.page.goto((site / "leaderboard.html").as_uri())
        assert violations(seen.page) == []
        seen.complaints.clear()
        seen.page.locator("section[data-split] .value a.to").first.focus()
        seen.page.keyboard.press("Enter")
        listed(seen.page)
        seen.clean()
        assert violations(seen.page) == []  # axe itself complains of the export's content policy


def test_print_shows_numbers_as_a_page_without_a_viewer_does(board: Seen) -> None:
    board.page.emulate_media(media="print")
    assert board.page.locator("a.to").first.evaluate("a => getComputedStyle(a).textDecorationLine") == "none"


def test_the_page_of_harness_report_alone_links_to_no_samples(runs: tuple[Path, ...]) -> None:
    with plugins.use(host()):
        page = render([read_results(run / "results.json") for run in runs])
    assert "index.html" not in page
    assert "data-viewer" not in page.partition("<script>")[0]


def test_the_served_viewer_leads_to_the_leaderboard_and_back_to_the_samples(runs: tuple[Path, ...]) -> None:
    with plugins.use(host()), opened(*runs) as seen:
        seen.page.click("text=Leaderboard")
        seen.page.wait_for_selector("section[data-split]")
        assert follow(seen, row(seen.page, "system prompt").locator("td.number .value a").first) == UNSAFE


def test_without_a_report_that_links_its_numbers_there_is_no_leaderboard(
    runs: tuple[Path, ...], tmp_path: Path
) -> None:
    with plugins.use(host_of(Server().provider, task(), fake_judge())):
        with opened(*runs) as seen:
            assert seen.page.locator("text=Leaderboard").count() == 0
        indexes = open_indexes(runs, "redact")
        export(indexes, tmp_path / "site")
        for index in indexes:
            index.close()
    assert not (tmp_path / "site" / "leaderboard.html").exists()
    assert "leaderboard" not in (tmp_path / "site" / "index.html").read_text()


def test_a_run_without_results_has_a_page_that_says_so(runs: tuple[Path, ...], tmp_path: Path) -> None:
    import shutil

    bare = tmp_path / "bare"
    shutil.copytree(runs[0], bare)
    (bare / "results.json").unlink()
    with plugins.use(host()), viewed(bare) as url, browser() as seen:
        seen.page.goto(url)
        seen.page.goto(url.partition("/?")[0] + "/leaderboard.html")
        assert "no run here has results yet" in seen.page.inner_text("main")


def test_nothing_that_an_address_holds_acts_in_the_viewer(runs: tuple[Path, ...]) -> None:
    with plugins.use(host()), opened(runs[0]) as seen:
        for planted in INJECTIONS:
            state = {"split": planted, "metric": planted, "counts": "hit", "by": planted, "group": planted}
            seen.page.evaluate("state => { location.hash = state; }", urlencode(state))
            seen.page.wait_for_function(
                "said => document.querySelector('#behind .warn') && HV.app.filters.state.metric === said", arg=planted
            )
            assert re.match("0 of ", seen.page.locator("#count").inner_text())


@pytest.mark.parametrize("name", ["constructor", "__proto__", "toString"])
def test_a_name_that_every_object_has_lists_nothing_and_breaks_nothing(runs: tuple[Path, ...], name: str) -> None:
    with plugins.use(host()), opened(runs[0]) as seen:
        for state in (
            {"split": "fake:all", "metric": "ASR", "counts": name},
            {"split": "fake:all", "metric": name, "counts": "hit"},
            {"split": "fake:all", "metric": "ASR", "counts": "hit", "by": name, "group": "x"},
        ):
            seen.page.evaluate("state => { location.hash = state; }", urlencode(state))
            known = state["counts"] == "hit"
            seen.page.wait_for_function("(known) => document.getElementById('behind')?.hidden === !known", arg=known)
            if known:
                seen.page.wait_for_function("() => document.querySelector('#behind .warn')")
                assert re.match("0 of ", seen.page.locator("#count").inner_text())
        seen.clean()
