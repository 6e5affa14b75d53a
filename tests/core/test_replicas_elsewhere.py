"""Replicas on other machines, as a person starts them: over ssh, and by srun in a Slurm job."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

from harness import plugins
from harness.errors import HarnessError
from harness.images import open_image
from harness.models import ModelSpec, resolve
from harness.plugins import Host
from harness.readers import open_files
from harness.replicas import wire
from harness.replicas.launch import Launch, Node, build_command, parse_hosts, place_on_nodes, share_out
from harness.replicas.placement import Machine, Placement
from harness.replicas.surroundings import Surroundings, choose_variables
from harness.replicas.wire import ReplicaSpec
from harness.testing.fakes import PIXEL, fake_image
from harness.types import Message, Request, Response, Text
from tests.acceptance.commands import command, harness_here, home
from tests.core import launchers

PLUGINS = [
    word for name in ("toy_models", "toy_tasks") for word in ("--plugin", Path(__file__).with_name(f"{name}.py"))
]


@pytest.fixture(autouse=True)
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, folder in home(tmp_path).items():
        monkeypatch.setenv(name, folder)
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return launchers.install(tmp_path, monkeypatch)


def words(*asks: str, model: str = "toy/plain", judge: str = "fake") -> list[object]:
    asked = ["-T", f"toy.asks={'|'.join(asks)}"]
    return ["run", *PLUGINS, "--model", model, "--tasks", "toy", "--judge", judge, "--no-probe", *asked]


def texts(folder: str = "runs/toy-plain") -> list[dict[str, Any]]:
    lines = map(json.loads, Path(folder, "toy", "responses.jsonl").read_text(encoding="utf-8").splitlines())
    return [json.loads(line["text"]) for line in lines if line["outcome"] == "answered"]


def hosts(*names: str) -> list[object]:
    return [word for name in names for word in ("--host", name)]


def values(**given: Any) -> dict[str, Any]:
    usual = dict.fromkeys(("replicas", "devices", "gpus", "remote_python"))
    return {**usual, "shared": False, **given}


# -- what a person writes


@pytest.mark.parametrize(
    "text",
    ["-oProxyCommand=touch x", "--", "a b", "a;b", "$(x)", "a:", "@a", "me@-a", "a\nb", "a:0 1", "a:0-", "a:x;y",
     "a:-1", "a:0,0", "a/b", ""],
)  # fmt: skip
def test_what_ssh_could_take_for_something_else_is_no_host(text: str) -> None:
    with pytest.raises(HarnessError, match="--host"):
        parse_hosts([text])


def test_hosts_have_devices_behind_them_and_may_come_again() -> None:
    assert parse_hosts(["a:0,1", "me@b.lab:0-3", "[fe80::1%eth0]:GPU-12ab", "c", "a:5"]) == {
        "a": ("0", "1", "5"),
        "me@b.lab": ("0", "1", "2", "3"),
        "[fe80::1%eth0]": ("GPU-12ab",),
        "c": (),
    }
    with pytest.raises(HarnessError, match="named twice"):
        parse_hosts(["a:0", "a:0"])


@pytest.mark.parametrize(
    ("given", "replicas", "expected"),
    [
        (("a:0,1", "b:0-3"), None, ["a 0", "a 1", "b 0", "b 1", "b 2", "b 3"]),
        (("a:0,1", "b:0-3"), 3, ["a 0,1", "b 0,1", "b 2,3"]),
        (("a:0", "b:1"), 4, ["a 0", "a 0", "b 1", "b 1"]),
        (("a", "b"), None, ["a ", "b "]),
        (("a", "b"), 3, ["a ", "a ", "b "]),
        (("a:0,1", "b"), None, ["a 0", "a 1", "b "]),
    ],
)
def test_replicas_are_shared_out_among_hosts(given: tuple[str, ...], replicas: int | None, expected: list[str]) -> None:
    places = Launch(hosts=given).place(values(replicas=replicas))
    assert [f"{place.host} {','.join(place.devices)}" for place in places] == expected


@pytest.mark.parametrize(
    ("launching", "given", "said"),
    [
        (Launch(hosts=("a:0,1,2", "b:0")), {"replicas": 2}, "a has 3 devices, and each replica takes 2"),
        (Launch(hosts=("a:0,1,2",)), {"replicas": 2}, "cannot be divided evenly"),
        (Launch(hosts=("a:0", "b")), {"replicas": 2}, "no devices are named for b"),
        (Launch(hosts=("a",)), {"devices": "0"}, "names devices of this machine"),
        (Launch(hosts=("a",)), {"gpus": 1.0}, "gpus is for srun and Ray"),
        (Launch(), {"gpus": 1.0}, "gpus is for replicas that srun or Ray places"),
        (Launch(hosts=("a",)), {"replicas": 0}, "at least 1"),
        (Launch(hosts=("a",)), {"remote_python": "-c"}, "is not a program"),
        (Launch(kind="srun", hosts=("a",)), {}, "--host is for ssh"),
        (Launch(kind="ssh"), {}, "needs hosts"),
        (Launch(address="auto"), {}, "--ray-address is for Ray"),
        (Launch(kind="ray", address="ray://x:1"), {}, "client protocol"),
        (Launch(kind="kubernetes"), {}, "no such launcher"),
        (Launch(kind="srun"), {}, "in no Slurm job"),
    ],
)
def test_what_does_not_go_together_is_said_before_anything_starts(
    launching: Launch, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(HarnessError, match=re.escape(said)):
        launching.place(values(**given))


NODES = (Node(name="n1", gpus=4, cpus=16, memory=4000), Node(name="n2", gpus=2, cpus=8))


@pytest.mark.parametrize(
    ("replicas", "gpus", "expected"),
    [
        (None, None, (1, [4, 2])),
        (3, None, (2, [2, 1])),
        (None, 2.0, (2, [2, 1])),
        (2, 1.0, (1, [1, 1])),
        (3, 0.0, (0, [2, 1])),
    ],
)
def test_replicas_are_shared_out_among_nodes(
    replicas: int | None, gpus: float | None, expected: tuple[float, list[int]]
) -> None:
    assert share_out(NODES, replicas, gpus, fractions=False, who="it") == expected


@pytest.mark.parametrize(
    ("replicas", "gpus", "said"),
    [
        (2, None, "2 replicas of 3 GPUs do not fit: the job has 6 GPUs"),
        (None, 8.0, "do not fit"),
        (7, 1.0, "do not fit"),
        (4, None, "evenly"),
        (None, 0.5, "cannot give"),
    ],
)
def test_more_gpus_than_there_are_is_said_at_once(replicas: int | None, gpus: float | None, said: str) -> None:
    with pytest.raises(HarnessError, match=said):
        share_out(NODES, replicas, gpus, fractions=False, who="the job")


@pytest.mark.parametrize(
    ("host", "given"),
    [("me@[fe80::1]", "me@fe80::1"), ("[fe80::1%eth0]", "fe80::1%eth0"), ("me@b.lab", "me@b.lab")],
)
def test_ssh_is_given_an_ipv6_address_without_its_brackets(host: str, given: str) -> None:
    (name,) = parse_hosts([f"{host}:0"])
    command = build_command(Placement(how="ssh", host=name), ["python"])
    assert command[command.index("--") + 1] == given


def test_a_part_of_a_gpu_is_for_ray_alone() -> None:
    assert share_out(NODES, 12, None, fractions=True, who="Ray") == (0.5, [8, 4])
    assert share_out(NODES, None, 0.5, fractions=True, who="Ray") == (0.5, [8, 4])


def test_srun_asks_for_the_replicas_part_of_its_node() -> None:
    [first, *_] = place_on_nodes(NODES, 3, 2)
    line = build_command(first, ["python"])
    assert line[0] == "srun"
    assert line[-1] == "python"
    asked = {"-N1", "-n1", "--unbuffered", "--quiet", "--gres=gpu:2", "--cpus-per-task=8", "--mem=2000M"}
    assert asked < set(line)
    assert line[line.index("-w") + 1] == "n1"


# -- over ssh

GARBAGE = """
import json, struct, sys
def send(*parts):
    header = json.dumps(parts).encode()
    sys.stdout.buffer.write(struct.pack(">I", len(header)) + header)
    sys.stdout.buffer.flush()
