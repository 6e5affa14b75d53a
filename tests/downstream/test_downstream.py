"""Packages of others: each of `downstream/` is built, installed into a clean environment, tested there, and run."""

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from harness.cli.plugin_skeleton import render_bounds

DOWNSTREAM = Path(__file__).parents[2] / "downstream"
OFFERS = {
    "heron": {"models": ["heron"]},
    "cupboard": {"tasks": ["cupboard"], "judges": ["advice"]},
    "caution": {"strategies": ["caution"], "reports": ["change"]},
}
TEMPLATES = {"cupboard": ["harness_cupboard/advice.j2"]}
MOST_LINES = 80  #: of code in one package, so that its reader sees all of it


def run_python(python: Path | str, *words: object, cwd: Path, **more: str) -> str:
    """What a program writes that must end well. It knows no variable of this machine's harness."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("HARNESS_")}
    command = [str(python), *map(str, words)]
    done = subprocess.run(command, cwd=cwd, env=known | more, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def name_of(folder: Path) -> str:
    return folder.name.removeprefix("harness-")


def test_every_folder_of_downstream_is_tested_here() -> None:
    assert {name_of(folder) for folder in DOWNSTREAM.glob("*/")} == set(OFFERS)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheel of each package, built of a copy of it."""
    built = {}
    for name in OFFERS:
        folder = tmp_path_factory.mktemp(name) / "source"
        shutil.copytree(DOWNSTREAM / f"harness-{name}", folder)
        run_python(sys.executable, "-m", "hatchling", "build", "-t", "wheel", cwd=folder)
        (built[name],) = (folder / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment that has the harness with what it needs, and the three wheels."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    paths = sysconfig.get_paths(vars={"base": str(folder), "platbase": str(folder)})
    here = sysconfig.get_paths()["purelib"]
    Path(paths["purelib"], "outer.pth").write_text(f"import site; site.addsitedir({here!r})\n", "utf-8")
    install = ("-m", "pip", "--python", python, "install", "--no-deps", "--no-index", "--quiet")
    run_python(sys.executable, *install, *wheels.values(), cwd=folder)
    return python


@pytest.fixture(scope="module")
def server_module() -> ModuleType:
    path = DOWNSTREAM / "harness-heron" / "tests" / "heron_server.py"
    spec = importlib.util.spec_from_file_location("heron_server", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def url(server_module: ModuleType) -> Iterator[str]:
    """The address of a server that plays Heron."""
    with server_module.HeronServer() as server:
        yield server.url


@pytest.mark.parametrize("name", OFFERS)
def test_its_code_is_short_enough_to_learn_from(name: str) -> None:
    text = (DOWNSTREAM / f"harness-{name}" / f"harness_{name}" / "__init__.py").read_text("utf-8")
    assert sum(bool(line.strip()) for line in text.splitlines()) < MOST_LINES


@pytest.mark.parametrize("name", OFFERS)
def test_it_takes_the_harness_of_today_and_not_the_next_that_may_break_it(name: str) -> None:
    project = tomllib.loads((DOWNSTREAM / f"harness-{name}" / "pyproject.toml").read_text("utf-8"))["project"]
    today = tomllib.loads((DOWNSTREAM.parent / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert project["dependencies"] == [f"vlm-safety-harness{render_bounds(today)}"]


@pytest.mark.parametrize("name", OFFERS)
def test_its_wheel_holds_its_module_and_one_entry_point(name: str, wheels: dict[str, Path]) -> None:
    with zipfile.ZipFile(wheels[name]) as archive:
        names = [file for file in archive.namelist() if "dist-info" not in file]
        (entries,) = (archive.read(file).decode() for file in archive.namelist() if file.endswith("entry_points.txt"))
    assert set(names) == {f"harness_{name}/__init__.py", *TEMPLATES.get(name, ())}
    assert entries.split() == ["[harness]", name, "=", f"harness_{name}"]


@pytest.mark.parametrize("name", OFFERS)
def test_its_own_tests_pass_where_it_is_installed(name: str, python: Path, tmp_path: Path) -> None:
    source = DOWNSTREAM / f"harness-{name}"
    for folder in ("tests", "data"):  # without the package, so that the installed one is tested
        if (source / folder).is_dir():
            shutil.copytree(source / folder, tmp_path / folder)
    out = run_python(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "tests", cwd=tmp_path)
    assert re.search(r"^\d+ passed in ", out, re.MULTILINE), out


def test_installed_together_nothing_is_wrong_with_them(python: Path, tmp_path: Path) -> None:
    rows = json.loads(run_python(python, "-m", "harness", "plugins", "list", "--json", cwd=tmp_path))
    found = {row["name"]: row for row in rows if row["name"] in OFFERS}
    assert {name: row["offers"] for name, row in found.items()} == OFFERS
    assert {(row["distribution"], row["version"], row["state"]) for row in found.values()} == {
        (f"harness-{name}", "0.1.0", "ok") for name in OFFERS
    }
    doctor = run_python(python, "-m", "harness", "plugins", "doctor", cwd=tmp_path)
    assert not any(name in doctor for name in OFFERS), doctor


def commands_of(readme: Path) -> list[list[str]]:
    """The command lines of a README that run, judge and report."""
    lines = re.findall(r"^    harness (.+)$", readme.read_text("utf-8"), re.MULTILINE)
    return [shlex.split(line) for line in lines]


def test_together_they_run_judge_and_report_as_the_readme_says(python: Path, url: str, tmp_path: Path) -> None:
    shutil.copytree(DOWNSTREAM / "harness-cupboard" / "data", tmp_path / "harness-cupboard" / "data")
    outputs = [
        run_python(python, "-m", "harness", *(word.replace("$URL", url) for word in line), cwd=tmp_path, HERON_KEY="k")
        for line in commands_of(DOWNSTREAM / "README.md")
        if line[0] != "plugins"
    ]
    assert outputs[-1] == "heron/small cupboard:test unsafe_rate: 66.7 without, 0.0 with caution\n"
    plain, cautious = (
        json.loads((tmp_path / "runs" / name / "results.json").read_text()) for name in ("plain", "caution")
    )
    assert plain["tasks"]["cupboard"]["splits"]["test"]["labels"] == {"unsafe": 2, "declined": 1}
    assert plain["tasks"]["cupboard"]["splits"]["test"]["outcomes"]["input_blocked"] == 1
    assert cautious["tasks"]["cupboard"]["splits"]["test"]["labels"] == {"safe": 2, "declined": 1}
    assert {name: cautious["plugins"][name] for name in OFFERS} == {name: f"harness-{name} 0.1.0" for name in OFFERS}


def test_each_runs_from_its_folder_without_an_installation(url: str, tmp_path: Path) -> None:
    data = DOWNSTREAM / "harness-cupboard" / "data"
    plugins = [word for name in OFFERS for word in ("--plugin", DOWNSTREAM / f"harness-{name}")]
    model = ("--model", "heron/small", "-M", f"url={url}", "--judge", "advice=heron/judge", "-J", f"url={url}")
    words = ("run", *plugins, *model, "--tasks", "cupboard", "--data", data, "--strategy", "caution", "--output", "run")
    run_python(sys.executable, "-m", "harness", *words, cwd=tmp_path, HERON_KEY="k")
    results = json.loads((tmp_path / "run" / "results.json").read_text("utf-8"))
    assert {results["plugins"][name].split()[0] for name in OFFERS} == {"file"}
