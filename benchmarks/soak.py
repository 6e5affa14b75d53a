"""50,000 samples for an hour, with 5% of every fault in the calls of model and judge: is all flat, and is all counted?

`python -m benchmarks.soak [--samples N] [--minutes M] [--seed S] [--timeout T] [--kill]`

A server in a process of its own answers as model and as judge, and draws each fault by a hash of the request, so what
must come out is known before. It answers as many calls a second as fill the minutes, and refuses the rest. The run is
`harness run` in another process, whose memory, files, sockets and threads are read every two seconds. `--kill` kills it
in the middle and gives the command again. Exits with 1 if a count is not exact, or if files or threads grew.

On a machine that others use, a good answer may come after the time limit and is asked for again: the server then has
given it twice, and counts are not exact. A larger `--timeout` helps.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psutil

from benchmarks.soak_plan import TOKENS, Expected, choose_seed, predict

PLUGIN = Path(__file__).with_name("soak_task.py")
CONCURRENCY, EVERY = 64, 2.0
SETTLED = 2.0  #: seconds without a call after which none of a killed run is to be expected
RATES = {"input": 2.5, "output": 10.0}  #: dollars for a million tokens
PRICE: dict[str, float | str] = {**RATES, "source": "benchmarks/soak.py", "date": "2026-12-01"}
USED = 0.75  #: of the calls that the server allows, about what a client uses that it refuses now and then
#: files and threads that may be open at the end beside those at the beginning
MORE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The run's process at one moment, with the samples that were answered."""

    seconds: float
    done: int
    megabytes: float
    files: int
    sockets: int
    threads: int