def take():
    *_, sizes = head = json.loads(sys.stdin.buffer.read(*struct.unpack(">I", sys.stdin.buffer.read(4))))
    sys.stdin.buffer.read(sum(sizes))
    return head[1]
sys.stdout.buffer.write(GREETING)
INFO = {"ref": "toy/plain", "endpoint": "e", "fingerprint": {}, "can": [], "dropped": [], "notes": []}
def ready(**more):
    send("ready", 0, {"info": {**INFO, **more}, "versions": {}, "accelerator": {}}, [])
take()
"""


def play_garbage(played: Path, program: str) -> None:
    """Each host's replica greets, and then does this."""
    script = played / "garbage.py"
    script.write_text(GARBAGE.replace("GREETING", repr(wire.GREETING)) + program, encoding="utf-8")
    (played / "programs" / "ssh").write_text(f"#!/bin/sh\nexec {sys.executable} {script}\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("sys.stdout.buffer.write(struct.pack('>I', 1) + b'5')", "ended with exit code 0"),
        ("sys.stdout.buffer.write(struct.pack('>I', 99999) + b'[' * 99999)", "ended with exit code 0"),
        ("sys.stdout.buffer.write(b'\\xff' * 4 + b'x' * 99999)", "ended with exit code 0"),
        ("send('ready', 0, {}, ['x'])", "ended with exit code 0"),
        ("send('other', 0, {}, [])", "ended with exit code 0"),
        ("send('ready', 0, None, [])", "sent an unexpected message"),
        ("send('ready', 0, {'info': {}, 'versions': {}, 'accelerator': {}}, [])", "no description of a model"),
        ("ready(more=1)", "unexpected keyword argument 'more'"),
        ("ready(concurrency=-1); take()", "concurrency is -1"),
        ("ready(fingerprint={'a': float('nan')})", "sent an unexpected message"),
        ("send('failed', 0, None, [])", "sent an unexpected message"),
        ("send('failed', 0, {'error': {'type': 5, 'what': 'x'}}, [])", "error: x (host a)"),
    ],
)
def test_a_replica_that_sends_garbage_while_it_opens_is_named_and_is_no_bug(
    program: str, said: str, played: Path
) -> None:
    play_garbage(played, program)
    ended = harness_here(*words("say x"), *hosts("a"))
    assert ended.code == 2, ended.err
    assert said in ended.err
    assert "this is a bug" not in ended.err


