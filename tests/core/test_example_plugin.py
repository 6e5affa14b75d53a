"""The example plugin: as short as promised, true to its contracts, and at work from a wheel in a clean environment."""

import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from harness.plugins import Host
from harness.readers import open_files
from harness.testing.conformance import check_judge, check_provider, check_task
from harness.testing.server import Call, ChatServer

EXAMPLE = Path(__file__).parents[2] / "examples" / "harness-example-plugin"
FILE = EXAMPLE / "harness_example.py"
TARGETS = {"a model": 25, "a task": 40, "a judge": 25}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example's own wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(EXAMPLE)], check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment that has the harness with what it needs, and the wheel."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    paths = sysconfig.get_paths(vars={"base": str(folder), "platbase": str(folder)})
    here = sysconfig.get_paths()["purelib"]
    Path(paths["purelib"], "outer.pth").write_text(f"import site; site.addsitedir({here!r})\n", "utf-8")
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", "--quiet"]
    subprocess.run([*command, str(wheel)], check=True, capture_output=True)
    return python


def harness(python: Path | str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run `harness ARGUMENTS` in a process of its own."""
    unset = ("HARNESS_PLUGINS_ALLOW", "HARNESS_PLUGINS_BLOCK", "HARNESS_JUDGE", "HARNESS_DATA")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    command = [str(python), "-m", "harness", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False)


def play(call: Call) -> str:
    """A model that is careless about one question, and a judge that reads it."""
    text = "\n".join(part.value for part in call.parts if part.kind == "text")
    if "how the assistant dealt with the danger" in text:
        return json.dumps({"reason": "as it says", "answer": "careless" if "Right on top" in text else "careful"})
    return "Right on top of it." if "hang" in text else "Anywhere in the sun."


def run(python: Path | str, server: ChatServer, folder: Path, *more: str) -> dict[str, object]:
    """The metrics of a run of the example against a server that plays model and judge."""
    url = f"url={server.base_url}"
    arguments = ["--model", "example/vlm", "-M", url, "--judge", "example/judge", "-J", url, "--tasks", "example"]
    data = ["--data", str(EXAMPLE / "data"), "--output", str(folder / "run"), "--no-probe"]
    done = harness(python, "run", *arguments, *data, *more, cwd=folder)
    assert done.returncode == 0, done.stderr
    results = json.loads((folder / "run" / "results.json").read_text("utf-8"))
    return {"plugins": results["plugins"], **results["tasks"]["example"]["splits"]["all"]}


def test_each_part_is_as_short_as_promised() -> None:
    head, *sections = re.split(r"^# --- (a \w+):.*$", FILE.read_text("utf-8"), flags=re.MULTILINE)
    lines = {name: count(head) + count(body) for name, body in zip(sections[::2], sections[1::2], strict=True)}
    assert {name: lines[name] for name in lines if lines[name] > TARGETS[name]} == {}
    assert set(lines) == set(TARGETS)
    assert max(len(line) for line in FILE.read_text("utf-8").splitlines()) <= 120


def count(text: str) -> int:
    return sum(bool(line.strip()) for line in text.splitlines())


def test_it_keeps_its_contracts() -> None:
    host = Host.load([FILE], allow=["example"])
    check_provider(host.provider("example"))
    check_task(host.task("example"), EXAMPLE / "data" / "example", host=host)
    assert open_files(EXAMPLE / "data" / "example").has("towel.png")
    good = '{"reason": "it says so", "answer": "careful"}'
    check_judge(host.judge("example"), replies=[good])


def test_a_model_of_it_is_asked_over_http() -> None:
    host = Host.load([FILE], allow=["example"])
    with ChatServer("a towel") as server:
        check_provider(
            host.provider("example"), "vlm", settings={"url": server.base_url}, shown=lambda: server.calls[-1].images
        )
    assert [len(call.images) for call in server.calls] == [0, 3, 0]


def test_its_wheel_holds_one_python_file_a_template_and_one_entry_point(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (entries,) = [archive.read(name).decode() for name in names if name.endswith("entry_points.txt")]
    assert [name for name in names if "dist-info" not in name] == ["harness_example.j2", "harness_example.py"]
    assert entries.split() == ["[harness]", "example", "=", "harness_example"]


def test_installed_into_a_clean_environment_it_adds_a_model_a_task_and_a_judge(clean: Path, tmp_path: Path) -> None:
    done = harness(clean, "plugins", "list", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (row,) = [row for row in json.loads(done.stdout) if row["name"] == "example"]
    assert row == {
        "name": "example",
        "distribution": "harness-example-plugin",
        "version": "0.1.0",
        "state": "ok",
        "offers": {"models": ["example"], "tasks": ["example"], "judges": ["example"]},
    }


def test_installed_into_a_clean_environment_it_runs(clean: Path, tmp_path: Path) -> None:
    with ChatServer(play) as server:
        found = run(clean, server, tmp_path)
    assert found["labels"] == {"careless": 1, "careful": 1}
    assert found["metrics"]["careless_rate"]["value"] == 50.0  # type: ignore[index]
    assert found["plugins"]["example"] == "harness-example-plugin 0.1.0"  # type: ignore[index]
    assert sorted(len(call.images) for call in server.calls) == [0, 0, 2, 2]


def test_as_a_file_it_runs_without_packaging(tmp_path: Path) -> None:
    with ChatServer(play) as server:
        found = run(sys.executable, server, tmp_path, "--plugin", str(FILE))
    assert found["labels"] == {"careless": 1, "careful": 1}
    assert str(found["plugins"]["example"]).startswith("file ")  # type: ignore[index]
