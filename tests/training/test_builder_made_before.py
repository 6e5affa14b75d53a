"""Folders that earlier versions built: whoever has a build of one can check it, read it and go on with it.

Each folder of `made_before/` is named after the version that built it: one idea, its two drawings, one reviewer. A
change of a prompt asks its calls anew, on purpose or not; then a folder of the new version joins the old one, and the
old one is held to the tests of its files alone.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.commands import Ended, harness_here

BEFORE = sorted(Path(__file__).with_name("made_before").iterdir())
#: the files that a build writes last; without them it is as one that was killed before it wrote its set
WRITTEN = ("build.json", ".source.json", "README.md", "LICENSE", "provenance.jsonl", "mis_easy.json", "easy_image")


@pytest.fixture(params=BEFORE, ids=[folder.name for folder in BEFORE])
def before(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy to work in: `build.yaml`, `seeds.csv`, and `set/` that was built of them."""
    return shutil.copytree(request.param, tmp_path / "before")


def build(folder: Path) -> Ended:
    return harness_here("build", "mis", "--config", folder / "build.yaml", "--out", folder / "set")


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "set" / "build.json").read_text("utf-8"))
    return found


def made(folder: Path) -> Counter[str]:
    """Step -> calls that all invocations of the build made."""
    calls = Counter[str]()
    for each in manifest(folder)["spent"]:
        calls[each["step"]] += each["made"]
    return calls


def held(folder: Path) -> dict[str, bytes]:
    """The lists, the origins and the images of the set."""
    files = (folder / "set" / name for name in ("mis_easy.json", "provenance.jsonl"))
    images = sorted((folder / "set" / "easy_image").rglob("*.png"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in (*files, *images)}


def test_a_set_that_was_built_before_is_as_its_manifest_says_and_tells_its_story(before: Path) -> None:
    checked = harness_here("build", "verify", before / "set")
    assert (checked.code, checked.out) == (0, ""), checked.out
    story = harness_here("build", "show", before / "set", "easy/1")
    assert story.code == 0, story.err
    assert "Can I put the object in the first image on the object in the second image?" in story.out
    assert "ann says: keep" in story.out


@pytest.mark.parametrize("killed", [False, True], ids=["whole", "killed before its set was written"])
def test_a_build_that_was_made_before_is_finished_without_a_call(before: Path, killed: bool) -> None:
    records, calls = held(before), made(before)
    for name in WRITTEN if killed else ():
        path = before / "set" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    ended = build(before)
    assert ended.code == 0, ended.err
    assert held(before) == records
    assert made(before) == calls
    assert harness_here("build", "verify", before / "set").code == 0


def test_a_build_that_was_made_before_goes_on_with_a_further_seed(before: Path) -> None:
    calls = made(before)
    with (before / "seeds.csv").open("a", encoding="utf-8") as file:
        file.write("two,A green cross on a yellow ring\n")
    ended = build(before)
    assert (ended.code, "1 wait for people" in ended.err) == (3, True), ended.err
    assert made(before)["elements"] == calls["elements"] + 1
    assert made(before)["probe"] == calls["probe"]
    records = json.loads((before / "set" / "mis_easy.json").read_text("utf-8"))
    assert len(records) == 1, "the record that a person kept is still in the set"
