"""The leaderboard page over 50 runs of 5,000 samples: seconds and memory, against json alone on the same files.

Target: under 3 s and under 300 MB, from results.json to the written file, figures included.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness.testing.results import Body, judged, results, split

RUNS, SAMPLES, CATEGORIES = 50, 5000, 12
TASKS = ("mis", "figstep", "mossbench", "mmmu", "mmstar", "vlsbench", "siuo", "jailbreakv", "xstest", "qbench")


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


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        size = write(folder)
        out = folder / "leaderboard.html"
        paths = "pathlib.Path(sys.argv[1]).glob('*/results.json')"
        alone, _ = child(f"import json, sys, pathlib; [json.loads(path.read_text()) for path in {paths}]", scratch)
        command = "import sys; from harness.cli import cli; cli.main(sys.argv[1:], standalone_mode=False)"
        seconds, memory = child(command, "report", f"{scratch}/run-*", "--output", str(out))
        page = out.stat().st_size
    print(f"{RUNS} runs x {len(TASKS)} tasks x {SAMPLES} samples, {size / 1e6:.1f} MB of results.json")
    print(f"report --output leaderboard.html: {seconds:.2f} s (target 3), {memory:.0f} MB at most (target 300)")
    print(f"page: {page / 1e6:.2f} MB (target 2)")
    print(f"reading the same files with json alone: {alone:.2f} s; ratio {seconds / alone:.1f}")


if __name__ == "__main__":
    main()
