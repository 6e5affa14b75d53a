"""`make pictures`: pictures of real pages. The README's are made from the mini world; those of twelve models, whose
names and numbers are invented, show what a page of many runs looks like."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.reports.many_runs import twelve

HERE = Path(__file__).with_name("pictures")
MODELS = ("mini/base", "mini/mirage")
TASKS = "mis:mini,mis:mini-benign,mssbench:mini"
SIZE = {"width": 1180, "height": 820}
WIDE = {"width": 1440, "height": 1500}
#: models that nobody has, since their numbers are invented too
INVENTED = (
    *("atlas/atlas-5-2026-01-20", "atlas/atlas-5-mini-2026-01-20", "beacon/beacon-pro-3"),
    *("hf/lab-c/Compass-VL-7B-Instruct", "hf/lab-c/Compass-VL-72B-Instruct", "hf/lab-d/Delta2_5-8B"),
    *("hf/lab-d/Delta2_5-8B-MIRage", "vllm/lab-e/ember-onevision-7b", "hf/lab-f/Fjord-3.5-vision"),
    *("hf/lab-g/grove-vl2-small", "router/lab-h/harbour-90b-vision", "hf/lab-i/Isle-12B-2026"),
)


def harness(*arguments: str) -> None:
    """A command of ours; whatever it says goes to stderr."""
    subprocess.run([sys.executable, "-m", "harness", *arguments], check=True, stdout=sys.stderr)  # noqa: S603 - our own command


@contextmanager
def serve(*arguments: str) -> Generator[str]:
    """A page of ours that is served while the picture is taken: its address, the first line of stdout."""
    command = [sys.executable, "-m", "harness", *arguments, "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=sys.stderr, text=True) as served:  # noqa: S603 - our own command
        assert served.stdout is not None
        try:
            yield served.stdout.readline().strip()
        finally:
            served.send_signal(signal.SIGINT)


def main() -> None:
    """Run the models, make the pages, take the pictures."""
    HERE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        runs = [str(Path(scratch) / model.replace("/", "-")) for model in MODELS]
        for model, run in zip(MODELS, runs, strict=True):
            harness("run", "--model", model, "--tasks", TASKS, "--output", run)
        board, view = Path(scratch) / "leaderboard.html", Path(scratch) / "view"
        harness("report", *runs, "--output", str(board))
        harness("view", *runs, "--export", str(view), "--reveal")
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            for scheme in ("light", "dark"):
                page = chromium.new_page(viewport=SIZE, color_scheme=scheme, device_scale_factor=1.5)
                _take(page, board.as_uri(), HERE / f"leaderboard-{scheme}.png")
                _take(page, (view / "index.html").as_uri(), HERE / f"view-{scheme}.png")
            _take_label(chromium.new_page(viewport=SIZE, color_scheme="light", device_scale_factor=1.5), runs[1])
            _take_twelve(chromium.new_page(viewport=WIDE, color_scheme="light"), Path(scratch))
            chromium.close()


def _take_label(page: Page, run: str) -> None:
    """The page on which a person labels answers."""
    with serve("label", run, "--task", "mis:mini", "--as", "you", "--n", "30") as address:
        page.goto(address)
        page.wait_for_selector("#begin .main:focus")
        page.keyboard.press("Enter")
        page.wait_for_selector("#work:visible")
        page.keyboard.press("b")  # shows the images, which are benign drawings
        page.screenshot(path=HERE / "label-light.png")


def _take_twelve(page: Page, scratch: Path) -> None:
    """The page of twelve models on eleven splits, and their paper table."""
    for place, body in enumerate(twelve(INVENTED)):
        (scratch / f"twelve-{place:02}").mkdir()
        (scratch / f"twelve-{place:02}" / "results.json").write_text(json.dumps(body), encoding="utf-8")
    board, matrix = scratch / "twelve.html", scratch / "matrix.html"
    harness("report", f"{scratch}/twelve-*", "--output", str(board))
    harness("report", f"{scratch}/twelve-*", "--matrix", "--output", str(matrix))
    _take(page, board.as_uri(), HERE / "leaderboard-12.png")
    page.goto(matrix.as_uri())
    height: float = page.evaluate("document.body.getBoundingClientRect().bottom")
    page.set_viewport_size({"width": WIDE["width"], "height": round(height)})
    _take(page, matrix.as_uri(), HERE / "matrix-12.png")


def _take(page: Page, address: str, out: Path) -> None:
    page.goto(address)
    page.wait_for_load_state("networkidle")
    page.screenshot(path=out)


if __name__ == "__main__":
    main()
