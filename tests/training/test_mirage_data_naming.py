"""What data are called: `trained_on` names what they are, and never what they only stand in the place of."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from harness_mirage.data import mix
from harness_mirage.methods import METHODS, Ingredient
from harness_mirage.mixture import Part

from harness import BadData, Training
from harness.board.rows import JudgeNote, Row, find_cautions
from harness.data import provenance
from tests.training.data_sets import drawing, mis, one, pair, refused

METHOD = {method.name: method for method in METHODS}
DRAWN = [pair(number) for number in range(1, 5)]


def said(root: Path, *names: str, licence: str = "", files: tuple[str, ...] = ("mis_train.json",)) -> Path:
    """What a fetch or a build leaves beside the data."""
    sizes = dict.fromkeys(files, (1, "0" * 64))
    parts = (provenance.Part(kind="hub", name=name, revision="", fetched="", files=sizes) for name in names)
    provenance.Provenance(task="", licence=licence, parts=tuple(parts)).write(root)
    return root


def parts(main: Path, general: Path | None = None, method: str = "mirage") -> tuple[Part, ...]:
    given = {"": main} | ({"general": general} if general else {})
    settings = {} if general else {"general_count": 0}
    return mix(METHOD[method], Training(model="none", data=given, out=Path("none"), settings=settings)).parts


def called(main: Path) -> tuple[str, ...]:
    """The names of the main data."""
    return parts(main)[0].sources


def records(folder: Path, name: str) -> Path:
    """A folder of records in a file of this name."""
    mis(folder, DRAWN)
    (folder / "mis_train.json").rename(folder / name)
    return folder


def flagged(names: tuple[str, ...], task: str) -> bool:
    """Whether a leaderboard marks results of a task."""
    return bool(marks(names, task))


def marks(names: tuple[str, ...], task: str) -> list[str]:
    """What a leaderboard says of it."""
    row = Row(
        model="m",
        ref="m",
        judge=JudgeNote(),
        n=1,
        records=1,
        outcomes={},
        verdicts={},
        labels={},
        coverage=None,
        complete=True,
        measures=(),
        trained_on=names,
    )
    return [each.told for each in find_cautions(row, task, task) if each.kind == "trained_on"]


class TestMainData:
    def test_are_called_what_they_say_themselves(self, tmp_path: Path) -> None:
        root = said(mis(tmp_path / "mis-train", DRAWN), "lab/kitchen-pairs")

        assert called(root) == ("lab/kitchen-pairs",)

    def test_that_hold_several_sets_are_called_by_all_of_them(self, tmp_path: Path) -> None:
        root = said(mis(tmp_path, DRAWN), "lab/kitchen", "lab/garden", "lab/kitchen")

        assert called(root) == ("lab/kitchen", "lab/garden")

    def test_that_were_fetched_as_the_published_set_have_its_name(self, tmp_path: Path) -> None:
        assert called(said(records(tmp_path, "pairs.json"), "Tuwhy/MIS_Train")) == ("mis-train",)

    def test_in_the_hub_clients_cache_have_the_name_of_their_place(self, tmp_path: Path) -> None:
        place = tmp_path / "datasets--lab--kitchen" / "snapshots" / "3f2a"

        assert called(records(place, "pairs.json")) == ("lab/kitchen",)

    def test_that_say_nothing_are_the_published_set_where_their_file_has_its_name(self, tmp_path: Path) -> None:
        assert called(mis(tmp_path / "data", DRAWN)) == ("mis-train",)

    @pytest.mark.parametrize("name", ["MIS_Train", "mis-train", "mis_train"])
    def test_are_the_published_set_where_their_folder_has_its_name(self, tmp_path: Path, name: str) -> None:
        assert called(records(tmp_path / name, "pairs.json")) == ("mis-train",)

    def test_else_are_called_by_their_folder_or_their_file(self, tmp_path: Path) -> None:
        root = records(tmp_path / "kitchen-pairs", "own.json")

        assert called(root) == ("kitchen-pairs",)
        assert called(root / "own.json") == ("own",)

    def test_in_a_file_are_called_by_the_record_beside_it_only_where_that_knows_the_file(self, tmp_path: Path) -> None:
        root = said(records(tmp_path, "own.json"), "lab/kitchen", files=("own.json",))
        (root / "more.json").write_bytes((root / "own.json").read_bytes())

        assert called(root / "own.json") == ("lab/kitchen",)
        assert called(root / "more.json") == ("more",)

    def test_that_are_a_part_of_a_set_that_was_built_are_called_by_that_part(self, tmp_path: Path) -> None:
        sizes = {name: {name: (1, "0" * 64)} for name in ("mis_easy.json", "mis_train.json")}
        built = (("lab/kitchen", sizes["mis_easy.json"]), ("lab/kitchen-train", sizes["mis_train.json"]))
        parts = (provenance.Part(kind="build", name=name, revision="", fetched="", files=held) for name, held in built)
        provenance.Provenance(task="mis", licence="", parts=tuple(parts)).write(mis(tmp_path, DRAWN))
        (tmp_path / "mis_easy.json").write_bytes((tmp_path / "mis_train.json").read_bytes())

        assert called(tmp_path) == called(tmp_path / "mis_train.json") == ("lab/kitchen-train",)
        assert called(tmp_path / "mis_easy.json") == ("lab/kitchen",)

    def test_whose_record_cannot_be_read_are_refused(self, tmp_path: Path) -> None:
        root = mis(tmp_path, DRAWN)
        (root / ".source.json").write_text("{", encoding="utf-8")

        assert isinstance(refused(one("mis"), root), BadData)

    def test_of_a_method_of_ones_own_are_called_as_it_says_unless_they_say_otherwise(self, tmp_path: Path) -> None:
        (own,) = mix(one("mis"), Training(model="none", data={"": mis(tmp_path, DRAWN)}, out=tmp_path)).parts
        assert own.sources == ("drawings",)
        said(tmp_path, "Tuwhy/MIS_Train")
        (told,) = mix(one("mis"), Training(model="none", data={"": tmp_path}, out=tmp_path)).parts
        assert told.sources == ("Tuwhy/MIS_Train",)


class TestGeneralData:
    def test_are_not_called_m4_instruct_for_standing_in_its_place(self, tmp_path: Path) -> None:
        _, general = parts(mis(tmp_path / "mis", DRAWN), records(tmp_path / "holiday", "all.json"))

        assert (general.sources, general.title, general.licence) == (("holiday",), "holiday", "")

    def test_that_were_fetched_as_m4_instruct_are(self, tmp_path: Path) -> None:
        root = said(records(tmp_path / "general", "all.json"), "lmms-lab/M4-Instruct-Data", licence="cc-by-4.0")
        _, general = parts(mis(tmp_path / "mis", DRAWN), root)

        assert (general.sources, general.licence) == (("M4-Instruct-Data",), "cc-by-4.0")

    def test_are_m4_instruct_where_they_are_its_annotations(self, tmp_path: Path) -> None:
        root = records(tmp_path / "general", "m4_instruct_annotations.json")
        _, general = parts(mis(tmp_path / "mis", DRAWN), root)

        assert general.sources == ("M4-Instruct-Data",)
        assert "lmms-lab/M4-Instruct-Data is published under" in general.licence


class TestTheFlagOfALeaderboard:
    @pytest.mark.parametrize("name", ["Tuwhy/MIS_Train", "lab/mis-train-clean", "mis-mini-train", "mis"])
    def test_stands_on_results_of_the_test_that_such_data_are_siblings_of(self, tmp_path: Path, name: str) -> None:
        assert flagged(called(said(records(tmp_path, "own.json"), name)), "mis")

    def test_stands_where_the_data_say_nothing_but_bear_the_published_file(self, tmp_path: Path) -> None:
        assert flagged(called(mis(tmp_path, DRAWN)), "mis")

    def test_does_not_stand_for_data_of_another_name_that_only_have_the_layout(self, tmp_path: Path) -> None:
        assert not flagged(called(said(mis(tmp_path, DRAWN), "lab/kitchen-pairs")), "mis")

    def test_tells_what_trains_from_what_tests_of_a_set_that_was_built(self) -> None:
        said = "trained on data of this test's source"
        assert marks(("kitchen-train",), "kitchen") == [f"{said} (kitchen-train)"]
        assert marks(("kitchen",), "kitchen") == [f"{said} (kitchen)"]
        assert marks(("kitchen-train",), "mis+data=garden") == marks(("mis-train",), "mis+data=kitchen") == []

    def test_stands_for_each_of_several_names(self, tmp_path: Path) -> None:
        names = called(said(mis(tmp_path, DRAWN), "lab/kitchen", "mssbench-mini-train"))

        assert (flagged(names, "mssbench"), flagged(names, "mis")) == (True, False)


def test_published_terms_are_those_of_data_that_are_the_published_set(tmp_path: Path) -> None:
    own, published = parts(records(tmp_path / "pairs", "own.json"))[0], parts(mis(tmp_path / "b", DRAWN))[0]

    assert (own.licence, published.licence) == ("", "Tuwhy/MIS_Train is published under: apache-2.0")


def test_vlguards_file_of_records_is_known_by_its_name(tmp_path: Path) -> None:
    entry = {
        "id": "1",
        "image": "1.png",
        "safe": True,
        "instr-resp": [{"safe_instruction": "Well?", "response": "Yes."}],
    }
    (tmp_path / "train.json").write_text(json.dumps([entry]), encoding="utf-8")
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "1.png").write_bytes(drawing(1))
    part = Ingredient(layout="vlguard", part="safe", source="VLGuard", hub="ys-zong/VLGuard")
    asked = Training(model="none", data={"": tmp_path}, out=tmp_path)
    (found,) = mix(replace(METHOD["vlguard-p"], ingredients=(part,)), asked).parts

    assert (found.sources, found.title) == (("VLGuard",), "VLGuard safe")
