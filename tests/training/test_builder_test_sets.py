"""A set that is there to test models is known by any of its names, by its columns, and by what is recorded of it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from harness_builder.licences import check_licences
from harness_builder.plan import Plan
from harness_builder.seeds import SeedSource, read_seeds
from harness_builder.terms import check_sources

from harness import HarnessError
from harness.data.provenance import FILE, Part, Provenance, SourceKind
from tests.training.built import Workplace, plan
from tests.training.test_builder_command_mis import in_the_mini_world, refused

OF_MIS: Mapping[str, Any] = {
    "question": "What is the object in the first image?",
    "category": "Shapes",
    "sub_category": "Stars",
    "image_path1": "easy_image/1/object1.png",
    "image_path2": "easy_image/1/object2.png",
}


TESTS = [
    *("MIS", "MIS_Test", "mis-test", "mis_easy", "Mis Hard", "MSS-Bench", "FigStep", "safebench", "SafeBench-Tiny"),
    *("JailBreakV-28K", "mini_JailBreakV_28K", "RedTeam_2K", "siuo_gen", "MOSS-Bench", "XSTest", "xstest-prompts"),
    *("strong-reject", "StrongREJECT_dataset"),
]


def source(name: str, path: Path = Path("ideas.csv"), **more: Any) -> SeedSource:
    given: dict[str, Any] = {"licence": "cc0-1.0", **more}
    return SeedSource(name=name, path=path, **given)


def of(path: Path) -> Plan:
    return plan(sources=(source("ideas", path),))


def listed(path: Path, *records: Mapping[str, Any]) -> Path:
    path.write_text(json.dumps(records), encoding="utf-8")
    return path


def fetched(root: Path, task: str, name: str, *files: str, kind: SourceKind = "hub") -> Path:
    root.mkdir(exist_ok=True)
    part = Part(kind=kind, name=name, revision="1", fetched="", files=dict.fromkeys(files, (1, "0")))
    Provenance(task=task, licence="", parts=(part,)).write(root)
    return root


@pytest.mark.parametrize("name", TESTS)
def test_a_test_is_refused_by_any_of_its_names_whatever_their_case_and_signs(name: str, tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="no set to train on"):
        check_licences([source(name)])
    for path in (tmp_path / name, tmp_path / f"{name}.json", tmp_path / f"{name}.tar.gz"):
        with pytest.raises(HarnessError, match="it lies under the name"):
            check_licences([source("ideas", path)])


@pytest.mark.parametrize("name", ["MIS_Train", "mis-like", "mistakes", "my safebench", "not-xstest", "SPA-VL", "misc"])
def test_what_is_called_otherwise_is_none(name: str, tmp_path: Path) -> None:
    check_licences([source(name, licence="")], [name])
    check_licences([source("ideas", tmp_path / f"{name}.json")])


def test_a_folder_above_it_names_nothing(tmp_path: Path) -> None:
    check_licences([source("ideas", tmp_path / "mis" / "ideas.csv")])


def test_a_link_is_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "MIS_Test").mkdir()
    (tmp_path / "mine").symlink_to(tmp_path / "MIS_Test")
    with pytest.raises(HarnessError, match="MIS_Test"):
        check_licences([source("ideas", tmp_path / "mine")])


def test_a_snapshot_of_the_hub_s_client_goes_by_the_name_that_is_in_its_path(tmp_path: Path) -> None:
    root = tmp_path / "datasets--Tuwhy--MIS_Test" / "snapshots" / "3f2a"
    with pytest.raises(HarnessError, match="MIS_Test"):
        check_licences([source("ideas", root / "some.json")])
    check_licences([source("ideas", tmp_path / "datasets--Tuwhy--MIS_Train" / "snapshots" / "3f2a")])


def test_a_file_of_mis_is_known_by_its_columns_whatever_it_is_called(tmp_path: Path) -> None:
    for record in (OF_MIS, {**OF_MIS, "id": 1}):
        with pytest.raises(HarnessError, match="the columns are those of the test files of MIS"):
            next(read_seeds(source("ideas", listed(tmp_path / "some.json", record))))


def test_a_table_of_two_images_that_is_not_of_mis_is_read(tmp_path: Path) -> None:
    own = {"question": "Which is the larger?", "image_path1": "a.png", "image_path2": "b.png"}
    assert next(read_seeds(source("ideas", listed(tmp_path / "some.json", own)))).text == "Which is the larger?"


def test_a_folder_that_was_fetched_for_a_test_is_known_by_its_record(tmp_path: Path) -> None:
    root = fetched(tmp_path / "data", "siuo", "someone/mirror", "gen.json", "images/1.png")
    for path in (root, root / "gen.json", root / "images", tmp_path):
        with pytest.raises(HarnessError, match=r"\.source\.json says that it is someone/mirror"):
            check_sources(of(path))
    check_sources(of(root / "mine.csv"))
    check_sources(of(fetched(tmp_path / "other", "spa_vl", "sqrti/SPA-VL", "train.json")))


def test_of_a_set_that_was_built_the_tests_are_refused_and_what_trains_is_welcome(tmp_path: Path) -> None:
    place = Workplace(tmp_path / "set", plan())
    place.finish()
    for path in (place.folder, place.folder / "mis_easy.json", place.folder / "easy_image"):
        with pytest.raises(HarnessError, match=r"holds the tests of Lamps and kites|under the name") as caught:
            check_sources(of(path))
        assert "leave it out" in caught.value.remedy
    for path in (place.folder / "mis_train.json", place.folder / "images"):
        check_sources(of(path))


def test_an_archive_is_known_by_the_record_in_it(tmp_path: Path) -> None:
    root = fetched(tmp_path / "data", "mis", "Tuwhy/MIS_Test", "some.json")
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        archive.write(root / FILE, FILE)
        archive.writestr("some.json", "[]")
    with pytest.raises(HarnessError, match="Tuwhy/MIS_Test"):
        check_sources(of(tmp_path / "mine.zip"))


@pytest.mark.parametrize("record", ["", "[1]", '{"parts": 3}', '{"parts": [3, {"files": {"ideas.csv": 1}}]}', "\x00"])
def test_a_record_that_says_nothing_keeps_nobody_out(record: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(record, encoding="utf-8")
    check_sources(of(tmp_path / "ideas.csv"))
    check_sources(of(tmp_path))


def test_the_command_refuses_each_with_its_key_and_the_config(tmp_path: Path) -> None:
    listed(tmp_path / "mis_hard.json", OF_MIS)
    listed(tmp_path / "some.json", OF_MIS)
    for sources in (
        [{"name": "JailBreakV-28K", "path": "ideas.csv", "licence": "cc0-1.0"}],
        [{"name": "ideas", "path": "mis_hard.json", "licence": "cc0-1.0"}],
        [{"name": "ideas", "path": "some.json", "licence": "cc0-1.0"}],
    ):
        config = in_the_mini_world(tmp_path, sources=sources)
        for more in ((), ("--dry-run",)):
            said = refused("mis", "--config", str(config), "--out", str(tmp_path / "out"), *more)
            assert "no set to train on" in said
            assert said.startswith("error: sources.#1: ")
            assert "build.yaml" in said
    assert not (tmp_path / "out").exists()
