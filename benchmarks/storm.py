"""A server that allows 50 requests a second and refuses the rest with 429: how much of the allowed rate is used.

The share is the answers given over what the server would have allowed in the same time: its first burst and 50 a second
from then on. It refuses in three ways: without a word, with the time until the next free place, and always with one
second. Target: 90%, and no sample fails.
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio

from harness.evaluation.options import Options
from harness.models import ModelSpec
from harness.plugins import Host, use
from harness.runs.run import run_async

RATE, BURST, SAMPLES = 50, 10, 2500
PLUGIN = Path(__file__).with_name("synthetic.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """What a server counted, and how many samples were answered."""

    taken: int
    refused: int
    seconds: float
    answered: int

    @property
    def share(self) -> float:
        return self.taken / (BURST + RATE * self.seconds)


def storm(latency: float, mode: str, folder: Path) -> Storm:
    command = [sys.executable, "-m", "benchmarks.storm_server", str(RATE), str(BURST), str(latency), mode]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        options = Options(
            model=ModelSpec(ref="openai/bench", settings={"base_url": url}),
            tasks=("synthetic",),
            task_settings={"synthetic.n": SAMPLES},
            output=folder,
            probe=False,
        )
        run = anyio.run(partial(run_async, options))
        counted = json.loads(server.communicate("")[0])
    answered = run.results["tasks"]["synthetic"]["splits"]["all"]["outcomes"]["answered"]
    return Storm(answered=answered, **counted)


def main() -> None:
    print(f"{SAMPLES} samples, {RATE} requests a second allowed, bursts of {BURST} (target: 90% used, none fails)")
    with tempfile.TemporaryDirectory() as scratch, use(Host.load([PLUGIN])):
        for latency in (0.05, 1.0):
            for mode in ("silent", "asks", "blunt"):
                seen = storm(latency, mode, Path(scratch) / f"{mode}-{latency}")
                print(
                    f"latency {latency:4.2f} s, {mode:6}: {seen.share:6.1%} of the allowed rate, "
                    f"{seen.refused / seen.taken:.2f} refusals an answer, {SAMPLES - seen.answered} samples failed",
                    flush=True,
                )


if __name__ == "__main__":
    main()
