"""What it costs to have a replica elsewhere: over ssh, in a Ray actor, with images by their path.

The model sleeps 200 ms and answers; 64 requests are under way in each replica. Printed are ratios to local replicas in
the same run (targets: Ray with one replica under 1.05, two within 5 % of two local ones). The ssh host is a process of
this machine; the images are two of 100 KB in each request, and the model then answers at once, 8 requests under way.
The least of three runs counts, taken in turns, since other work on the machine only adds. Opening a model is left out.
"""

import logging
import os
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from harness import Failure, Model, ModelInfo, Provider, Request, Response, Setting, Settings, hookimpl, plugins
from harness.images import open_image
from harness.models import ModelSpec, resolve
from harness.plugins import Host
from harness.readers import open_files
from harness.replicas.launch import Launch
from harness.testing.fakes import PIXEL
from harness.types import Message, Text

CALLS = 1500
UNDER_WAY = 64
ROUNDS = int(os.environ.get("ROUNDS", "3"))
SSH = """#!/bin/sh
while [ "$1" != "--" ]; do shift; done
shift 2
exec env -i HOME="$HOME" PATH="$PATH" sh -c "$*"
"""


class Sleeper:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.info = ModelInfo(ref="sleep/x", endpoint="sleep", local=True, concurrency=UNDER_WAY)

    async def generate(self, request: Request) -> Response | Failure:
        await anyio.sleep(self._seconds)
        return Response(text="a" * 400)


@asynccontextmanager
async def opened(_: str, settings: Settings) -> AsyncGenerator[Model]:
    yield Sleeper(settings["seconds"])


@hookimpl
def harness_models() -> Iterable[Provider]:
    seconds = Setting(name="seconds", type=float, default=0.2, identity=False)
    return [Provider(scheme="sleep", description="sleeps", open=opened, settings=(seconds,), local=True)]


async def measure(launch: Launch, request: Request, calls: int, at_once: int, **settings: object) -> float:
    """Seconds for so many calls, once the model is open and warm."""
    async with resolve(ModelSpec(ref="sleep/x", settings=settings), launch=launch).open() as model:
        left = iter(range(calls))

        async def work() -> None:
            for _ in left:
                assert isinstance(await model.generate(request), Response)

        for _ in range(4):
            await model.generate(request)
        start = time.perf_counter()
        async with anyio.create_task_group() as tasks:
            for _ in range(at_once):
                tasks.start_soon(work)
        return time.perf_counter() - start


def make_request(folder: Path | None = None) -> Request:
    parts = []
    if folder is not None:
        for name in ("one.png", "two.png"):
            end = PIXEL.rindex(b"IEND") - 4
            filler = os.urandom(100_000)
            import struct
            import zlib

            chunk = struct.pack(">I", len(filler)) + b"teXt" + filler + struct.pack(">I", zlib.crc32(b"teXt" + filler))
            (folder / name).write_bytes(PIXEL[:end] + chunk + PIXEL[end:])
            parts.append(open_image(open_files(folder).image(name)))
    return Request(messages=(Message(role="user", content=(*parts, Text(text="question"))),))


def main() -> None:
    import ray

    logging.disable(logging.WARNING)
    os.environ["RAY_USAGE_STATS_ENABLED"] = os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    ray.init(address="local", num_cpus=4, num_gpus=0, include_dashboard=False, log_to_driver=False)
    with tempfile.TemporaryDirectory() as scratch, plugins.use(Host.load([Path(__file__)])):
        folder = Path(scratch)
        (folder / "bin").mkdir()
        (folder / "bin" / "ssh").write_text(SSH)
        (folder / "bin" / "ssh").chmod(0o755)
        os.environ["PATH"] = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        local, over_ssh, by_ray = Launch(), Launch(hosts=("a",)), Launch(kind="ray")
        plain, images = make_request(), make_request(folder)
        rows = {
            "1 replica, local": lambda: measure(local, plain, CALLS, 64, replicas=1),
            "1 replica, ssh": lambda: measure(over_ssh, plain, CALLS, 64, replicas=1),
            "1 replica, Ray": lambda: measure(by_ray, plain, CALLS, 64, replicas=1),
            "2 replicas, local": lambda: measure(local, plain, 2 * CALLS, 128, replicas=2),
            "2 replicas, Ray": lambda: measure(by_ray, plain, 2 * CALLS, 128, replicas=2),
            "200 KB, local, bytes": lambda: measure(local, images, 400, 8, replicas=1, seconds=0),
            "200 KB, local, shared": lambda: measure(local, images, 400, 8, replicas=1, seconds=0, shared=True),
            "200 KB, ssh, bytes": lambda: measure(over_ssh, images, 400, 8, replicas=1, seconds=0),
            "200 KB, ssh, shared": lambda: measure(over_ssh, images, 400, 8, replicas=1, seconds=0, shared=True),
            "200 KB, Ray, bytes": lambda: measure(by_ray, images, 400, 8, replicas=1, seconds=0),
            "200 KB, Ray, shared": lambda: measure(by_ray, images, 400, 8, replicas=1, seconds=0, shared=True),
        }
        best: dict[str, float] = {}
        for _ in range(ROUNDS):
            for name, run in rows.items():
                best[name] = min(best.get(name, 1e9), anyio.run(run))
                sys.stderr.write(f"{name}: {best[name]:.3f}\n")
        for name, seconds in best.items():
            calls = 400 if "KB" in name else CALLS * int(name[0])
            against = f"{name.split(',')[0]}, local" + ", bytes" * ("KB" in name)
            ratio = seconds / best[against]
            print(f"{name:<24} {seconds:6.2f} s  {seconds / calls * 1000:6.2f} ms a call  {ratio:5.3f} of {against}")
    ray.shutdown()


if __name__ == "__main__":
    main()
