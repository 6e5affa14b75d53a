"""Replicas over a real ssh, to a server on this machine; left out where OpenSSH is not installed."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.acceptance.commands import command, harness_here, home

SSH, SSHD, KEYGEN = (
    shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") for name in ("ssh", "sshd", "ssh-keygen")
)
PLUGINS = [
    word for name in ("toy_models", "toy_tasks") for word in ("--plugin", Path(__file__).with_name(f"{name}.py"))
]
pytestmark = pytest.mark.skipif(not (SSH and SSHD and KEYGEN), reason="OpenSSH is not installed")
SERVER = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile {folder}/pid
PasswordAuthentication no
KbdInteractiveAuthentication no
StrictModes no
UsePAM no
PermitRootLogin yes
"""
CLIENT = """
Host one two
  HostName 127.0.0.1
  Port {port}
  IdentityFile {folder}/user
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known
  StrictHostKeyChecking accept-new
Host stranger
  HostName 127.0.0.1
  Port {port}
  IdentityFile {folder}/host
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known
  StrictHostKeyChecking accept-new
"""


@pytest.fixture(autouse=True)
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """A server, and an `ssh` on the PATH that knows it by the names `one` and `two`."""
    for name, value in home(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "ssh"
    folder.mkdir()
    for key in ("host", "user"):
        subprocess.run([str(KEYGEN), "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name, text in {"server": SERVER, "client": CLIENT}.items():
        (folder / name).write_text(text.format(port=port, folder=folder))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    (folder / "bin").mkdir()
    (folder / "bin" / "ssh").write_text(f'#!/bin/sh\nexec {SSH} -F {folder}/client "$@"\n')
    (folder / "bin" / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder / "bin"), prepend=":")
    process = subprocess.Popen([str(SSHD), "-D", "-f", str(folder / "server")], stderr=subprocess.DEVNULL)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if process.poll() is not None:
            pytest.skip("sshd does not start here")
        if (
            subprocess.run(["ssh", "-o", "BatchMode=yes", "one", "true"], capture_output=True, check=False).returncode
            == 0
        ):
            break
    else:
        process.kill()
        process.wait()
        pytest.skip("sshd lets nobody in here")
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def words(*asks: str) -> list[object]:
    asked = ["-T", f"toy.asks={'|'.join(asks)}", "-M", f"folder={Path.cwd()}"]
    return ["run", *PLUGINS, "--model", "toy/plain", "--tasks", "toy", "--judge", "fake", "--no-probe", *asked]


def texts() -> list[dict[str, Any]]:
    lines = map(json.loads, Path("runs/toy-plain/toy/responses.jsonl").read_text(encoding="utf-8").splitlines())
    return [json.loads(line["text"]) for line in lines]


def test_two_hosts_answer_and_a_replica_that_dies_there_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    asks = ["die once a", "env HF_TOKEN", *(f"say {n}" for n in range(10))]
    ended = harness_here(*words(*asks), "--host", "one", "--host", "two")
    assert ended.code == 0, ended.err
    assert "started again (1 of 2)" in ended.err
    assert len({text["pid"] for text in texts()}) >= 2
    assert "hf_secret" in {text["said"] for text in texts()}


def test_a_host_that_lets_us_in_only_with_a_password_is_said_and_asks_nothing() -> None:
    ended = harness_here(*words("say x"), "--host", "stranger")
    assert ended.code == 2
    assert "Permission denied" in ended.err
    assert "this must work without a question: ssh stranger true" in ended.err


@pytest.mark.parametrize("end", ["command", "ssh"])
def test_when_the_command_or_its_ssh_is_killed_the_replicas_over_there_end(
    end: str, tmp_path: Path, server: subprocess.Popen[bytes]
) -> None:
    os.mkfifo(tmp_path / "gate")
    run = command((*words("hold gate"), "--host", "one"))
    with (
        subprocess.Popen(run, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process,
        (tmp_path / "gate").open("w"),  # opens once the replica holds the other end
    ):
        there = psutil.Process(server.pid).children(recursive=True)
        replicas = [each for each in there if "replica 1" in "".join(each.cmdline()[-1:])]
        [client] = psutil.Process(process.pid).children()
        if end == "ssh":
            client.kill()
        process.send_signal(signal.SIGKILL)
        _, alive = psutil.wait_procs(replicas, timeout=30)
    assert len(replicas) >= 1
    assert alive == []