@pytest.mark.parametrize(
    "answer", ["None", "{}", "{'response': {'text': 'x', 'usage': {'zz': 1}}}", "{'failure': {'odd': 1, 'usage': {}}}"]
)
def test_a_replica_that_answers_garbage_costs_that_request_alone(answer: str, played: Path) -> None:
    play_garbage(played, f"ready()\nwhile True: send('answer', take(), {answer}, [])")
    ended = harness_here(*words("say x"), *hosts("a"))
    assert ended.code == 3, ended.err
    assert "sent an unexpected message" in ended.err
    assert "error 1 (replica_died)" in ended.err


def test_hosts_answer_as_one_model_and_the_run_says_where_they_were() -> None:
    ended = harness_here(*words(*(f"say {number}" for number in range(12))), *hosts("a", "loud"))
    assert ended.code == 0, ended.err
    assert {text["host"] for text in texts()} == {"a", "loud"}
    run = json.loads(Path("runs/toy-plain/run.json").read_text())
    assert run["history"][-1]["launch"] == "ssh a loud"
    assert "host" not in json.dumps(run["identity"])


def test_keys_go_through_the_pipe_and_stand_on_no_command_line(monkeypatch: pytest.MonkeyPatch, played: Path) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("OTHER", "named")
    monkeypatch.setenv("HARNESS_SEND_ENV", "OTHER")
    environment = choose_variables(os.environ)
    assert (environment["HF_TOKEN"], environment["OTHER"]) == ("hf_secret", "named")
    assert not {"PATH", "HOME", "CUDA_VISIBLE_DEVICES"} & set(environment)
    line = build_command(Placement(how="ssh", host="a"), ["python", "-c", "x"])
    assert "hf_secret" not in " ".join(line)
    assert harness_here(*words("env HF_TOKEN", "env OTHER"), *hosts("a")).code == 0
    assert {text["said"] for text in texts()} == {"hf_secret", "named"}


def test_a_host_that_cannot_be_reached_is_named_with_what_ssh_says() -> None:
    ended = harness_here(*words("say x"), *hosts("a", "gone"))
    assert ended.code == 2
    assert "replica 2 (host gone, all it has) lost its connection to gone" in ended.err
    assert "Connection refused" in ended.err
    assert "ssh gone true" in ended.err


def test_a_device_that_a_host_lacks_is_named_with_the_host() -> None:
    ended = harness_here(*words("say x"), *hosts("a:3"))
    assert ended.code == 2
    assert "host a: there is no device '3'" in ended.err


