"""100,000 samples through a model that answers at once: resident memory, and how long opening the run again takes.

Target: at most 50 MB more at sample 100,000 than at sample 1,000; opening to resume under 5 s. The reference is the
same number of lines read and parsed by json alone.
"""

import json
import os
import tempfile
import time
from functools import partial
from pathlib import Path

import anyio
import psutil

from harness.evaluation.options import Options
from harness.models import ModelSpec
from harness.plugins import Host, use
from harness.progress import Progress, SilentProgress
from harness.runs.run import Run, run_async
from harness.store import RunFolder

N = int(os.environ.get("BENCH_SAMPLES", "100000"))
PLUGIN = Path(__file__).with_name("synthetic.py")


class Watching(SilentProgress):
    """Resident memory in MB at some numbers of judged samples."""

    def __init__(self) -> None:
        self.seen: dict[int, float] = {}
        self.count = 0
        self._process = psutil.Process()

    def judged(self, *_: object, **__: object) -> None:
        self.count += 1
        if self.count in {1000, N // 2, N}:
            self.seen[self.count] = self._process.memory_info().rss / 1e6


def run(options: Options, progress: Progress | None = None) -> Run:
    return anyio.run(partial(run_async, options, progress=progress))


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch, use(Host.load([PLUGIN])):
        options = Options(
            model=ModelSpec(ref="bench/instant"),
            tasks=("synthetic",),
            task_settings={"synthetic.n": N},
            output=Path(scratch) / "run",
            probe=False,
        )
        watching = Watching()
        begun = time.perf_counter()
        run(options, progress=watching)
        first = time.perf_counter() - begun
        for count, megabytes in watching.seen.items():
            print(f"resident memory at sample {count:>7}: {megabytes:7.1f} MB")
        print(f"growth from sample 1000 to {N}: {watching.seen[N] - watching.seen[1000]:.1f} MB (target: 50)")
        _resume(options, first)


def _resume(options: Options, first: float) -> None:
    assert options.output is not None
    task = RunFolder(options.output).task("synthetic")
    path = task.path / "responses.jsonl"
    begun = time.perf_counter()
    with path.open("rb") as file:
        parsed = sum(1 for line in file if json.loads(line))
    reference = time.perf_counter() - begun
    begun = time.perf_counter()
    task.responses(write=True).close()
    opening = time.perf_counter() - begun
    begun = time.perf_counter()
    run(options)
    again = time.perf_counter() - begun
    size = path.stat().st_size / 1e6
    print(f"opening {size:.0f} MB, {parsed} answers: {opening:.2f} s = {opening / reference:.2f} of parsing them all")
    print(f"first run {first:.1f} s, {N / first:.0f} samples a second; run again with nothing to ask {again:.1f} s")


if __name__ == "__main__":
    main()
