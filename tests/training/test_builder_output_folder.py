"""A build replaces what a build has put into a folder, and nothing else that lies there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from harness_builder.calls.store import CallStore
from harness_builder.output import allow_replacement, check_free, check_name, verify

from harness import HarnessError
from tests.training.built import Workplace, plan, there
from tests.training.test_builder_command_mis import in_the_mini_world
from tests.training.trained import called


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path / "set")


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")


def refused(folder: Path) -> str:
    """What is said; nothing is touched."""
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(HarnessError, match="which no build made") as caught:
        check_free(folder)
    with pytest.raises(HarnessError):
        Workplace(folder).write([])
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    return caught.value.what


class TestAFolderThatNoBuildHasWrittenTo:
    @pytest.mark.parametrize("name", ["images/holiday.jpg", "README.md", "LICENSE", "mis_easy.json", "build.json"])
    @pytest.mark.parametrize("sign", ["work/", ".being-written/", "work/calls.db", "build.json"])
    def test_keeps_what_is_in_it_whatever_looks_like_a_sign_of_a_build(
        self, tmp_path: Path, name: str, sign: str
    ) -> None:
        (tmp_path / sign).mkdir(parents=True) if sign.endswith("/") else put(tmp_path, sign)
        if name != "build.json":
            (tmp_path / "build.json").write_text("{}")
        put(tmp_path, name)
        assert name in refused(tmp_path)

    def test_keeps_what_is_in_it_while_a_build_works_there(self, tmp_path: Path) -> None:
        CallStore(tmp_path / "work").close()
        check_free(tmp_path)
        put(tmp_path, "README.md", "images/holiday.jpg")
        assert "README.md, images/holiday.jpg" in refused(tmp_path)

    def test_may_hold_folders_of_nothing_and_files_under_other_names(self, tmp_path: Path) -> None:
        put(tmp_path, "notes.txt", "pictures/holiday.jpg")
        for name in ("images", "work", ".being-written"):
            (tmp_path / name).mkdir()
        check_free(tmp_path)
        place = Workplace(tmp_path)
        place.finish()
        assert (tmp_path / "pictures/holiday.jpg").read_text() == "mine"

    def test_keeps_its_own_work(self, tmp_path: Path) -> None:
        put(tmp_path, "work/records.jsonl")
        with pytest.raises(HarnessError, match=r"holds work/records\.jsonl, which no build made") as caught:
            check_free(tmp_path)
        assert "--out" in caught.value.remedy

    def test_is_left_as_it_is_by_the_command(self, tmp_path: Path) -> None:
        put(tmp_path / "w", "images/holiday.jpg", "README.md")
        (tmp_path / "w/work").mkdir()
        words = ["build", "mis", "--config", str(in_the_mini_world(tmp_path)), "--out", str(tmp_path / "w")]
        for more in ([], ["--dry-run"], ["--fresh"]):
            code, _, said = called([*words, *more])
            assert (code, "README.md, images/holiday.jpg, which no build made" in said) == (2, True)
        assert there(tmp_path / "w") == {"images/holiday.jpg": b"mine", "README.md": b"mine"}
        assert list((tmp_path / "w/work").iterdir()) == []


class TestAFolderOfABuild:
    def test_keeps_what_is_in_nobodys_way(self, place: Workplace) -> None:
        place.finish()
        put(place.folder, "images/holiday.jpg", "images/1/notes.txt", "easy_image/3/notes.txt", "notes.txt")
        place.finish(place.write([place.made(40, "train"), place.made(41, "easy")]))
        assert there(place.folder).keys() >= {"images/holiday.jpg", "images/1/notes.txt", "easy_image/3/notes.txt"}
        told = json.loads((place.folder / "build.json").read_text())["files"]
        assert not any(name.endswith(("holiday.jpg", "notes.txt")) for name in told)
        assert "easy_image/3/object1.png" not in there(place.folder)
        assert not (place.folder / "hard_image").exists()
        assert [str(each) for each in verify(place.folder)] == [
            *("added: easy_image/3/notes.txt", "added: images/1/notes.txt", "added: images/holiday.jpg"),
            "added: notes.txt",
        ]

    @pytest.mark.parametrize("name", ["mis_real.json", "real_image/1/object2.png", "images/77/object1.png", "images/9"])
    def test_is_refused_by_name_where_something_else_is_in_the_way(self, place: Workplace, name: str) -> None:
        place.finish(place.write(place.some()))
        put(place.folder, name)
        assert name in refused(place.folder)
        (place.folder / name).unlink()
        check_free(place.folder)

    def test_is_refused_where_a_link_leads_elsewhere(self, place: Workplace, tmp_path: Path) -> None:
        place.finish(place.write([place.made(0, "easy")]))
        (tmp_path / "elsewhere").mkdir()
        (place.folder / "images").symlink_to(tmp_path / "elsewhere")
        assert "images" in refused(place.folder)

    @pytest.mark.parametrize("name", ["build.json", "README.md", "provenance.jsonl"])
    def test_that_was_killed_before_the_set_was_whole_is_gone_on_with(
        self, place: Workplace, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        place.finish(place.write([place.made(40, "train")]))
        written = place.write()
        rename = Path.replace

        def killed(path: Path, target: Path) -> Path:
            if Path(target).name == name:
                raise KeyboardInterrupt
            return rename(path, target)

        with monkeypatch.context() as patched:
            patched.setattr(Path, "replace", killed)
            with pytest.raises(KeyboardInterrupt):
                place.finish(written)
        assert not (place.folder / "build.json").exists()
        for path in place.folder.glob(".*.[0-9]*"):
            path.unlink()
        check_free(place.folder)
        place.finish(place.write([place.made(41, "easy")]))
        assert verify(place.folder) == []
        assert {name.partition("/")[0] for name in there(place.folder)} >= {"mis_easy.json", "easy_image"}
        assert not (place.folder / "images").exists()
        assert not list(place.folder.glob(".being*"))

    def test_that_was_killed_while_images_moved_is_gone_on_with(
        self, place: Workplace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place.finish()
        put(place.folder, "images/holiday.jpg")
        rename = Path.rename

        def killed(path: Path, target: Path) -> Path:
            if path.name == "hard_image":
                raise KeyboardInterrupt
            return rename(path, target)

        with monkeypatch.context() as patched:
            patched.setattr(Path, "rename", killed)
            with pytest.raises(KeyboardInterrupt):
                place.write()
        check_free(place.folder)
        place.finish()
        assert [str(each) for each in verify(place.folder)] == ["added: images/holiday.jpg"]


class TestASetOfAnotherName:
    def test_is_not_replaced_until_a_person_gives_it_up(self, place: Workplace) -> None:
        place.finish()
        check_name(place.folder, "Lamps and kites")
        with pytest.raises(HarnessError, match="the set 'Lamps and kites' lies there") as caught:
            check_name(place.folder, "Spoons")
        assert "--out" in caught.value.remedy
        assert "--fresh" in caught.value.remedy
        allow_replacement(place.folder)
        check_name(place.folder, "Spoons")
        place.plan = replace(plan(), name="Spoons")
        place.finish()
        check_name(place.folder, "Spoons")
        with pytest.raises(HarnessError, match="the set 'Spoons' lies there"):
            check_name(place.folder, "Lamps and kites")

    def test_is_known_before_it_is_whole(self, place: Workplace) -> None:
        place.write()
        with pytest.raises(HarnessError, match="lies there"):
            check_name(place.folder, "Spoons")

    def test_is_refused_by_the_command_and_replaced_with_fresh(self, tmp_path: Path) -> None:
        def built(name: str, *more: str) -> tuple[int, str]:
            config = in_the_mini_world(tmp_path, name=name, sort={"review": "none"})
            code, _, said = called(["build", "mis", "--config", str(config), "--out", str(tmp_path / "w"), *more])
            return code, said

        assert built("shapes")[0] == 0
        before = there(tmp_path / "w")
        code, said = built("other")
        assert (code, "the set 'shapes' lies there, and the config builds 'other'" in said) == (2, True)
        assert there(tmp_path / "w") == before
        code, said = built("other", "--fresh")
        assert (code, (tmp_path / "w/work.1/calls.db").exists()) == (0, True), said
        assert built("other")[0] == 0
        assert built("shapes")[0] == 2