def test_a_replica_that_dies_elsewhere_is_started_again_there() -> None:
    ended = harness_here(*words("say a", "die once a", "say b"), "-M", "folder=.", *hosts("a"))
    assert ended.code == 0, ended.err
    assert "replica 1 (host a, all it has) lost its connection to a" in ended.err
    assert "started again (1 of 2)" in ended.err
    assert len(texts()) == 3


def test_a_host_that_is_lost_for_good_leaves_its_samples_to_the_others(played: Path) -> None:
    """Its connection is refused from the second time on."""
    script = played / "programs" / "ssh"
    text = script.read_text().replace('if [ "$host" = gone ]', 'if [ "$(grep -c $host $PLAYED/ssh)" != 1 ]')
    script.write_text(text.replace("host gone", "$host"))
    ended = harness_here(*words("die once a", *(f"say {n}" for n in range(9))), "-M", "folder=.", *hosts("a", "b"))
    assert ended.code == 0, ended.err
    assert "it is gone for good" in ended.err
    assert len(texts()) == 10


def test_another_python_is_named_by_a_setting_and_one_without_the_harness_is_said() -> None:
    ended = harness_here(*words("say x"), "-M", "remote_python=/nowhere/python", *hosts("a"))
    assert ended.code == 2
    assert "/nowhere/python" in ended.err
    assert "-M remote_python=PATH" in ended.err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "import importlib.metadata as m; m.version = lambda _: '9.9'",
            "vlm-safety-harness is of version 9.9 on host a",
        ),
        (
            "import harness.replicas.wire as w; w.GREETING = w.MARK + b'1' + bytes([10])",
            "another version of the harness",
        ),
        ("import sys; sys.version_info = (3, 9)", "Python 3.9 is too old, the harness needs 3.11"),
    ],
)
def test_another_version_over_there_is_refused_with_both_named(
    change: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.replicas.pool.BOOT", _boot_after(change))
    ended = harness_here(*words("say x"), *hosts("a"))
    assert ended.code == 2
    assert said in ended.err


def _boot_after(change: str) -> str:
    from harness.replicas.child import BOOT

    if "sys.version_info" in change:
        return f"{change}; {BOOT}"
    return BOOT.replace("from harness.replicas.child", f"{change}; from harness.replicas.child")


def test_replicas_of_other_torches_are_refused_with_both_named(monkeypatch: pytest.MonkeyPatch) -> None:
    change = "import os, harness.replicas.surroundings as s; s.version = lambda name: name + os.environ['PLAYED_HOST']"
    monkeypatch.setattr("harness.replicas.pool.BOOT", _boot_after(change))
    ended = harness_here(*words("say x"), *hosts("a", "b"))
    assert ended.code == 2
    assert "has torch torchb, and replica 1 (host a, all it has) has torcha" in ended.err


def test_a_plugin_file_that_is_another_one_over_there_is_refused() -> None:
    file = str(PLUGINS[1])
    spec = ReplicaSpec(schemes=("toy",), name="plain", settings={}, files=(file,), versions={file: "other"})
    with plugins.use(plugins.current()), pytest.raises(HarnessError, match="differs between host a"):
        spec.open(machine="host a")


def test_a_plugin_file_that_is_not_over_there_is_named() -> None:
    spec = ReplicaSpec(schemes=("toy",), name="plain", settings={}, files=("/nowhere/mine.py",))
    with pytest.raises(HarnessError, match=r"the plugin /nowhere/mine.py is not on host a"):
        spec.open(machine="host a")


def test_a_replica_that_does_not_begin_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.replicas.pool.START", 0.5)
    monkeypatch.setattr("harness.replicas.pool.BOOT", "import sys; sys.stdin.read()")
    ended = harness_here(*words("say x"), *hosts("a"))
    assert ended.code == 2
    assert "did not start within 0.5 s" in ended.err


def test_devices_of_a_host_are_counted_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Machine, "here", staticmethod(lambda: Machine(count=8, allowed="4,5,6,7")))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    Surroundings(machine="host a", devices=("1", "2")).enter()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "5,6"


