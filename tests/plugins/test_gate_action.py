"""The GitHub action of `harness gate`: its file is well formed, and its steps do what they say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from harness.cli import cli

ROOT = Path(__file__).parents[2]
ACTION = ROOT / ".github" / "actions" / "gate" / "action.yml"
INPUT = re.compile(r"\$\{\{ inputs\.([a-z-]+)")


def load() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(ACTION.read_text(encoding="utf-8"))
    return loaded


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "my run"
    done = CliRunner().invoke(
        cli, ["run", "--model", "mini/mirage", "--tasks", "mis:mini", "--limit", "30", "--output", str(folder)]
    )
    assert done.exit_code == 0, done.output
    return folder


def decide(place: Path, **inputs: str) -> tuple[int, str, dict[str, str]]:
    """The exit code of the step that decides, what it printed, and its outputs; inputs as a workflow gives them."""
    action = load()
    (step,) = (each for each in action["runs"]["steps"] if each.get("id") == "gate")
    values = {name: str(about.get("default", "")) for name, about in action["inputs"].items()}
    values |= {name.replace("_", "-"): value for name, value in inputs.items()}
    env = {
        name: INPUT.sub(lambda found: values[found[1]], text).replace(" }}", "") for name, text in step["env"].items()
    }
    output, summary = place / "output", place / "summary.md"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env |= {"PATH": path, "GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(summary), "HOME": str(place)}
    script = place / "step.sh"
    script.write_text(step["run"])
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
        cwd=place,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    told = dict(line.split("=", 1) for line in output.read_text().splitlines()) if output.exists() else {}
    return done.returncode, done.stdout + done.stderr, told


def test_the_action_is_composite_and_each_of_its_steps_names_a_shell() -> None:
    action = load()
    assert action["runs"]["using"] == "composite"
    assert all(step["shell"] == "bash" for step in action["runs"]["steps"])
    assert all("description" in about for about in (*action["inputs"].values(), *action["outputs"].values()))


def test_each_input_is_used_and_none_is_pasted_into_a_script() -> None:
    action = load()
    assert set(INPUT.findall(ACTION.read_text(encoding="utf-8"))) == set(action["inputs"])
    assert not any("${{" in step["run"] for step in action["runs"]["steps"])


def test_the_workflow_of_the_page_names_the_action_by_its_path_and_only_inputs_that_it_has() -> None:
    page = (ROOT / "docs" / "gates.md").read_text(encoding="utf-8")
    block = page[page.index("    jobs:\n") :].partition("\n\n")[0]
    steps = yaml.safe_load(textwrap.dedent(block))["jobs"]["gate"]["steps"]
    (step,) = (each for each in steps if each.get("id") == "gate")
    assert ROOT / step["uses"] / "action.yml" == ACTION
    inputs = load()["inputs"]
    assert set(step["with"]) <= set(inputs)
    assert {name for name, about in inputs.items() if about.get("required")} <= set(step["with"])


@pytest.mark.parametrize(("rule", "code", "passed"), [("ASR:mis:mini=40", 0, "true"), ("ASR:mis:mini=0", 5, "false")])
def test_the_step_ends_as_the_gate_and_leaves_its_files(
    run: Path, tmp_path: Path, rule: str, code: int, passed: str
) -> None:
    ended, told, outputs = decide(
        tmp_path, runs=f"\n  {run}\n", max=f"{rule}\n\n", min="RSR:mis:mini=10", allow_subset="true"
    )
    assert ended == code, told
    assert outputs == {"passed": passed, "exit-code": str(code), "json": "gate.json", "junit": "gate.xml"}
    assert (tmp_path / "gate.json").exists()
    assert (tmp_path / "gate.xml").exists()
    assert rule.partition("=")[0] in (tmp_path / "summary.md").read_text()
    assert ("::error" in told) == (code == 5)


def test_a_run_of_a_part_is_not_decided_unless_the_input_allows_it(run: Path, tmp_path: Path) -> None:
    ended, told, outputs = decide(tmp_path, runs=str(run), max="ASR:mis:mini=40")
    assert (ended, outputs["passed"]) == (3, "false"), told
    assert "30 of 120" in told


def test_an_input_that_looks_like_a_command_is_only_a_text(run: Path, tmp_path: Path) -> None:
    ended, told, outputs = decide(tmp_path, runs=str(run), max='ASR:mis:mini=40\n"; touch owned; $(touch owned)=3')
    assert ended == 2, told
    assert outputs["exit-code"] == "2"
    assert not (tmp_path / "owned").exists()


def test_a_run_whose_name_looks_like_a_command_of_the_workflow_is_only_a_name(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "::set-output name=passed::true"
    shutil.copytree(run, folder)
    _, told, _ = decide(tmp_path, runs=folder.name, max="ASR:mis:mini=0", allow_subset="true")
    lines = told.splitlines()
    (start,) = (place for place, line in enumerate(lines) if line.startswith("::stop-commands::"))
    end = lines.index(f"::{lines[start].removeprefix('::stop-commands::')}::")
    commands = [place for place, line in enumerate(lines) if line.lstrip().startswith("::set-output")]
    assert commands
    assert all(start < place < end for place in commands)
    assert any(line.startswith("::error") for line in lines[end:])
