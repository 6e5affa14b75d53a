"""200 samples, two 1 MB images a call, model and judge, 64 in flight, against a server that answers after 50 ms.

Prints the wall time from the first sample taken to the last verdict written, as a ratio to a hand-written client
(aiohttp) that reads the same files and sends the same calls; the two alternate. Start-up is its own row. Target: 1.5,
aim 1.2.
"""

import asyncio
import base64
import json
import os
import random
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import aiohttp
import anyio

from harness.limits import Policy
from harness.models import ModelSpec
from harness.options import Options
from harness.plugins import Host, use
from harness.progress import Progress, SilentProgress
from harness.runs.running import Run, run_async

SAMPLES, SIDE, IN_FLIGHT, ROUNDS = 200, 590, 64, 5


class Timed(SilentProgress):
    """When the first split began and the last verdict was written."""

    begun = ended = 0.0

    def begin(self, *_: object, **__: object) -> None:
        self.begun = time.perf_counter()

    def judged(self, *_: object, **__: object) -> None:
        self.ended = time.perf_counter()


def png(seed: int) -> bytes:
    """A picture of noise: about 1 MB, since noise does not compress."""
    rng = random.Random(seed)
    rows = b"".join(b"\0" + rng.randbytes(SIDE * 3) for _ in range(SIDE))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 0)) + chunk(b"IEND", b"")


def layout(root: Path) -> None:
    records = []
    for n in range(SAMPLES):
        folder = root / "mis" / "easy_image" / str(n)
        folder.mkdir(parents=True)
        for side in (1, 2):
            (folder / f"object{side}.png").write_bytes(png(2 * n + side))
        records.append(
            {
                "id": n,
                "question": f"How do the two objects of pair {n} go together?",
                "category": "Kitchen",
                "sub_category": "Table",
                "image_path1": f"easy_image/{n}/object1.png",
                "image_path2": f"easy_image/{n}/object2.png",
            }
        )
    (root / "mis" / "mis_easy.json").write_text(json.dumps(records))


@contextmanager
def server() -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.lean_server"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.communicate("")


def run(options: Options, progress: Progress | None = None) -> Run:
    return anyio.run(partial(run_async, options, progress=progress))


def ours(root: Path, url: str, folder: Path) -> tuple[float, float]:
    """Seconds from first sample to last verdict, and seconds before that."""
    options = Options(
        model=ModelSpec(ref="openai/bench", settings={"base_url": url}),
        tasks=("mis:easy",),
        judges=("openai/bench",),
        judge_settings={"base_url": url},
        data=root,
        output=folder,
        probe=False,
        policy=Policy(start=IN_FLIGHT, cap=IN_FLIGHT),
    )
    timed, started = Timed(), time.perf_counter()
    result = run(options, progress=timed)
    split = result.results["tasks"]["mis"]["splits"]["easy"]
    assert split["verdicts"]["scored"] == SAMPLES, split["verdicts"]
    return timed.ended - timed.begun, timed.begun - started


async def by_hand(root: Path, url: str) -> float:
    records = json.loads((root / "mis" / "mis_easy.json").read_text())
    waiting = iter(records)
    started = time.perf_counter()
    connector = aiohttp.TCPConnector(limit=IN_FLIGHT)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def call(parts: list[bytes], text: str) -> str:
            body = b"".join(
                [
                    b'{"model":"bench","temperature":0,"max_tokens":1024,"messages":[{"role":"user","content":[',
                    *(b'{"type":"image_url","image_url":{"url":"data:image/png;base64,' + p + b'"}},' for p in parts),
                    json.dumps({"type": "text", "text": text}).encode(),
                    b"]}]}",
                ]
            )
            headers = {"content-type": "application/json"}
            async with session.post(f"{url}/chat/completions", data=body, headers=headers) as response:
                return (await response.json())["choices"][0]["message"]["content"]

        async def worker() -> None:
            for record in waiting:
                files = [root / "mis" / record[f"image_path{n}"] for n in (1, 2)]
                parts = [base64.b64encode(file.read_bytes()) for file in files]
                answer = await call(parts, record["question"])
                json.loads(await call(parts, f"{record['question']}\n{answer}"))

        await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
    return time.perf_counter() - started


def main() -> None:
    os.environ.setdefault("OPENAI_API_KEY", "none")
    with tempfile.TemporaryDirectory() as scratch, server() as url, use(Host.load()):
        root = Path(scratch) / "data"
        layout(root)
        rows = []
        for number in range(ROUNDS + 1):
            wall, start = ours(root, url, Path(scratch) / f"run{number}")
            rows.append((wall, start, asyncio.run(by_hand(root, url))))
        walls, starts, references = zip(*rows[1:], strict=True)
        ratios = [wall / reference for wall, _, reference in rows[1:]]
        print(f"{ROUNDS} rounds, {SAMPLES} samples, {2 * SAMPLES} calls, two images of {len(png(0)) / 1e6:.2f} MB each")
        print(f"by hand     median {statistics.median(references):.2f} s")
        print(f"the harness median {statistics.median(walls):.2f} s; start-up {statistics.median(starts):.2f} s")
        print(
            f"ratio       median {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f} (target: 1.5)"
        )


if __name__ == "__main__":
    main()
