"""The last line of a client of the throughput benchmark: its measurements."""

import json
import resource
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One run of one client: seconds, seconds, seconds of CPU in all, MB, samples judged."""

    wall: float
    start: float
    cpu: float
    peak: float
    scored: int


def report(wall: float, *, start: float, scored: int) -> None:
    """Print what this process did."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = used.ru_utime + used.ru_stime
    print(json.dumps({"wall": wall, "start": start, "cpu": cpu, "peak": used.ru_maxrss / 1024, "scored": scored}))


def ask(command: Sequence[str]) -> Seen:
    """Run a client to its end."""
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return Seen(**json.loads(done.stdout.splitlines()[-1]))
