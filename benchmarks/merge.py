"""`harness merge` of 100 shards with 10,000 records each: seconds, and the most memory.

Target: under 30 s and 500 MB. The reference is the same bytes read and written once by the same machine.

The shards are written here, line by line as a run writes them: to answer a million questions would take the benchmark
ten minutes. One shard is a real run's, and the others are like it.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import anyio

from harness.evaluation.options import Options
from harness.keys import text_hash
from harness.models import ModelSpec
from harness.plugins import Host, use
from harness.runs.run import run_async
from harness.store.shards import list_shards, shard_folder

SHARDS = int(os.environ.get("BENCH_SHARDS", "100"))
RECORDS = int(os.environ.get("BENCH_RECORDS", "10000"))
PLUGIN = Path(__file__).with_name("synthetic.py")
TASK = "synthetic"


def write_shards(folder: Path) -> None:
    """Write all shards of a run, each with about as many records as asked for."""
    total = SHARDS * RECORDS
    ids: list[list[int]] = [[] for _ in range(SHARDS)]
    listing = 0
    for number in range(total):
        ids[int(text_hash(str(number)), 16) % SHARDS].append(number)
        listing += int(text_hash(f"{number}\0{number}"), 16)
    first = shard_folder(folder, (0, SHARDS))
    with use(Host.load([PLUGIN])):
        options = Options(
            model=ModelSpec(ref="bench/instant"),
            tasks=(TASK,),
            task_settings={"synthetic.n": 10 * SHARDS},
            output=folder,
            probe=False,
            shard=(0, SHARDS),
        )
        anyio.run(partial(run_async, options))
    run = json.loads((first / "run.json").read_text(encoding="utf-8"))
    entry = run["shard"]["splits"][f"{TASK}:all"]
    entry |= {"samples": total, "listing": f"{listing % 2**256:064x}"}
    run["tasks"][TASK]["splits"]["all"]["found"] = total
    samples = {path.name: path.read_bytes().splitlines()[0] + b"\n" for path in (first / TASK).glob("*.jsonl")}
    for number, own in enumerate(ids):
        place = shard_folder(folder, (number, SHARDS))
        (place / TASK).mkdir(parents=True, exist_ok=True)
        entry["here"], run["shard"]["index"] = len(own), number
        (place / "run.json").write_text(json.dumps(run), encoding="utf-8")
        (place / "results.json").write_bytes((first / "results.json").read_bytes())
        for name, line in samples.items():
            old = json.loads(line)["id"].encode()
            key = json.loads(line)["key"].encode()
            with (place / TASK / name).open("wb") as file:
                for each in own:
                    text = line.replace(b'"id":"%s"' % old, b'"id":"%d"' % each, 1)
                    text = text.replace(b'"cluster":"%s"' % old, b'"cluster":"%d"' % each, 1)
                    file.write(text.replace(key, b"k1:%064x" % each, 1))


def measure_copy(folder: Path) -> tuple[float, int]:
    """Seconds to read and write the lines of all shards plainly, and their bytes."""
    begun, size = time.perf_counter(), 0
    with tempfile.TemporaryFile(dir=folder) as target:
        for place in list_shards(folder).values():
            for path in sorted(place.glob("*/*.jsonl")):
                data = path.read_bytes()
                size += target.write(data)
        target.flush()
        os.fsync(target.fileno())
    return time.perf_counter() - begun, size


def main() -> None:
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_SCRATCH")) as scratch:
        folder = Path(scratch) / "run"
        write_shards(folder)
        reference, size = measure_copy(folder)
        begun = time.perf_counter()
        command = [sys.executable, "-m", "harness", "merge", str(folder), "--plugin", str(PLUGIN)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        took = time.perf_counter() - begun
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        megabytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(ended.stderr.strip().splitlines()[-1] if ended.stderr else "")
        assert ended.returncode == 0, ended.stderr
        records = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        counted = records["tasks"][TASK]["splits"]["all"]["records"]
        assert counted == SHARDS * RECORDS, counted
        print(f"{SHARDS} shards, {counted} records, {size / 1e6:.0f} MB of lines")
        print(f"merge {took:.1f} s (target: 30), {took / reference:.1f} of reading and writing them plainly")
        print(f"of that {usage.ru_utime + usage.ru_stime:.1f} s of processor: the rest was waiting on a busy machine")
        print(f"most memory {megabytes:.0f} MB (target: 500)")


if __name__ == "__main__":
    main()
