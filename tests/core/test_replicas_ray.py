"""Replicas in Ray actors: a real Ray on this machine, with GPUs that nobody has."""

import importlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

from harness import plugins
from harness.contracts import Model
from harness.errors import HarnessError
from harness.models import ModelSpec, resolve
from harness.plugins import Host
from harness.replicas.launch import Launch
from harness.replicas.placement import Placement
from harness.replicas.ray_link import connect
from harness.types import Message, Request, Response, Text
from tests.acceptance.commands import command, harness_here, home
from tests.core import launchers

pytestmark = pytest.mark.slow

TOY, TASKS = (Path(__file__).with_name(f"{name}.py") for name in ("toy_models", "toy_tasks"))
RAY = Launch(kind="ray")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A connected process, as a notebook may be: the harness uses its connection and leaves it alone."""
    ray = pytest.importorskip("ray")
    os.environ["RAY_USAGE_STATS_ENABLED"] = os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    ray.init(address="local", num_cpus=4, num_gpus=4, include_dashboard=False, log_to_driver=False)
    yield ray
    assert ray.is_initialized()
    ray.shutdown()


@asynccontextmanager
async def model(**settings: Any) -> AsyncGenerator[Model]:
    with anyio.fail_after(120), plugins.use(Host.load([TOY])):
        async with resolve(ModelSpec(ref="toy/plain", settings=settings), launch=RAY).open() as opened:
            yield opened


async def ask(model: Model, text: str) -> dict[str, Any]:
    answer = await model.generate(Request(messages=(Message(role="user", content=(Text(text=text),)),)))
    assert isinstance(answer, Response), answer
    return dict(json.loads(answer.text))


def test_each_gpu_of_the_cluster_has_a_replica_that_sees_it_alone(cluster: Any) -> None:
    async def body() -> None:
        async with model() as opened:
            assert opened.info.endpoint == "toy/plain in 4 processes (ray): Ray: 4 of 1 GPU"
            found: dict[int, str] = {}
            async with anyio.create_task_group() as tasks:

                async def one() -> None:
                    answer = await ask(opened, "say x")
                    found[answer["pid"]] = answer["devices"]

                for _ in range(32):
                    tasks.start_soon(one)
            assert sorted(found.values()) == ["0", "1", "2", "3"]

    anyio.run(body)


def test_a_replica_or_an_actor_that_is_killed_costs_its_requests_a_second_try(cluster: Any, tmp_path: Path) -> None:
    async def body() -> None:
        async with model(replicas=1, folder=tmp_path) as opened:
            assert (await ask(opened, "die once a"))["said"] == "once a"
            [note] = opened.info.notes
            assert "replica 1 (Ray, 4 GPUs) was killed by SIGKILL" in note
            answer = await ask(opened, "say x")
            replica = psutil.Process(answer["pid"])
            actor = replica.parent()
            assert actor is not None
            assert "Holder" in actor.name()
            actor.kill()
            assert (await ask(opened, "say y"))["pid"] != answer["pid"]
            assert "replica 1 (Ray, 4 GPUs) was lost with its Ray actor" in opened.info.notes[1]
            _, alive = psutil.wait_procs([replica], 30)
            assert alive == [], "the end of its pipe ended it"

    anyio.run(body)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"gpus": 8}, "1 replicas of 8 GPUs do not fit: the Ray cluster has 4 GPUs"),
        ({"replicas": 3}, "4 GPUs, which cannot be divided evenly among 3 replicas"),
        ({"replicas": 9, "gpus": 0}, "9 replicas on the CPU do not fit: the Ray cluster has 4 CPUs"),
        ({"gpus": 1.5}, "gpus=1.5: the Ray cluster cannot give so many to a replica"),
    ],
)
def test_more_than_the_cluster_has_is_said_and_not_waited_for(
    cluster: Any, settings: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seconds in ("FREE", "START"):  # who waits ends in the TimeoutError of `model`
        monkeypatch.setattr(f"harness.replicas.ray_link.{seconds}", 100_000.0)

    async def body() -> None:
        async with model(**settings):
            raise AssertionError("it opened")

    with pytest.raises(HarnessError, match=re.escape(said)):
        anyio.run(body)


def test_gpus_that_others_use_are_said(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.replicas.ray_link.FREE", 0.5)

    async def body() -> None:
        async with model(replicas=3, gpus=1), model(replicas=2, gpus=1):
            raise AssertionError("it opened")

    with pytest.raises(HarnessError, match="need 2 GPUs, and 1 of the Ray cluster's are free"):
        anyio.run(body)


def test_an_actor_that_does_not_start_is_not_waited_for(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.replicas.ray_link.START", 0.0)

    async def body() -> None:
        async with model(replicas=1):
            raise AssertionError("it opened")

    with pytest.raises(HarnessError, match=r"Ray has not started a replica with 4 GPUs within 0.0 s"):
        anyio.run(body)


def test_a_python_without_the_harness_is_said_with_its_last_words(cluster: Any) -> None:
    async def body() -> None:
        async with model(replicas=1, remote_python="/nowhere/python"):
            raise AssertionError("it opened")

    with pytest.raises(HarnessError, match="/nowhere/python does not start"):
        anyio.run(body)


def test_two_models_share_the_connection_and_a_part_of_a_gpu_each(cluster: Any) -> None:
    async def body() -> None:
        async with model(replicas=2, gpus=0.5) as one, model(replicas=1, gpus=0.5) as other:
            assert (await ask(one, "say x"))["devices"] != ""
            assert (await ask(other, "say x"))["devices"] != ""

    anyio.run(body)


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)

    async def body() -> None:
        async with model(replicas=1):
            raise AssertionError("it opened")

    with pytest.raises(HarnessError, match="--launch ray needs the extra `ray`") as caught:
        anyio.run(body)
    assert caught.value.remedy == "pip install 'vlm-safety-harness[ray]'"


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.0.0.1:x", "127.0.0.1:99999999"])
def test_an_address_that_nobody_answers_at_is_said(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray itself would end the process. What it prints in this process is not kept back for ever after."""
    ray = pytest.importorskip("ray")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    worker: Any = importlib.import_module("ray._private.worker")
    usual = worker.print_to_stdstream

    async def body() -> None:
        async with connect(Placement(how="ray", host=address)):
            raise AssertionError("it connected")

    with pytest.raises(HarnessError, match="no Ray cluster can be reached") as caught:
        anyio.run(body)
    assert caught.value.where == address
    assert worker.print_to_stdstream is usual


