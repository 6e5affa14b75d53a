"""What plugin authors get: `harness plugins new`, and the fixtures of pytest."""

import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import anyio
import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from harness import HarnessError, Response, Suite, plugins
from harness.cli.plugin_skeleton import KINDS, USUAL, render_bounds, write_plugin
from harness.plugins import host as host_module
from harness.testing.fakes import fake_sample, fake_task, host_of
from tests.acceptance.commands import harness, harness_here

NONE = host_of()
SUITE = Suite(name="testing_suite", description="", tasks=("testing_taken",))


def ran(*words: object, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, *map(str, words)], cwd=cwd, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("kinds", [*((kind,) for kind in KINDS), tuple(KINDS)], ids=str)
def test_its_tests_hold_it_to_the_contracts_and_pass(kinds: tuple[str, ...], tmp_path: Path) -> None:
    folder = write_plugin("newly_made", kinds, NONE, tmp_path / "new")
    out = ran("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--rootdir", folder, folder, cwd=folder)
    assert f"{len(kinds)} passed" in out


@pytest.fixture(scope="module")
def mypy_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What mypy found of the harness is kept from test to test, which is most of its work."""
    return tmp_path_factory.mktemp("mypy")


@pytest.mark.slow
@pytest.mark.parametrize("kinds", [USUAL, tuple(KINDS)], ids=str)
def test_its_code_passes_the_usual_checks(kinds: tuple[str, ...], tmp_path: Path, mypy_cache: Path) -> None:
    folder = write_plugin("newly_made", kinds, NONE, tmp_path / "new")
    usual = ("--no-cache", "--isolated", "--line-length", "120")
    ran("-m", "ruff", "check", "--select=E,F,I,UP", *usual, ".", cwd=folder)
    ran("-m", "ruff", "format", "--check", *usual, ".", cwd=folder)
    ran("-m", "mypy", "--strict", "--cache-dir", mypy_cache, "harness_newly_made", cwd=folder)


def test_its_wheel_holds_the_template_of_its_judge(tmp_path: Path) -> None:
    folder = write_plugin("newly_made", ["judge"], NONE, tmp_path / "new")
    ran("-m", "hatchling", "build", "-t", "wheel", cwd=folder)
    [wheel] = (folder / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {"harness_newly_made/__init__.py", "harness_newly_made/newly_made.j2"} <= set(names)
    assert not any(name.startswith("tests") for name in names)


def test_the_command_says_what_it_wrote_and_how_to_try_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ended = harness_here("plugins", "new", "my_own")
    assert (ended.code, ended.out) == (0, "wrote harness-my-own\n")
    assert "harness plugins list --plugin harness-my-own/harness_my_own" in ended.err
    assert (tmp_path / "harness-my-own" / "harness_my_own" / "my_own.j2").is_file(), "a judge is among what is usual"


def test_it_is_loaded_by_its_folder_and_asked(tmp_path: Path) -> None:
    folder = write_plugin("newly_made", USUAL, NONE, tmp_path / "new")
    plugin = ("--plugin", folder / "harness_newly_made")
    made = ("--model", "newly_made/any", "--tasks", "newly_made", "--output", tmp_path / "run")
    ended = harness("run", *made, *plugin)
    assert ended.code == 0, ended.err
    assert "refusal_rate" in ended.out


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mis", "the name 'mis' is taken: vlm-safety-harness"),
        *((name, "cannot name a plugin") for name in ("9lives", "Mine", "my own", "../up", "")),
        ("testing_taken", "plugin fakes offers the task 'testing_taken'"),
        ("testing_suite", "plugin fakes offers the suite 'testing_suite'"),
    ],
)
def test_a_name_that_is_taken_or_none_is_refused(name: str, said: str, tmp_path: Path) -> None:
    if name == "mis":
        ended = harness_here("plugins", "new", name, "--output", tmp_path / "new")
        assert ended.code == 2
        assert said in ended.err
    else:
        with pytest.raises(HarnessError, match=said):
            write_plugin(name, USUAL, host_of(fake_task(name="testing_taken"), SUITE), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_suite_takes_the_name_of_no_model(tmp_path: Path) -> None:
    assert write_plugin("testing_suite", ["model", "judge"], host_of(SUITE), tmp_path / "new").is_dir()


def test_the_name_of_a_module_that_is_installed_is_taken(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="a module harness_mis is installed"):
        write_plugin("mis", USUAL, NONE, tmp_path / "new")


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("kept")
    with pytest.raises(HarnessError, match="the folder exists already"):
        write_plugin("newly_made", USUAL, NONE, tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["kept.txt"]


def test_dashes_of_a_name_become_underscores(tmp_path: Path) -> None:
    folder = write_plugin("newly-made", ["task"], NONE, tmp_path / "new")
    assert (folder / "harness_newly_made" / "__init__.py").is_file()
    assert 'name = "harness-newly-made"' in (folder / "pyproject.toml").read_text()


def test_a_new_package_takes_the_harness_of_today_and_not_the_next_that_may_break_it(tmp_path: Path) -> None:
    folder = write_plugin("newly-made", ["task"], NONE, tmp_path / "new")
    (needed,) = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    installed = version("vlm-safety-harness")
    assert needed == f"vlm-safety-harness{render_bounds(installed)}"
    assert installed in Requirement(needed).specifier


@pytest.mark.parametrize(
    ("today", "inside", "outside"),
    [("0.1.3", "0.1.9", "0.2.0"), ("1.2.0", "1.9.0", "2.0.0"), ("0.2.0rc1", "0.2.0rc1", "0.3.0")],
)
def test_the_bounds_end_where_a_release_may_break_a_plugin(today: str, inside: str, outside: str) -> None:
    bounds = SpecifierSet(render_bounds(today))
    assert bounds.contains(inside, prereleases=True)
    assert outside not in bounds


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
