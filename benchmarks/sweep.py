"""`python -m benchmarks.sweep [--units 200] [--jobs 1]`: what a sweep costs beside the work of its runs.

The work of a run is what its run.json counts. What is left of the wall time, times the jobs, is the sweep's: starting
processes, loading plugins, claims, records, the closing table and the page.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import harness


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        models = [{"model": "mini/base", "name": f"unit-{number}"} for number in range(given.units)]
        file = {"models": models, "tasks": ["mis:mini"], "limit": 2, "jobs": given.jobs, "gpus": 0}
        begun = time.perf_counter()
        made = harness.sweep(file, output=place)
        wall = time.perf_counter() - begun
        runs = [json.loads((Path(row.unit.folder) / "run.json").read_text("utf-8")) for row in made.rows]
        work = sum(each["seconds"] for run in runs for each in run["history"])
        begun = time.perf_counter()
        again = harness.sweep(file, output=place)
        skipped = time.perf_counter() - begun
    beside = (wall * given.jobs - work) / given.units
    print(f"{given.units} units, {given.jobs} at once: {wall:.1f} s, of which the runs' own work {work:.1f} s")
    print(f"beside its work {beside:.3f} s a run; the same sweep again, all done: {skipped:.1f} s")
    print(f"counts: {made.counts}, then {again.counts}")


if __name__ == "__main__":
    main()
