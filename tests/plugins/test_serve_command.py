"""The command `harness serve`, started and ended as a user does."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result

from harness.cli import cli
from harness.web import is_loopback

MODEL = """
from harness.testing.fakes import fake_provider
from harness import hookimpl

@hookimpl
def harness_models():
    return [fake_provider(lambda request: request.messages[-1].content[0].text, scheme="echo")]
"""
ASKED = {"messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def plugin(tmp_path: Path) -> str:
    path = tmp_path / "echo_plugin.py"
    path.write_text(MODEL, encoding="utf-8")
    return str(path)


@contextlib.contextmanager
def started(*flags: str, **environment: str) -> Generator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "harness", "serve", *flags]
    env = {**os.environ, **environment}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as process:
        try:
            yield process
        finally:
            process.kill()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line or process.stderr is None, process.stderr.read() if process.stderr else ""
    return line


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_address_answers_and_ends_well(plugin: str, ending: signal.Signals) -> None:
    with started("--model", "echo/x", "--plugin", plugin, "--json") as process:
        said = json.loads(first_line(process))
        reply = httpx.post(
            f"{said['base_url']}/chat/completions",
            headers={"authorization": f"Bearer {said['token']}"},
            json={"model": said["model"], **ASKED},
            timeout=None,
        )
        process.send_signal(ending)
        out, err = process.communicate()
    assert reply.json()["choices"][0]["message"]["content"] == "hello"
    assert said["base_url"].startswith("http://127.0.0.1:")
    assert said["model"] == "echo/x"
    assert process.returncode == 0, err
    assert out == ""
    assert "Traceback" not in err


def test_it_says_how_to_use_it_and_does_not_repeat_a_token_of_the_users_own(plugin: str) -> None:
    flags = ("--model", "echo/x", "--plugin", plugin, "--name", "judge", "--token-env", "MINE")
    with started(*flags, MINE="t0p-s3cret-token") as process:
        url = first_line(process).strip()
        headers = {"authorization": "Bearer t0p-s3cret-token"}
        cards = httpx.get(f"{url}/models", headers=headers, timeout=None).json()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert cards["data"][0]["id"] == "judge"
    assert f"export OPENAI_BASE_URL={url}" in err
    assert "export OPENAI_API_KEY=$MINE" in err
    assert "s3cret" not in out + err


def refused(*flags: str) -> Result:
    done = CliRunner().invoke(cli, ["serve", *flags])
    assert done.exit_code != 0
    return done


def test_mistakes_are_the_users_to_mend(plugin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NONE", raising=False)
    ours = ("--model", "echo/x", "--plugin", plugin)
    assert "no token" in str(refused(*ours, "--token-env", "NONE").exception)
    assert "no valid token" in str(refused_with(monkeypatch, "two words", *ours).exception)
    assert "is not an address of this machine" in str(refused(*ours, "--host", "no.such.host.invalid").exception)
    assert "give another --host" in str(refused(*ours, "--host", "192.0.2.1").exception)
    assert "no setting" in str(refused(*ours, "-M", "a=b").exception)
    assert "Missing option '--model'" in refused().output
    assert "does not exist" in refused(*ours, "--files", "/there/is/none").output


def refused_with(monkeypatch: pytest.MonkeyPatch, token: str, *flags: str) -> Result:
    monkeypatch.setenv("BAD", token)
    return refused(*flags, "--token-env", "BAD")


def test_without_the_extra_it_says_how_to_get_it(plugin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "starlette.applications", None)
    monkeypatch.delitem(sys.modules, "harness.web.chat", raising=False)
    error = refused("--model", "echo/x", "--plugin", plugin).exception
    assert "needs the extra `serve`" in str(error)
    assert "pip install 'vlm-safety-harness[serve]'" in str(error)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("a.b", False)],
)
def test_other_machines_are_known_from_this_one(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_an_address_that_others_reach_is_warned_about(plugin: str) -> None:
    with started("--model", "echo/x", "--plugin", plugin, "--host", "0.0.0.0") as process:
        first_line(process)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert "warning: other machines can reach 0.0.0.0" in err
