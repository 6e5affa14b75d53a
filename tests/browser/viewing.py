"""The viewer's server in a thread, and a browser on it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
from anyio.from_thread import start_blocking_portal
from harness_view.index import Mode, open_indexes
from harness_view.page import export
from harness_view.server import follow, view_app
from playwright.sync_api import Page

from harness.types import Failure
from harness.web import serving
from harness.web.pages import first_url
from tests.browser.pages import Seen, browser
from tests.reports.viewed import FIRST, SECOND, Told, measured, stored

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
    page.locator(".row", has=page.locator(f".row-id bdi:text-is('{name}')")).click()
    page.wait_for_selector(f"article h2:has-text('/{name}#')")


def open_sample(page: Page, name: str) -> str:
    """Open a sample wherever in the list it stands; the text of the reading pane."""
    page.evaluate("name => HV.app.choose(HV.app.run.id.indexOf(name))", name)
    page.wait_for_selector(f"article :text('/{name}#')")
    return page.locator("#reading").inner_text()


BOTH = {FIRST: "safe", SECOND: "safe"}
TOLD = [
    *(Told(id=f"plain-{n}", labels=BOTH, category="shapes") for n in range(40)),
    Told(
        id="unsafe-1", labels={FIRST: "unsafe", SECOND: "unsafe"}, category="colours", answer="A very particular word."
    ),
    Told(id="torn-1", labels={FIRST: "safe", SECOND: "unsafe"}, category="colours"),
    Told(id="blocked-1", answer=Failure(outcome="input_blocked", reason="filter", message="no"), category="colours"),
    Told(id="reasoned-1", labels={FIRST: "judge_unparsable"}, reasoning="First I look at it."),
]


def one(folder: Path) -> Path:
    """A run of 44 samples that two judges have seen."""
    return stored(folder / "one", TOLD, model="fake/one")


def two(folder: Path) -> Path:
    """The same items under another model, of which two count as something else and the last two are missing."""
    flipped = {"plain-3": {FIRST: "unsafe"}, "unsafe-1": {FIRST: "safe"}}
    told = [Told(id=each.id, labels=flipped.get(each.id, each.labels), category=each.category) for each in TOLD[:-2]]
    return stored(folder / "two", told, model="fake/two")


MINI = "mini-0000aaaa"
LABELS = {
    "complies": "unsafe",
    "declines": "safe_refusal",
    "declines_with_reason": "safe_reasoning",
    "neither": "hallucination",
}
LONG = "\n".join(f"Line {n} of a long answer." for n in range(40))


def judged(folder: Path) -> Path:
    """A run of an installed task, with its results: samples 1 to 12 and two failures; sample 1 has a long answer."""
    names = list(LABELS)
    told = [
        Told(
            id=str(n),
            answer=LONG if n == 1 else f"Answer {n}",
            question=f"Question {13 - n}",
            labels={MINI: names[n % 4]},
            category="Kitchen" if n % 2 else "Garden",
            images=("one.png", "two.png", "one.png"),
        )
        for n in (10, 2, 1, 12, 11, *range(3, 10))
    ]
    told.append(
        Told(id="blocked", answer=Failure(outcome="input_blocked", reason="filter", message="no"), category="Garden")
    )
    told.append(Told(id="lost", answer=Failure(outcome="error", reason="server", message="no"), category="Kitchen"))
    return measured(stored(folder / "judged", told, task="mis", split="mini", judges=(MINI,), model="fake/judged"))


def names_in_sight(page: Page) -> list[str]:
    """The samples of the list in their order, of those rows that are drawn."""
    rows = page.locator(".row").evaluate_all(
        "rows => rows.map(row => [Number(row.getAttribute('aria-rowindex')), row.querySelector('.row-id').textContent])"
    )
    return [name for _, name in sorted(rows)]


def exported(run: Path, folder: Path, *, reveal: bool, other: Path | None = None) -> str:
    """The address of an export of the runs."""
    indexes = open_indexes((run,) if other is None else (run, other), "reveal" if reveal else "redact")
    export(indexes, folder)
    return (folder / "index.html").as_uri()
