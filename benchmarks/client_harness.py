"""The harness as a client of the throughput benchmark: `python -m benchmarks.client_harness ROOT URL IN_FLIGHT`.

Prints the wall time from the first sample taken to the last verdict written, the start-up before it, CPU and memory.
"""

import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import anyio

from benchmarks.clients import report
from harness.evaluation.options import Options
from harness.limits import Policy
from harness.models import ModelSpec
from harness.plugins import Host, use
from harness.progress import SilentProgress
from harness.runs.run import run_async


class Timed(SilentProgress):
    """When the first split began and the last verdict was written."""

    begun = ended = 0.0

    def begin(self, *_: object, **__: object) -> None:
        self.begun = time.perf_counter()

    def judged(self, *_: object, **__: object) -> None:
        self.ended = time.perf_counter()


def main() -> None:
    root, url, flying = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    with tempfile.TemporaryDirectory() as scratch, use(Host.load()):
        options = Options(
            model=ModelSpec(ref="openai/bench", settings={"base_url": url}),
            tasks=("mis:easy",),
            judges=("openai/bench",),
            judge_settings={"base_url": url},
            data=root,
            output=Path(scratch) / "run",
            probe=False,
            policy=Policy(start=flying, cap=flying),
        )
        timed, started = Timed(), time.perf_counter()
        result = anyio.run(partial(run_async, options, progress=timed))
    split = result.results["tasks"]["mis"]["splits"]["easy"]
    report(timed.ended - timed.begun, start=timed.begun - started, scored=split["verdicts"]["scored"])


if __name__ == "__main__":
    main()
