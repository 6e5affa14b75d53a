"""Installed distributions are found as `importlib.metadata` finds them, without its import."""

import importlib.metadata
import shutil
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.plugins.distributions import find_distributions, load_entry, parse_entries
from harness.testing.installed import install


def list_entries() -> list[tuple[str, str]]:
    texts = [found.read_text("entry_points.txt") or "" for found in find_distributions()]
    return [entry for text in texts for entry in parse_entries(text, "harness")]


def test_the_entries_are_those_of_importlib_metadata() -> None:
    found = importlib.metadata.distributions()
    theirs = [(e.name, e.value) for each in found for e in each.entry_points.select(group="harness")]
    assert sorted(list_entries()) == sorted(theirs)
    assert len(theirs) > 40


def test_a_distribution_is_found_in_a_zip_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = install(tmp_path / "site", "zipped", entries={"zipped": "zipped_module"}, modules={})
    shutil.make_archive(str(tmp_path / "packed"), "zip", folder)
    assert zipfile.is_zipfile(tmp_path / "packed.zip")
    monkeypatch.setattr("sys.path", [str(tmp_path / "packed.zip")])
    assert list_entries() == [("zipped", "zipped_module")]


@pytest.mark.parametrize("name", ["old.egg-info", "old.egg/EGG-INFO"])
def test_an_egg_is_a_distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / name).mkdir(parents=True)
    (tmp_path / name / "entry_points.txt").write_text("[other]\na = b\n[harness]\nold = module:thing\n", "utf-8")
    monkeypatch.setattr("sys.path", [str(tmp_path), str(tmp_path / "old.egg"), str(tmp_path / "missing")])
    assert list_entries() == [("old", "module:thing")]


def test_an_import_hook_with_its_own_distributions_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "hooked", entries={"hooked": "module"}, modules={})

    class Hook:
        def find_distributions(self, _: object = None) -> Iterator[importlib.metadata.Distribution]:
            yield importlib.metadata.Distribution.at(next(tmp_path.glob("*.dist-info")))

        def find_spec(self, *_: object) -> None:
            return None

    monkeypatch.setattr("sys.meta_path", [*sys.meta_path, Hook()])
    assert ("hooked", "module") in list_entries()


def test_a_comment_is_no_entry_and_a_line_without_a_target_is_refused() -> None:
    assert parse_entries("[harness]\n# note\n a = b:c [extra]\n", "harness") == [("a", "b:c [extra]")]
    with pytest.raises(ValueError, match="'broken' is not NAME = MODULE"):
        parse_entries("[harness]\nbroken\n", "harness")


def test_an_entry_is_a_module_or_something_in_it() -> None:
    assert load_entry("json") is sys.modules["json"]
    assert load_entry("pathlib:Path.cwd [extra]") == Path.cwd
    with pytest.raises(ValueError, match="'no target!' is not MODULE or MODULE:ATTRIBUTE"):
        load_entry("no target!")
