"""The leaderboard page over 50 runs of 5,000 samples: seconds and memory, against json alone on the same files, and
how soon Chromium has it complete and filtered.

Target: under 3 s and under 300 MB, from results.json to the written file, figures included; in Chromium complete in 1 s
and each filter in 100 ms until what it leaves is drawn, figures folded as the page opens. `BENCH_PAGE=FILE` times one.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from playwright.sync_api import sync_playwright

from harness.testing.results import Body, judged, results, split
from tests.tools import tool

RUNS, SAMPLES, CATEGORIES = 50, 5000, 12
TASKS = ("mis", "figstep", "mossbench", "mmmu", "mmstar", "vlsbench", "siuo", "jailbreakv", "xstest", "qbench")


ROUNDS = int(os.environ.get("BENCH_ROUNDS", "7"))
COMPLETE_MS, FILTER_MS = 1000.0, 100.0
#: sets a field as a reader does, and waits until the page is drawn
TIMED = """([id, value]) => new Promise((resolve) => {
  const field = document.getElementById(id);
  const before = performance.now();
  if (field.type === "checkbox") field.checked = value; else field.value = value;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - before), 0));
})"""
FILTERS = (("find", "model-07"), ("find", ""), ("task", "mmmu"), ("task", ""), ("kind", "API"), ("kind", ""))


def finding(place: int, task: str) -> Body:
    unsafe = (place * 97 + len(task) * 31) % SAMPLES
    better = "higher" if task in ("mmmu", "mmstar", "qbench") else "lower"
    name = {"mossbench": "refusal_rate", "xstest": "refusal_rate"}.get(task, "ASR" if better == "lower" else "accuracy")
    body = judged({name: unsafe, "other": SAMPLES - unsafe}, main=name, better=better)
    part = judged({name: unsafe // CATEGORIES, "other": (SAMPLES - unsafe) // CATEGORIES}, main=name, better=better)
    groups = {
        f"category {number}": {"n": SAMPLES // CATEGORIES, "metrics": part["metrics"]} for number in range(CATEGORIES)
    }
    return {**body, "by": {"category": groups}}


def write(folder: Path) -> int:
    size = 0
    for place in range(RUNS):
        tasks = {task: {"all": split(finding(place, task), judge=f"{task}-openai-judge-1f3a9c2e")} for task in TASKS}
        text = json.dumps(results(f"hf/model-{place:02}", tasks), indent=1)
        (folder / f"run-{place:02}").mkdir()
        (folder / f"run-{place:02}" / "results.json").write_text(text, encoding="utf-8")
        size += len(text)
    return size


def child(code: str, *arguments: str) -> tuple[float, float]:
    """Seconds and peak memory in MB of a Python process."""
    begun = time.perf_counter()
    ending = "; import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    done = subprocess.run([sys.executable, "-c", code + ending, *arguments], check=True, capture_output=True, text=True)
    return time.perf_counter() - begun, float(done.stdout.split()[-1])


def browse(page: Path) -> None:
    """Print how soon Chromium has the page complete, and each filter, with figures folded and unfolded; medians."""
    complete: list[float] = []
    filters: dict[str, list[float]] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=tool("chromium"), args=["--no-sandbox"])
        for _ in range(ROUNDS):
            shown = browser.new_page(viewport={"width": 1440, "height": 900})
            shown.goto(page.as_uri(), wait_until="load")
            complete.append(shown.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd"))
            for state in ("folded", "unfolded"):
                if state == "unfolded":
                    shown.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
                shown.wait_for_timeout(300)
                for name, value in FILTERS:
                    told = f"figures {state}, {name} {value or 'cleared'}"
                    filters.setdefault(told, []).append(shown.evaluate(TIMED, [name, value]))
            shown.close()
        browser.close()
    print(f"Chromium, medians of {ROUNDS}: complete {median(complete):.0f} ms (target {COMPLETE_MS:.0f})")
    for told, times in filters.items():
        print(f"{told}: {median(times):.0f} ms (target {FILTER_MS:.0f})")


def main() -> None:
    if alone := os.environ.get("BENCH_PAGE"):
        browse(Path(alone))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        size = write(folder)
        out = folder / "leaderboard.html"
        paths = "pathlib.Path(sys.argv[1]).glob('*/results.json')"
        json_alone, _ = child(f"import json, sys, pathlib; [json.loads(path.read_text()) for path in {paths}]", scratch)
        command = "import sys; from harness.cli import cli; cli.main(sys.argv[1:], standalone_mode=False)"
        seconds, memory = child(command, "report", f"{scratch}/run-*", "--output", str(out))
        page = out.stat().st_size
        browse(out)
    print(f"{RUNS} runs x {len(TASKS)} tasks x {SAMPLES} samples, {size / 1e6:.1f} MB of results.json")
    print(f"report --output leaderboard.html: {seconds:.2f} s (target 3), {memory:.0f} MB at most (target 300)")
    print(f"page: {page / 1e6:.2f} MB (target 2)")
    print(f"reading the same files with json alone: {json_alone:.2f} s; ratio {seconds / json_alone:.1f}")


if __name__ == "__main__":
    main()
