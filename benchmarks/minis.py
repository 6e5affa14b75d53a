"""All mini splits of all tasks with the mini model, by one command, on two cores.

Target: under 5 minutes, from the start of the command to its last number.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness.plugins import Host
from harness.settings import effective

CORES = 2
MOST = 300.0  #: seconds


def main() -> None:
    names = minis()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:CORES]))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [sys.executable, "-m", "harness", "run", "--model", "mini/base", "--tasks", ",".join(names)]
        started = time.monotonic()
        done = subprocess.run([*command, "--output", str(out)], check=False, capture_output=True, text=True, cwd=folder)
        took = time.monotonic() - started
        if done.returncode:
            sys.exit(f"exit {done.returncode}\n{done.stderr}")
        show(json.loads((out / "results.json").read_text("utf-8")), took)


def minis() -> list[str]:
    """`TASK:SPLIT` of every packaged split."""
    found: list[str] = []
    for task, _ in Host.load(tell=lambda _: None).offers("tasks"):
        settings = effective(task.settings, {}, owner=task.name)
        splits = task.splits(settings, Path(task.name)) if callable(task.splits) else task.splits
        found += [f"{task.name}:{name}" for name, split in splits.items() if split.data is not None]
    return found


def show(results: dict[str, dict[str, dict[str, dict[str, dict[str, object]]]]], took: float) -> None:
    splits = {
        f"{task}:{name}": split for task, about in results["tasks"].items() for name, split in about["splits"].items()
    }
    for title, split in splits.items():
        print(f"{title:34} {split['records']:>4} records  {'complete' if split['complete'] else 'INCOMPLETE'}")
    verdict = "" if took < MOST else "   SHORT"
    print(f"{len(splits)} splits on {CORES} cores: {took:.0f} s, target {MOST:.0f} s{verdict}")


if __name__ == "__main__":
    main()