class Server:
    """The server's process."""

    def __init__(self, seed: int, rate: float) -> None:
        command = [sys.executable, "-m", "benchmarks.soak_server", str(seed), str(rate)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = self._read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def count(self, word: str = "") -> dict[str, Any]:
        """Its counts; `again` also lets it answer each request as if it had not been asked."""
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()
        return json.loads(self._read())

    def start_again(self) -> None:
        """Forget what was asked, once nothing of a killed run is on its way any more: it would count as asked again."""
        before, after = None, self.count()
        while after != before:
            time.sleep(SETTLED)
            before, after = after, self.count()
        self.count("again")

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        assert line, "the server has ended"
        return line


def read_process(process: psutil.Process, seconds: float, done: int) -> Reading | None:
    """The process at this moment; None if it has ended."""
    try:
        sockets = len(process.net_connections("all"))
        return Reading(
            seconds=seconds,
            done=done,
            megabytes=process.memory_info().rss / 1e6,
            files=process.num_fds() - sockets,
            sockets=sockets,
            threads=process.num_threads(),
        )
    except psutil.Error:
        return None


def show(reading: Reading, samples: int, counts: Mapping[str, Any]) -> None:
    calls, refused = sum(counts["replies"].values()), sum(counts["refusals"].values())
    print(
        f"{min(1, reading.done / samples):5.0%} {reading.seconds:7.0f} {reading.megabytes:8.1f} {reading.files:6}"
        f" {reading.sockets:8} {reading.threads:8} {calls:9,} {refused:8,}",
        flush=True,
    )


def watch(command: list[str], server: Server, samples: int, begun: float, *, until: int | None = None) -> list[Reading]:
    """Run the command and read its process until it ends, or kill it once so many samples are answered."""
    readings: list[Reading] = []
    with (Path(command[-1]).parent / "said.txt").open("a") as said:
        run = subprocess.Popen(command, stdout=said, stderr=said)
    process, shown = psutil.Process(run.pid), -1
    try:
        while run.poll() is None:
            counts = server.count()
            reading = read_process(process, time.monotonic() - begun, counts["finished"])
            if reading is not None:
                readings.append(reading)
                if 10 * reading.done // samples > shown:
                    shown = 10 * reading.done // samples
                    show(reading, samples, counts)
                if until is not None and reading.done >= until:
                    print(f"killed at sample {reading.done}", flush=True)
                    break
            try:
                run.wait(EVERY)
            except subprocess.TimeoutExpired:
                continue
    finally:
        run.kill()  # nothing where it has ended
    code = run.wait()
    if until is None and code != 0:
        print((Path(command[-1]).parent / "said.txt").read_text()[-3000:])
        raise SystemExit(f"the run ended with {code}")
    return readings


def find_slope(readings: list[Reading]) -> float:
    """MB for each 10,000 samples, by least squares over the second half of the readings' samples."""
    late = [each for each in readings if each.done >= (readings[0].done + readings[-1].done) / 2]
    if len({each.done for each in late}) < 2:
        return float("nan")
    line = statistics.linear_regression([each.done for each in late], [each.megabytes for each in late])
    return line.slope * 10_000


def compare(expected: Expected, results: Mapping[str, Any], counts: Mapping[str, Any], *, killed: bool) -> bool:
    """Print each count beside what it must be; returns whether all are exact."""
    split = results["tasks"]["soak"]["splits"]["all"]
    usage = results["usage"]
    judge = next(iter(usage["judges"].values()))
    labels = dict(expected.labels)
    blocks = sum(expected.outcomes[name] for name in ("input_blocked", "output_blocked", "empty"))
    labels["careful"] = labels.get("careful", 0) + blocks
    pairs: list[tuple[str, float, float]] = []
    for what, must, found in (
        ("outcome", expected.outcomes, split["outcomes"]),
        ("verdict", expected.verdicts, split["verdicts"]),
        ("label", labels, split["labels"]),
    ):
        pairs += [(f"{what} {name}", must.get(name, 0), found.get(name, 0)) for name in sorted({*must, *found})]
    for name, part in (("model", usage["model"]), ("judge", judge)):
        for key, each in zip(("input_tokens", "output_tokens"), TOKENS, strict=True):
            pairs.append((f"{name} {key}", expected.tokens[name] * each, part[key]))
    dollars = expected.tokens.total() * (TOKENS[0] * RATES["input"] + TOKENS[1] * RATES["output"]) / 1e6
    pairs.append(("cost_usd", round(dollars, 9), round(usage["cost_usd"], 9)))
    exact = True
    if killed:
        print(f"answers given twice: {counts['repeats']}, at most two of each sample under way: {2 * CONCURRENCY}")
        exact = counts["repeats"] <= 2 * CONCURRENCY
    else:
        seen = counts["replies"]
        for name in sorted({*expected.replies, *seen}):
            pairs.append((f"replies to {name}", expected.replies[name], seen.get(name, 0)))
        pairs.append(("calls but the refused", expected.replies.total(), sum(seen.values())))
        pairs.append(("answers given twice", 0, counts["repeats"]))
    print(f"{'':42} {'expected':>12} {'found':>12}")
    for name, must, found in pairs:
        print(f"{name:42} {must:12,} {found:12,}{'' if must == found else '   <- NOT EXACT'}")
        exact = exact and must == found
    calls = sum(counts["replies"].values()) + sum(counts["refusals"].values())
    for name, count in sorted(counts["refusals"].items()):
        print(f"refused with {name}: {count:,}, {count / calls:.1%} of {calls:,} calls")
    return exact


def soak(samples: int, minutes: float, seed: int, folder: Path, *, timeout: float, kill: bool) -> bool:
    """Whether every count is exact, and files and threads did not grow."""
    expected = predict(seed, samples)
    rate = expected.replies.total() / (60 * minutes) / USED
    print(f"{samples:,} samples, seed {seed}, {rate:.1f} calls a second, timeout {timeout:g} s, {CONCURRENCY} at once")
    (folder / "soak.yaml").write_text(json.dumps({"prices": dict.fromkeys(("openai/model", "openai/judge"), PRICE)}))
    with Server(seed, rate) as server:
        asks = (f"base_url={server.url}", f"timeout={timeout:g}")
        command = [sys.executable, "-m", "harness", "run", "--plugin", str(PLUGIN)]
        command += ["--config", str(folder / "soak.yaml")]
        command += ["--model", "openai/model", "--task", "soak", "-T", f"soak.n={samples}"]
        command += ["--judge", "soak=openai/judge", "--no-probe", "--min-coverage", "0"]
        for each in asks:
            command += ["-M", each, "-J", each]
        command += ["--concurrency", str(CONCURRENCY), "--output", str(folder / "run")]
        print(" done seconds       MB  files  sockets  threads     calls  refused", flush=True)
        begun = time.monotonic()
        if kill:
            watch(command, server, samples, begun, until=samples // 2)
            server.start_again()
        readings = watch(command, server, samples, begun)
        counts = server.count()
    show(readings[-1], samples, counts)
    exact = compare(expected, json.loads((folder / "run" / "results.json").read_text()), counts, killed=kill)
    working = [each for each in readings if each.sockets]  # without start-up, and results.json at the end
    last = working[-1]
    tenth = working[0].done + (last.done - working[0].done) / 10
    first = next(each for each in working if each.done >= tenth)
    print(f"memory over the second half: {find_slope(working):+.2f} MB for each 10,000 samples")
    for name in ("files", "sockets", "threads"):
        print(
            f"{name} at 10%: {getattr(first, name)}, at 100%: {getattr(last, name)}, most: "
            f"{max(getattr(each, name) for each in readings)}"
        )
    flat = last.files <= first.files + MORE and last.threads <= first.threads + MORE
    print("exact" if exact else "NOT EXACT", "and flat" if flat else "and GROWING", flush=True)
    return exact and flat


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=50_000)
    parser.add_argument("--minutes", type=float, help="without it as many as the samples need: 60 for 50,000")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument(
        "--timeout", type=float, default=6.0, help="seconds of a call; more where others use the machine"
    )
    parser.add_argument("--kill", action="store_true", help="kill -9 in the middle, then the same command again")
    given = parser.parse_args()
    minutes = given.minutes or 60 * given.samples / 50_000
    seed = choose_seed() if given.seed is None else given.seed
    with tempfile.TemporaryDirectory() as scratch:
        if not soak(given.samples, minutes, seed, Path(scratch), timeout=given.timeout, kill=given.kill):
            raise SystemExit(1)


if __name__ == "__main__":
    main()
