"""What `harness plugins new` writes works as it stands: it loads, keeps its contracts, and can be packed."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from harness import HarnessError, Suite
from harness.cli.plugin_skeleton import KINDS, USUAL, write
from harness.cli.plugins import KINDS_OF_NEW
from harness.testing.fakes import fake_task, host_of
from tests.acceptance.commands import harness, harness_here

NONE = host_of()
SUITE = Suite(name="testing_suite", description="", tasks=("testing_taken",))


def ran(*words: object, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, *map(str, words)], cwd=cwd, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_kind_of_the_command_has_something_to_begin_with() -> None:
    assert tuple(KINDS) == KINDS_OF_NEW
    assert set(USUAL) <= set(KINDS)


@pytest.mark.parametrize("kinds", [*((kind,) for kind in KINDS), USUAL, tuple(KINDS)], ids=str)
def test_its_tests_hold_it_to_the_contracts_and_pass(kinds: tuple[str, ...], tmp_path: Path) -> None:
    folder = write("newly_made", kinds, NONE, tmp_path / "new")
    out = ran("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--rootdir", folder, folder, cwd=folder)
    assert f"{len(kinds)} passed" in out


@pytest.mark.parametrize("kinds", [USUAL, tuple(KINDS)], ids=str)
def test_its_code_passes_the_usual_checks(kinds: tuple[str, ...], tmp_path: Path) -> None:
    folder = write("newly_made", kinds, NONE, tmp_path / "new")
    usual = ("--no-cache", "--isolated", "--line-length", "120")
    ran("-m", "ruff", "check", "--select=E,F,I,UP", *usual, ".", cwd=folder)
    ran("-m", "ruff", "format", "--check", *usual, ".", cwd=folder)
    ran("-m", "mypy", "--strict", "--no-incremental", "harness_newly_made", cwd=folder)


def test_its_wheel_holds_the_template_of_its_judge(tmp_path: Path) -> None:
    folder = write("newly_made", ["judge"], NONE, tmp_path / "new")
    ran("-m", "hatchling", "build", "-t", "wheel", cwd=folder)
    [wheel] = (folder / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {"harness_newly_made/__init__.py", "harness_newly_made/newly_made.j2"} <= set(names)
    assert not any(name.startswith("tests") for name in names)


def test_it_is_loaded_by_its_folder_and_asked(tmp_path: Path) -> None:
    folder = write("newly_made", USUAL, NONE, tmp_path / "new")
    plugin = ("--plugin", folder / "harness_newly_made")
    made = ("--model", "newly_made/any", "--tasks", "newly_made", "--output", tmp_path / "run")
    ended = harness("run", *made, *plugin)
    assert ended.code == 0, ended.err
    assert "refusal_rate" in ended.out


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mis", "the name 'mis' is taken: vlm-safety-harness"),
        ("pytest_plugin 1", "cannot name a plugin"),
        ("9lives", "cannot name a plugin"),
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
            write(name, USUAL, host_of(fake_task(name="testing_taken"), SUITE), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_suite_takes_the_name_of_no_model(tmp_path: Path) -> None:
    assert write("testing_suite", ["model", "judge"], host_of(SUITE), tmp_path / "new").is_dir()


def test_the_name_of_a_module_that_is_installed_is_taken(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="a module harness_mis is installed"):
        write("mis", USUAL, NONE, tmp_path / "new")


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("kept")
    with pytest.raises(HarnessError, match="the folder is there already"):
        write("newly_made", USUAL, NONE, tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["kept.txt"]


def test_dashes_of_a_name_become_underscores(tmp_path: Path) -> None:
    folder = write("newly-made", ["task"], NONE, tmp_path / "new")
    assert (folder / "harness_newly_made" / "__init__.py").is_file()
    assert 'name = "harness-newly-made"' in (folder / "pyproject.toml").read_text()
