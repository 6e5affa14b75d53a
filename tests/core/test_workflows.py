"""The workflows of GitHub are read, not run: what they name exists, and no more is allowed to them than they need."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from release.check_version import check_version

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
MATRIX = re.compile(r"\$\{\{ *matrix\.(\w+) *\}\}")
PINNED = re.compile(r"(\./\S+|[\w-]+/[\w-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+)$")


def load(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return loaded


def list_steps(path: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each step with its job."""
    for job in load(path)["jobs"].values():
        for step in job.get("steps", [job]):
            yield job, step


def fill(text: str, job: dict[str, Any]) -> set[str]:
    """A command in each variant of the job's matrix."""
    matrix = job.get("strategy", {}).get("matrix", {})
    variants = matrix.get("include") or [{key: value} for key, values in matrix.items() for value in values] or [{}]
    filled = set()
    for variant in variants:
        each = text
        for key in MATRIX.findall(text):
            each = re.sub(rf"\$\{{\{{ *matrix\.{key} *\}}\}}", str(variant[key]), each)
        filled.add(each)
    return filled


def list_targets(path: Path) -> set[str]:
    """The targets of `make` that a workflow names."""
    commands = {each for job, step in list_steps(path) for each in fill(step.get("run", ""), job)}
    return {word for each in commands for words in re.findall(r"\bmake ([\w -]+)", each) for word in words.split()}


def test_there_are_a_workflow_for_each_change_and_one_for_a_release() -> None:
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "release.yml"]


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_each_target_of_make_that_a_workflow_names_exists(path: Path) -> None:
    targets = list_targets(path)
    assert targets
    for target in sorted(targets):
        done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_each_action_is_pinned_to_a_commit_beside_its_version_and_each_local_one_exists(path: Path) -> None:
    """A tag can be moved to other code; a commit cannot."""
    lines = re.findall(r"uses: (.+)$", path.read_text("utf-8"), re.MULTILINE)
    assert len(lines) == sum("uses" in step for _, step in list_steps(path))
    for used in lines:
        assert PINNED.match(used), used
        assert not used.startswith("./") or (ROOT / used).exists(), used


def test_one_action_has_one_commit_in_all_workflows() -> None:
    texts = "\n".join(path.read_text("utf-8") for path in WORKFLOWS)
    commits = set(re.findall(r"uses: ([\w-]+/[\w-]+)@(\S+)", texts))
    assert len(commits) == len({name for name, _ in commits})


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_only_read_unless_a_job_says_more_and_stores_no_secret(path: Path) -> None:
    workflow = load(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert "secrets." not in path.read_text("utf-8")
    for name, job in workflow["jobs"].items():
        more = {key for key, value in job.get("permissions", {}).items() if value == "write"}
        assert more <= {"id-token", "attestations"}, name
        assert "uses" in job or job["timeout-minutes"] <= 90, name
    for _, step in list_steps(path):
        assert "${{ github.event" not in step.get("run", ""), "text of others would run as a command"
        if str(step.get("uses")).startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_the_tests_run_on_every_python_that_the_package_names() -> None:
    names = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["classifiers"]
    pythons = [name.rpartition(" ")[2] for name in names if name.startswith("Programming Language :: Python :: 3.")]
    tested = load(ROOT / ".github" / "workflows" / "ci.yml")["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert pythons
    assert tested[: len(pythons)] == pythons, "a newer Python may be tested before it is named"


def test_every_test_runs_for_every_change() -> None:
    targets = re.findall(r"^(test[\w-]*)(?=[ :].*setup)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert {"test-zoos", "test-vllm"} <= set(targets)
    assert {*targets, "test-slow"} <= list_targets(ROOT / ".github" / "workflows" / "ci.yml")


def make_files(
    place: Path,
    *,
    version: str = "1.2.3",
    cited: str = "1.2.3",
    heading: str = "1.2.3 - 2027-01-31",
    source: str = 'Source = "https://example.org/h"',
    code: str = "https://example.org/h",
) -> Path:
    (place / "pyproject.toml").write_text(f'[project]\nversion = "{version}"\n[project.urls]\n{source}\n')
    (place / "CITATION.cff").write_text(f'cff-version: 1.2.0\nversion: {cited}\nrepository-code: "{code}"\n')
    (place / "CHANGELOG.md").write_text(
        f"# Changelog\n\n## Unreleased\n\n## {heading}\n- new\n\n## 1.2.2 - 2026-12-01\n"
    )
    return place


def test_a_tag_passes_if_every_file_names_its_version(tmp_path: Path) -> None:
    assert list(check_version("v1.2.3", make_files(tmp_path))) == []


@pytest.mark.parametrize(
    ("files", "file"),
    [
        ({"version": "1.2.4"}, "pyproject.toml has the version 1.2.4"),
        ({"cited": "1.2.2"}, "CITATION.cff has the version 1.2.2"),
        ({"heading": "1.2.2 - 2026-12-01"}, "CHANGELOG.md begins with"),
        ({"source": ""}, "pyproject.toml has no Source in [project.urls]"),
        ({"code": "https://example.org/other"}, "CITATION.cff has no `repository-code: https://example.org/h`"),
        ({"heading": "1.2.3"}, "CHANGELOG.md begins with `## 1.2.3`, not with `## 1.2.3 - YYYY-MM-DD`"),
    ],
)
def test_a_file_that_names_another_version_stops_the_release(tmp_path: Path, files: dict[str, str], file: str) -> None:
    (problem,) = check_version("v1.2.3", make_files(tmp_path, **files))
    assert file in problem


def test_a_tag_that_is_no_version_stops_the_release(tmp_path: Path) -> None:
    assert "the tag 1.2.3 is not like v1.2.3" in list(check_version("1.2.3", make_files(tmp_path)))
