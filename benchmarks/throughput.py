"""200 samples, two 1 MB images a call, model and judge, 64 in flight; a server that answers after 50 ms, or after 1 s.

Prints the wall time from the first sample taken to the last verdict written, as a ratio to a hand-written client
(aiohttp) that reads the same files and sends the same calls; the two alternate, each in a process of its own. Start-up
is its own column. Targets: 1.3 at 50 ms, 1.15 at 1 s, and a tenth of inspect_ai's time. inspect_ai runs once, in an
environment of its own: name its Python in BENCH_INSPECT_PYTHON, or make `.venv-inspect` with `make bench-inspect`.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.clients import Seen, ask
from benchmarks.pictures import layout, png

SAMPLES, IN_FLIGHT, ROUNDS = 200, 64, 5
CALLS = 2 * SAMPLES
INSPECT = Path(os.environ.get("BENCH_INSPECT_PYTHON", ".venv-inspect/bin/python"))


@contextmanager
def server(latency: float) -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.lean_server", str(latency)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.communicate("")


def row(name: str, seen: Sequence[Seen]) -> None:
    assert all(each.scored == SAMPLES for each in seen), seen
    wall, start, cpu, peak = (
        statistics.median(getattr(each, what) for each in seen) for what in ("wall", "start", "cpu", "peak")
    )
    print(f"  {name:12}{wall:8.2f} s{start:9.2f} s{1000 * cpu / CALLS:9.2f} ms{peak:9.0f} MB", flush=True)


def compare(root: Path, latency: float, target: float) -> None:
    print(f"answers after {latency:g} s")
    print(f"  {'client':12}{'wall':>10}{'start-up':>11}{'CPU a call':>12}{'peak':>12}")
    with server(latency) as url:
        more = (str(root), url, str(IN_FLIGHT))
        rounds = [
            [ask([sys.executable, "-m", f"benchmarks.{name}", *more]) for name in ("client_by_hand", "client_harness")]
            for _ in range(ROUNDS)
        ]
        hand, ours = zip(*rounds, strict=True)
        row("by hand", hand)
        row("harness", ours)
        ratios = [our.wall / his.wall for our, his in zip(ours, hand, strict=True)]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        print(f"  ratio to by hand: median {statistics.median(ratios):.2f}, {spread} (target: {target})")
        if INSPECT.exists():
            seen = ask([str(INSPECT), str(Path(__file__).with_name("client_inspect.py")), *more])
            row("inspect_ai", [seen])
            times = seen.wall / statistics.median(our.wall for our in ours)
            print(f"  inspect_ai takes {times:.1f} times as long as the harness (target at 0.05 s: 10)")
        else:
            print("  inspect_ai is not here: make bench-inspect")


def main() -> None:
    os.environ.setdefault("OPENAI_API_KEY", "none")
    print(f"{ROUNDS} rounds, {SAMPLES} samples, {CALLS} calls, two images of {len(png(0)) / 1e6:.2f} MB each")
    with tempfile.TemporaryDirectory() as scratch:
        layout(Path(scratch), SAMPLES)
        compare(Path(scratch), 0.05, 1.3)
        compare(Path(scratch), 1.0, 1.15)


if __name__ == "__main__":
    main()
