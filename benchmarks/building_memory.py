"""How a build's memory grows with its elements: `python -m benchmarks.building_memory [FEW MANY]`.

The build of `benchmarks.building` with servers that answer after 10 ms: resident memory once so many elements have been
asked for. Target: at most 50 MB more at the last than at the first.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

from benchmarks.building import config, servers

FEW, MANY, LATENCY = 500, 4000, 0.01


def peak(path: Path, out: Path) -> float:
    """Most MB that a build had, start-up included; it ends whole."""
    command = [sys.executable, "-m", "harness", "build", "mis", "--config", str(path), "--out", str(out)]
    most = 0.0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                most = max(most, watched.memory_info().rss / 1e6)
                process.wait(0.05)
            except (psutil.NoSuchProcess, subprocess.TimeoutExpired):
                continue
    assert process.returncode == 0, "the build did not end whole"
    return most


def main() -> None:
    few, many = (int(each) for each in sys.argv[1:3]) if len(sys.argv) > 2 else (FEW, MANY)
    with tempfile.TemporaryDirectory() as scratch, servers(LATENCY) as urls:
        seen: list[float] = []
        for elements in (few, many):
            folder = Path(scratch) / str(elements)
            folder.mkdir()
            seen.append(peak(config(folder, urls, elements), folder / "set"))
            print(f"  {elements:>6,} elements: at most {seen[-1]:6.1f} MB", flush=True)
    more = seen[1] - seen[0]
    print(f"  {more:+.1f} MB for {many - few:,} elements more (target: 50): {'ok' if more <= 50 else 'missed'}")


if __name__ == "__main__":
    main()
