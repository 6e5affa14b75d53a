"""A disk that is full ends a build with the file and a remedy, and the same command goes on."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from harness_builder.disk import disk_errors, write_error
from harness_builder.output import verify
from harness_builder.output.dataset import copy_image

from harness import HarnessError
from tests.training.built import Workplace, there
from tests.training.test_builder_command_mis import in_the_mini_world
from tests.training.trained import called

IDEAS = 12
#: the command, in a process whose files cannot grow beyond a size, which is a full disk to it
SMALL = """
import resource, sys
size = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
from harness.cli import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize("size", [2_000, 20_000, 60_000])
def test_a_build_on_a_full_disk_names_the_file_and_goes_on_when_there_is_room(tmp_path: Path, size: int) -> None:
    config = in_the_mini_world(tmp_path, sort={"review": "none"})
    rows = [f"{number},A red star number {number} near a blue ring" for number in range(IDEAS)]
    (tmp_path / "ideas.csv").write_text("\n".join(["id,text", *rows]), encoding="utf-8")
    words = ["build", "mis", "--config", str(config), "--out", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-c", SMALL, str(size), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert f"({tmp_path / 'out'}/" in done.stderr
    assert "\n  free some space; the same command goes on, and repeats no call that was finished" in done.stderr
    assert called(words)[0] == 0
    assert verify(tmp_path / "out") == []


@pytest.mark.parametrize("name", [".being-written", "README.md", "build.json"])
def test_a_set_that_cannot_be_written_whole_names_the_folder_and_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    place = Workplace(tmp_path / "set")
    place.finish()
    before = there(place.folder)
    rename, mkdir = Path.replace, Path.mkdir

    def full(path: Path) -> None:
        if path.name == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def renamed(path: Path, target: Path) -> Path:
        full(Path(target))
        return rename(path, target)

    def made(path: Path, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        full(path)
        mkdir(path, mode, parents, exist_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", renamed)
        patched.setattr(Path, "mkdir", made)
        with pytest.raises(HarnessError, match="No space left") as caught:
            place.finish()
    assert str(place.folder) in caught.value.where
    assert "the same command goes on" in caught.value.remedy
    place.finish()
    assert there(place.folder).keys() == before.keys()


def test_an_image_for_which_there_is_no_room_is_not_taken_for_a_broken_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Workplace(tmp_path / "set")
    source = place.image(place.made(0, "easy").pair.images[0])

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.link", full)
    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(OSError, match="No space left"):
        copy_image(source, tmp_path / "a.png")


def test_only_a_full_disk_is_told_to_be_freed() -> None:
    with pytest.raises(HarnessError) as caught, disk_errors(Path("calls.db")):
        raise OSError(errno.EACCES, "Permission denied", "/there/a.png")
    assert (caught.value.what, caught.value.where) == ("cannot write: Permission denied", "/there/a.png")
    assert caught.value.remedy == ""
    assert write_error(Path("a"), sqlite3.OperationalError("locked")).remedy == ""
