"""`make pictures`: the README's pictures, taken of real pages made from the mini world."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

HERE = Path(__file__).with_name("pictures")
MODELS = ("mini/base", "mini/mirage")
TASKS = "mis:mini,mis:mini-benign,mssbench:mini"
SIZE = {"width": 1180, "height": 820}


def harness(*arguments: str) -> None:
    """A command of ours; whatever it says goes to stderr."""
    subprocess.run([sys.executable, "-m", "harness", *arguments], check=True, stdout=sys.stderr)  # noqa: S603 - our own command


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
            chromium.close()


def _take(page: Page, address: str, out: Path) -> None:
    page.goto(address)
    page.wait_for_load_state("networkidle")
    page.screenshot(path=out)


if __name__ == "__main__":
    main()