def test_local_ray_srun_two_hosts_and_shards_give_the_same_results(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launchers.install(tmp_path, monkeypatch)
    for name, folder in home(tmp_path).items():
        monkeypatch.setenv(name, folder)
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)
    launchers.enter_job(monkeypatch)
    ways: dict[str, list[str]] = {
        "one": [],
        "two": ["-M", "replicas=2"],
        "ray": ["--launch", "ray", "-M", "gpus=1", "-M", "replicas=2"],
        "srun": ["--launch", "srun"],
        "hosts": ["--host", "a", "--host", "b"],
        "first": ["--host", "a", "--shard", "0/2"],
        "second": ["--host", "b", "--shard", "1/2"],
        "shards": [],
    }
    found: dict[str, object] = {}
    for name, flags in ways.items():
        output = "run-shards" if "--shard" in flags else f"run-{name}"
        run = ["run", "--model", "mini/base", "--tasks", "mis:mini,mssbench:mini", "--judge", "mini", "--limit", "12"]
        ended = harness_here(*([*run, "--output", output, *flags] if name != "shards" else ["merge", output]))
        assert ended.code == 0, ended.err
        assert "raylet" not in ended.err
        if "--shard" not in flags:
            results = json.loads((tmp_path / output / "results.json").read_text())
            for times in ("command", "started", "finished", "wall_s"):
                del results[times]
            found[name] = results
    assert set(found) == {"one", "two", "ray", "srun", "hosts", "shards"}
    assert [name for name, results in found.items() if results != found["one"]] == []
    history = json.loads((tmp_path / "run-ray" / "run.json").read_text())["history"]
    assert history[-1]["launch"] == "ray"


def test_a_run_that_is_killed_leaves_no_replica(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    os.mkfifo(tmp_path / "gate")
    run = ["run", "--plugin", TOY, "--plugin", TASKS, "--model", "toy/plain", "--tasks", "toy", "--judge", "fake"]
    run += ["--no-probe", "--launch", "ray", "-M", "replicas=1", "-M", f"folder={tmp_path}", "-T", "toy.asks=hold gate"]
    with (
        subprocess.Popen(
            command(tuple(run)), cwd=tmp_path, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        ) as process,
        (tmp_path / "gate").open("w"),  # opens once a replica holds the other end
    ):
        started = psutil.Process(process.pid).children(recursive=True)
        replicas = [each for each in started if "replica 1" in "".join(each.cmdline()[-1:]) or "Holder" in each.name()]
        process.send_signal(signal.SIGKILL)
        _, alive = psutil.wait_procs(replicas, timeout=60)
    assert len(replicas) == 2, "the replica and its actor"
    assert alive == []