def test_a_run_that_is_killed_takes_its_replicas_elsewhere_with_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gate")
    run = command((*words("say x", "hold gate"), "-M", f"folder={tmp_path}", *hosts("a", "b")))
    with (
        subprocess.Popen(run, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process,
        (tmp_path / "gate").open("w"),  # opens once a replica holds the other end
    ):
        started = psutil.Process(process.pid).children(recursive=True)
        replicas = [each for each in started if "replica" in each.cmdline()[-1]]
        process.send_signal(signal.SIGKILL)
        _, alive = psutil.wait_procs(replicas, timeout=30)
    assert len(replicas) >= 2
    assert alive == []


# -- by srun


def test_a_slurm_jobs_nodes_each_get_a_replica_for_each_gpu(monkeypatch: pytest.MonkeyPatch, played: Path) -> None:
    job = {"GPUS_ON_NODE": "2", "JOB_CPUS_PER_NODE": "8(x2)", "MEM_PER_NODE": "4096"}
    launchers.enter_job(monkeypatch, **job)
    ended = harness_here(*words(*(f"say {n}" for n in range(16))), "--launch", "srun")
    assert ended.code == 0, ended.err
    assert {text["host"] for text in texts()} == {"n1", "n2"}
    assert {text["devices"] for text in texts()} == {"0"}
    asked = (played / "srun").read_text().splitlines()
    assert len(asked) == 4
    assert all("--gres=gpu:1" in line and "--cpus-per-task=4" in line and "--mem=2048M" in line for line in asked)


def test_replicas_of_two_gpus_each_share_out_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    launchers.enter_job(monkeypatch, GPUS_PER_NODE="a100:2")
    ended = harness_here(*words("say x"), "--launch", "srun", "-M", "replicas=2", "--dry-run", "--json")
    [load] = json.loads(ended.out)
    assert load["where"] == "2 processes (srun): node n1: 2 GPUs; node n2: 2 GPUs"


def test_gpus_that_slurm_alone_knows_of_are_asked_for(monkeypatch: pytest.MonkeyPatch, played: Path) -> None:
    """As in `salloc`, which sets no variable for them; the lines are those of a real job."""
    lines = ["   JOB_GRES=gpu:5", "     Nodes=n1 CPU_IDs=0-3 Mem=1000 GRES=gpu:a100:3(IDX:0-2),shard:0(0)"]
    lines += ["     Nodes=n2 CPU_IDs=0-1 Mem=1000 GRES=gpu:2(IDX:0-1)"]
    (played / "job").write_text("\n".join(lines), encoding="utf-8")
    launchers.enter_job(monkeypatch, JOB_ID="71")
    places = Launch(kind="srun").place(values())
    assert [(place.host, place.gpus, place.memory) for place in places] == [("n1", 1, 333)] * 3 + [("n2", 1, 500)] * 2


def test_a_job_that_is_over_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    launchers.enter_job(monkeypatch, JOB_ID="72")
    with pytest.raises(HarnessError, match="Invalid job id"):
        Launch(kind="srun").place(values())


def test_a_job_without_a_free_part_is_said_with_sruns_words(monkeypatch: pytest.MonkeyPatch) -> None:
    launchers.enter_job(monkeypatch, "full")
    ended = harness_here(*words("say x"), "--launch", "srun")
    assert ended.code == 2
    assert "Requested nodes are busy" in ended.err
    assert "replica 1 (node full, CPU) ended with exit code 1" in ended.err


def test_a_replica_that_srun_started_and_that_dies_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    launchers.enter_job(monkeypatch)
    ended = harness_here(*words("say a", "die once a"), "-M", "folder=.", "--launch", "srun")
    assert ended.code == 0, ended.err
    assert re.search(r"\(node n[12], CPU\) was killed by SIGKILL", ended.err)


def test_a_run_under_srun_that_is_killed_leaves_no_replica_and_goes_on_to_the_same_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launchers.enter_job(monkeypatch)
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    asked = (*words(*(f"say {n}" for n in range(40)), "hold gate"), "-M", f"folder={tmp_path}")
    killed = (*asked, "--launch", "srun", "--output", "killed")
    with (
        subprocess.Popen(command(killed), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process,
        gate.open("w"),  # opens once a replica holds the other end
    ):
        started = psutil.Process(process.pid).children(recursive=True)
        replicas = [each for each in started if "replica" in each.cmdline()[-1]]
        process.send_signal(signal.SIGKILL)
        _, alive = psutil.wait_procs(started, timeout=30)
    assert len(replicas) >= 2
    assert alive == []
    kept = Path("killed", "toy", "responses.jsonl").read_text(encoding="utf-8").splitlines()
    assert 1 <= len(kept) <= 40
    assert not Path("killed", "results.json").exists()
    gate.unlink()
    gate.write_text("", encoding="utf-8")
    for run in (killed, (*asked, "--output", "whole")):
        ended = harness_here(*run)
        assert ended.code == 0, ended.err
    lines = Path("killed", "toy", "responses.jsonl").read_text(encoding="utf-8").splitlines()
    assert (lines[: len(kept)], len(lines)) == (kept, 41), "nothing is asked twice"
    found = [json.loads(Path(name, "results.json").read_text(encoding="utf-8")) for name in ("killed", "whole")]
    for results in found:
        for name in ("command", "started", "finished", "wall_s"):
            del results[name]
    assert found[0] == found[1]


# -- beside it


def test_a_launcher_has_no_effect_on_a_model_that_is_not_local() -> None:
    ended = harness_here(*words("say x", model="openai/x"), *hosts("a"), "--dry-run")
    assert "--host has no effect" in ended.err


def test_a_config_may_name_hosts_and_python_too() -> None:
    Path("harness.yaml").write_text("host: [a, b]\n", encoding="utf-8")
    [load] = json.loads(harness_here(*words("say x"), "--dry-run", "--json").out)
    assert load["where"] == "2 processes (ssh): host a: all it has; host b: all it has"


def test_a_local_judge_is_started_there_too() -> None:
    ended = harness_here(*words("say x", judge="tone=toy/judge"), *hosts("a", "b"))
    assert ended.code == 0, ended.err


# -- images by their path


class TestSharedImages:
    """`shared=true`: a path and a hash go over the pipe instead of the bytes."""

    @pytest.fixture(autouse=True)
    def toys(self) -> Iterator[None]:
        with plugins.use(Host.load([PLUGINS[1]])):
            yield

    @pytest.fixture
    def request_(self, tmp_path: Path) -> Request:
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "one.png").write_bytes(PIXEL)
        one = open_image(open_files(tmp_path / "data").image("one.png"))
        return Request(messages=(Message(role="user", content=(one, open_image(fake_image()), Text(text="say x"))),))

    def test_a_file_goes_by_its_path_and_what_is_no_file_by_its_bytes(self, request_: Request, tmp_path: Path) -> None:
        body, blobs = wire.request_to_json(request_, shared=True)
        assert len(blobs) == 1
        parts = body["messages"][0]["content"]
        assert parts[0]["file"] == str(tmp_path / "data" / "one.png")
        assert "file" not in parts[1]
        images = anyio.run(wire.collect_images, body, blobs)
        assert [image.opened.data for image in wire.request_from_json(body, images).images] == [PIXEL, PIXEL]

    @pytest.mark.parametrize("hosts", [(), ("a",)])
    def test_a_replica_reads_it_there(self, request_: Request, hosts: tuple[str, ...]) -> None:
        answer, notes = self.answer(request_, hosts)
        assert answer["images"] == [image.opened.sha256 for image in request_.images]
        assert notes == ()

    @pytest.mark.parametrize(
        ("there", "said"), [("other", "has another content there"), ("", "cannot be read there (No such file")]
    )
    def test_one_that_is_not_the_same_there_is_sent_and_the_host_and_the_path_are_said_once(
        self, request_: Request, tmp_path: Path, there: str, said: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The host sees another disk under the same path."""
        disk = tmp_path / "disk"
        disk.mkdir()
        if there:
            (disk / "one.png").write_text(there)
        length = len(str(tmp_path / "data"))
        change = (
            "import harness.replicas.wire as w; r = w._read_shared; "
            f"w._read_shared = lambda f, h: r({str(disk)!r} + f[{length}:], h)"
        )
        monkeypatch.setattr("harness.replicas.pool.BOOT", _boot_after(change))
        answer, notes = self.answer(request_, ("a",))
        assert answer["images"] == [image.opened.sha256 for image in request_.images]
        [note] = notes
        assert "shared=true: replica 1 (host a, all it has)" in note
        assert f"{disk}/one.png" in note
        assert said in note

    @staticmethod
    def answer(request: Request, hosts: tuple[str, ...]) -> tuple[dict[str, Any], tuple[str, ...]]:
        spec = ModelSpec(ref="toy/plain", settings={"shared": True, "replicas": 1})

        async def body() -> tuple[dict[str, Any], tuple[str, ...]]:
            async with resolve(spec, launch=Launch(hosts=hosts)).open() as model:
                for _ in range(2):
                    given = await model.generate(request)
                assert isinstance(given, Response), given
                return json.loads(given.text), model.info.notes

        return anyio.run(body)
