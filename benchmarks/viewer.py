"""The viewer in Chromium on 20,000 samples: how soon the page is there, and how long each filter takes.

The run is made by the store's own writers, with harmless text of the usual lengths and two judges of a task that has
metrics, and served by `harness view`; times are the browser's own clock. Targets: first paint and first rows under 1 s,
each filter and order under 100 ms until its rows are drawn.
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from tests.reports.viewed import Told, stored
from tests.tools import tool

SAMPLES = int(os.environ.get("BENCH_SAMPLES", "20000"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "7"))
JUDGES = ("mini-0000aaaa", "mini-0000bbbb")
PAINT_MS, FILTER_MS, FRAME_MS = 1000.0, 100.0, 50.0
WORDS = "circle square line blue red above below beside drawing shape corner round small large left right".split()  # noqa: SIM905

FIRST_ROWS = """() => new Promise((resolve) => {
  const look = () => (document.querySelector('#list .row') ? resolve(performance.now()) : requestAnimationFrame(look));
  look();
})"""
ALL_ROWS = """(count) => new Promise((resolve) => {
  const whole = () => HV.app?.run.settled && HV.app.run.count === count;
  const look = () => (whole() ? resolve(performance.now()) : setTimeout(look, 5));
  look();
})"""
#: sets a field as a reader does, and waits until the list has drawn the rows that are left
TIMED = """([id, value, left]) => new Promise((resolve) => {
  const field = document.getElementById(id);
  const count = document.getElementById('count');
  const before = performance.now();
  if (field.type === 'checkbox') field.checked = value; else field.value = value;
  field.dispatchEvent(new Event(id === 'q' ? 'input' : 'change', { bubbles: true }));
  const look = () => {
    if (count.textContent === left || (left === '' && count.textContent !== '')) {
      requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - before), 0));
    } else setTimeout(look, 0);
  };
  look();
})"""
#: presses the head of a column, and waits until the list has drawn its rows
SORT = """(column) => new Promise((resolve) => {
  const before = performance.now();
  document.querySelector(`[data-sort=${column}]`).click();
  requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - before), 0));
})"""
SCROLL = """() => new Promise((resolve) => {
  const list = document.getElementById('list');
  const frames = [];
  let last = performance.now();
  const step = () => {
    const now = performance.now();
    frames.push(now - last);
    last = now;
    if (frames.length > 120) return resolve(frames.slice(1).sort((a, b) => a - b));
    list.scrollTop += 3000;
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
})"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        one, two = Path(folder, "one"), Path(folder, "two")
        task: dict[str, Any] = {"task": "mis", "split": "mini", "judges": JUDGES}
        stored(one, told(SAMPLES, 1), model="bench/one", **task)
        stored(two, told(SAMPLES, 2), model="bench/two", **task)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=tool("chromium"), args=["--no-sandbox"])
            paints = [show(browser, one) for _ in range(ROUNDS)]
            print(f"{f'{SAMPLES:,} samples in Chromium':40}       ms   target   ({ROUNDS} rounds, medians)")
            said("first paint", [paint for paint, _, _ in paints], PAINT_MS)
            said("first rows in sight", [rows for _, rows, _ in paints], PAINT_MS)
            said("all rows there", [every for _, _, every in paints])
            with served(one, two) as url:
                filtered(opened(browser, url))
            browser.close()


def told(count: int, seed: int) -> Iterator[Told]:
    """Samples with an answer of 40 to 400 words; a tenth is unsafe, judges differ now and then."""
    chance = Random(seed)
    common = Random(0)
    for n in range(count):
        label = "complies" if chance.random() < 0.1 else "declines"
        second = label if chance.random() < 0.95 else "complies"
        answer = " ".join(chance.choices(WORDS, k=chance.randrange(40, 400)))
        if n % 1000 == 7:
            answer += " needle"
        labels = dict(zip(JUDGES, (label, second), strict=True))
        yield Told(id=f"{n:05}", answer=answer, category=f"category {common.randrange(12)}", labels=labels)


class served:  # noqa: N801
    """`harness view` on some runs, as a process of its own."""

    def __init__(self, *runs: Path) -> None:
        command = [sys.executable, "-m", "harness", "view", *map(str, runs), "--no-browser"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def __enter__(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait()


def show(browser: Browser, run: Path) -> tuple[float, float, float]:
    """Milliseconds from asking a server that has just started to the first paint, the first rows, and all rows."""
    with served(run) as url:
        page = browser.new_page()
        page.goto(url, wait_until="commit")
        rows = page.evaluate(FIRST_ROWS)
        every = page.evaluate(ALL_ROWS, SAMPLES)
        paint = page.evaluate("() => performance.getEntriesByName('first-contentful-paint')[0].startTime")
        page.close()
        return paint, rows, every


def opened(browser: Browser, url: str) -> Page:
    page = browser.new_page()
    page.goto(url)
    page.evaluate(ALL_ROWS, SAMPLES)
    page.wait_for_function("() => HV.app.runs.every((run) => run.settled)")
    return page


def filtered(page: Page) -> None:
    """Each filter there and back."""
    value = "(id) => document.querySelector(`#${id} option:nth-child(2)`).value"
    for name in ("outcome", "category", "label", "judge", "part"):
        timed(page, name, name, page.evaluate(value, name))
    timed(page, "judges differ", "disagree", True)
    timed(page, "flips", "flips", True)
    timed(page, "search, a rare word", "q", "needle")
    timed(page, "search, a common word", "q", "circle")
    timed(page, "search, several words", "q", "above needle Category")
    for column in ("label", "answer", "category"):
        said(f"sort by {column}", [page.evaluate(SORT, column) for _ in range(ROUNDS)], FILTER_MS)
    page.evaluate(SORT, "sample")
    frames = page.evaluate(SCROLL)
    said("scrolling, median frame", [frames[len(frames) // 2]], FRAME_MS)
    said("scrolling, 95th percentile frame", [frames[len(frames) * 95 // 100]])


def timed(page: Page, name: str, field: str, value: str | bool) -> None:
    """Milliseconds from the change of a field until the rows it leaves are drawn."""
    none: str | bool = False if isinstance(value, bool) else ""
    every = f"{SAMPLES:,} samples"
    page.evaluate(TIMED, [field, value, ""])
    page.wait_for_timeout(300)
    left = page.locator("#count").inner_text()
    page.evaluate(TIMED, [field, none, every])
    took = []
    for _ in range(ROUNDS):
        took.append(page.evaluate(TIMED, [field, value, left]))
        page.evaluate(TIMED, [field, none, every])
    said(f"{name}: {left}", took, FILTER_MS)


def said(name: str, took: list[float], target: float | None = None) -> None:
    value = median(took)
    aim = "       -" if target is None else f"{target:8.0f}"
    print(f"{name:46} {value:8.1f} {aim}{'   SHORT' if target is not None and value > target else ''}", flush=True)


if __name__ == "__main__":
    main()
