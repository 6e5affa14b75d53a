"""The files of the containers are read, not built: no root, no key, and a build stage that sees enough."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "release").glob("Containerfile*"))


def read_lines(path: Path) -> list[str]:
    """The instructions of a Containerfile, each on one line."""
    text = re.sub(r"\\\n\s*", "", path.read_text("utf-8"))
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_there_is_one_for_a_cpu_and_one_for_cuda() -> None:
    assert [path.name for path in FILES] == ["Containerfile", "Containerfile.cuda"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_an_image_runs_as_a_user_and_keeps_models_and_data_in_volumes(path: Path) -> None:
    lines = read_lines(path)
    last = lines[max(n for n, line in enumerate(lines) if line.startswith("FROM ")) :]
    assert "USER 1000:1000" in last
    assert not any(line.startswith(("RUN ", "COPY ")) for line in last[last.index("USER 1000:1000") :])
    assert 'VOLUME ["/models", "/data"]' in last
    assert 'ENTRYPOINT ["harness"]' in last
    assert not any(line.startswith("COPY . ") for line in last), "the source stays in the build stage"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_any_user_that_run_names_may_write_where_the_harness_writes(path: Path) -> None:
    """docker's `--user` names the user of the host, whom the image does not know and who would have the home `/`."""
    lines = read_lines(path)
    (users,) = (line for line in lines if line.startswith("RUN useradd"))
    assert "chmod 0777 /home/harness" in users
    assert "install -d -m 0777 -o harness -g harness /models /data /work" in users
    assert any(line.startswith("ENV HOME=/home/harness HF_HOME=/models HARNESS_DATA=/data ") for line in lines)


def test_the_page_maps_the_user_of_podman_to_that_of_the_image() -> None:
    page = (ROOT / "docs" / "how-to" / "containers.md").read_text("utf-8")
    assert set(re.findall(r"--userns=(\S+?)[\s`]", page)) == {"keep-id:uid=1000,gid=1000"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_key_is_a_part_of_an_image(path: Path) -> None:
    for line in read_lines(path):
        if line.startswith(("ENV ", "ARG ")):
            assert not re.search(r"KEY|TOKEN|SECRET|PASSWORD", line), line


def test_a_wheel_can_be_built_of_what_the_build_stage_sees(tmp_path: Path) -> None:
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert lines[1] == "*", "all is hidden first"
    shown = [line.removeprefix("!") for line in lines if line.startswith("!")]
    for name in shown:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            shutil.copy(source, tmp_path / name)
    seen = Path(next(WheelBuilder(str(tmp_path)).build(directory=str(tmp_path / "seen"))))
    whole = Path(next(WheelBuilder(str(ROOT)).build(directory=str(tmp_path / "whole"))))
    assert seen.read_bytes() == whole.read_bytes()
