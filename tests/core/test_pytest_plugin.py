"""The fixtures that an installed harness gives to everybody's pytest."""

import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from harness import Response, plugins
from harness.plugins import host as host_module
from harness.testing.fakes import fake_sample, fake_task


def test_a_fake_model_answers_in_turn_and_remembers_what_it_was_asked(fake_model) -> None:
    model = fake_model(["first", "second"])
    request = fake_sample().request
    said = [anyio.run(model.generate, request) for _ in range(3)]
    assert said == [Response(text="first"), Response(text="second"), Response(text="second")]
    assert model.asked == [request] * 3


def test_a_host_of_descriptors_is_the_current_one_for_a_while(harness_host) -> None:
    with harness_host(fake_task(name="mine")) as host:
        assert plugins.current() is host
        assert [task.name for task, _ in host.offers("tasks")] == ["mine"]
    assert host_module._current is not host


def test_a_chat_server_listens(chat_server) -> None:
    assert chat_server.base_url.startswith("http://127.0.0.1:")
    assert chat_server.calls == []


def test_the_fixtures_are_there_where_the_harness_is_installed_and_import_nothing_before_use(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import sys\n"
        "def test_it(request):\n"
        "    before = [name for name in sys.modules if name.startswith('harness.')]\n"
        "    assert before == ['harness.testing', 'harness.testing.pytest_plugin']\n"
        "    assert request.getfixturevalue('fake_model')('ok').asked == []\n",
        "utf-8",
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["fake_model", "harness_host", "chat_server"])
def test_each_fixture_says_what_it_is(request: pytest.FixtureRequest, name: str) -> None:
    from harness.testing import pytest_plugin

    assert getattr(pytest_plugin, name).__doc__
