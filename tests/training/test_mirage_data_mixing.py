"""Ingredients are sampled by the seed, mixed by count or share, and put in one order; a large set fits into memory."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from harness_mirage.data import mix
from harness_mirage.methods import METHODS, Ingredient
from harness_mirage.mixture import Part

from harness import BadData, Training, UnknownName
from harness.board.rows import JudgeNote, Row
from harness.board.sections import find_cautions
from harness.data import provenance
from tests.training.data_sets import drawing, ids, mis, mixed, one, pair, refused, several

VLGUARD_R = next(method for method in METHODS if method.name == "vlguard-r")
MIRAGE = next(method for method in METHODS if method.name == "mirage")


def test_a_sample_depends_on_the_seed_and_not_on_the_order_of_the_file(tmp_path: Path) -> None:
    records = [pair(number) for number in range(60)]
    first = mixed(one("mis", count=20), mis(tmp_path / "a", records))
    turned = mixed(one("mis", count=20), mis(tmp_path / "b", records[::-1]))
    other = mixed(one("mis", count=20), tmp_path / "a", seed=1)
    assert len(first.records) == 20
    assert (ids(first), first.digest, first.seed) == (ids(turned), turned.digest, 0)
    assert set(ids(first)) != set(ids(other))


def test_the_order_of_a_mixture_is_drawn_by_the_seed(tmp_path: Path) -> None:
    records = [pair(number, id=number) for number in range(50)]
    mixture = mixed(one("mis"), mis(tmp_path, records))
    other = mixed(one("mis"), tmp_path, seed=7)
    assert ids(mixture) != ids(other) != sorted(ids(other), key=int)
    assert sorted(ids(mixture)) == sorted(ids(other))
    assert mixture.digest != other.digest


def test_records_that_say_the_same_or_share_an_id_are_still_told_apart(tmp_path: Path) -> None:
    mixture = mixed(one("mis"), mis(tmp_path, [pair(1), pair(1), pair(2, id="x"), pair(3, id="x")]))
    assert len(set(ids(mixture))) == 4


def two(tmp_path: Path, safe: int, general: int) -> dict[str, Path]:
    mis(tmp_path / "safe", [pair(number, id=number) for number in range(safe)])
    asked = [pair(number, id=number, category=None) for number in range(general)]
    return {"": tmp_path / "safe", "general": mis(tmp_path / "general", asked)}


def test_general_data_are_mixed_in_by_count(tmp_path: Path) -> None:
    mixture = mixed(MIRAGE, two(tmp_path, 8, 30), settings={"general_count": 5})
    assert [(part.found, part.taken) for part in mixture.parts] == [(8, 8), (30, 5)]
    assert len(set(ids(mixture))) == 13
    assert [len(part.names) for part in mixture.parts] == [8, 5]
    assert sorted(name for part in mixture.parts for name in part.names) == sorted(ids(mixture))
    assert [record.source for record in mixture.records].count("M4-Instruct-Data") == 5


def test_general_data_are_mixed_in_by_share_of_the_whole(tmp_path: Path) -> None:
    mixture = mixed(MIRAGE, two(tmp_path, 8, 30), settings={"general_share": 0.2})
    assert [part.taken for part in mixture.parts] == [8, 2]
    half = mixed(MIRAGE, two(tmp_path, 8, 30), settings={"general_share": 0.5})
    assert [part.taken for part in half.parts] == [8, 8]


def test_fewer_records_than_were_wanted_show_in_the_part(tmp_path: Path) -> None:
    (_, general) = mixed(MIRAGE, two(tmp_path, 3, 4)).parts
    assert (general.ingredient.count, general.found, general.taken) == (500, 4, 4)


def test_general_data_that_are_not_given_are_asked_for_with_where_they_are_and_their_licence(tmp_path: Path) -> None:
    error = refused(MIRAGE, mis(tmp_path))
    assert "--data general=PATH" in error.remedy
    assert "python -m harness_mirage.data.general" in error.remedy
    assert "lmms-lab/M4-Instruct-Data" in error.where
    assert "cc-by-4.0" in error.where


def test_data_that_lack_under_a_name_are_asked_for_by_that_name(tmp_path: Path) -> None:
    error = refused(VLGUARD_R, tmp_path)
    assert error.what == "the method needs its ingredient 'reasoned', which was not given"
    assert error.remedy.startswith("--data reasoned=PATH, in the layout vlguard")
    assert error.where == ""


def test_the_ingredients_of_a_method_are_told_as_they_are_given(tmp_path: Path) -> None:
    error = refused(VLGUARD_R, {"": tmp_path, "extra": tmp_path})
    assert error.remedy == "it takes --data PATH and --data reasoned=PATH"
    assert refused(VLGUARD_R, {"reasonned": tmp_path}).remedy == "did you mean 'reasoned'?"
    named = several(Ingredient(name="more", layout="mis"))
    assert "--data PATH without a name" in refused(named, tmp_path).what
    assert refused(named, tmp_path).remedy == "it takes --data more=PATH"


def test_general_data_can_be_done_without_where_that_is_said(tmp_path: Path) -> None:
    mixture = mixed(MIRAGE, mis(tmp_path), settings={"general_count": 0})
    assert [part.ingredient.name for part in mixture.parts] == [""]


def test_an_ingredient_that_is_not_needed_is_left_out_and_said(tmp_path: Path) -> None:
    method = several(Ingredient(layout="mis"), Ingredient(name="more", layout="sharegpt", needed=False))
    (_, more) = mixed(method, mis(tmp_path)).parts
    assert (more.taken, list(more.left_out)) == (0, ["not given: --data more=PATH"])


@pytest.mark.parametrize(
    ("settings", "what"),
    [({"general_share": 1.0}, "less than 1"), ({"general_share": 0.1, "general_count": 3}, "not both")],
)
def test_an_amount_that_makes_no_sense_is_refused(tmp_path: Path, settings: dict[str, float], what: str) -> None:
    assert what in refused(MIRAGE, two(tmp_path, 2, 2), settings=settings).what


def test_data_under_a_name_the_method_does_not_have_are_refused_with_the_nearest(tmp_path: Path) -> None:
    error = refused(MIRAGE, {"": mis(tmp_path), "generall": tmp_path})
    assert isinstance(error, UnknownName)
    assert error.remedy == "did you mean 'general'?"


def test_a_method_without_general_data_takes_no_amount_of_them(tmp_path: Path) -> None:
    assert "mixes in no general data" in refused(one("mis"), mis(tmp_path), settings={"general_count": 3}).what


@pytest.mark.parametrize("name", ["garden", "GARDEN", "tool_shed", "Tool-Shed", " tool  shed "])
def test_a_category_is_held_out_however_its_name_is_spelled(tmp_path: Path, name: str) -> None:
    mixture = mixed(one("mis"), mis(tmp_path), hold_out=(name,))
    assert {record.category for record in mixture.records} == {"Kitchen"}
    (part,) = mixture.parts
    assert (part.found, part.taken, part.left_out) == (6, 3, {f"held out: {name.strip()}": 3})


def test_a_held_out_category_that_no_record_has_is_refused_with_the_nearest(tmp_path: Path) -> None:
    error = refused(one("mis"), mis(tmp_path), hold_out=("kitchen", "gardn"))
    assert isinstance(error, UnknownName)
    assert (error.what.startswith("--hold-out gardn"), error.remedy) == (True, "did you mean 'Garden'?")


def test_nothing_left_to_learn_from_is_refused(tmp_path: Path) -> None:
    assert "no record is left" in refused(one("mis"), mis(tmp_path), hold_out=("kitchen", "garden")).what


LARGE, MEASURED = 100_000, 10_000  #: records
LIMIT = 300 << 20  #: bytes, of the whole process

MEASURE = """
import re, sys
from pathlib import Path
from harness import Training
from harness_mirage.data import mix
from harness_mirage.methods import Ingredient, Method
count = int(sys.argv[2]) or None
def peak():  # ru_maxrss begins at the parent's
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024
before = peak()
method = Method(name="large", description="", ingredients=(Ingredient(layout="mis", count=count),))
mixture = mix(method, Training(model="none", data={"": Path(sys.argv[1])}, out=Path("none")))
print(len(mixture.records), mixture.parts[0].found, before, peak())
"""


def large(folder: Path) -> Path:
    """Records of about a kilobyte, all of which show two of a hundred images."""
    folder.mkdir()
    for number in range(100):
        path = folder / "images" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(drawing(number))
    with (folder / "mis_train.json").open("w", encoding="utf-8") as file:
        for number in range(MEASURED):
            said = [("human", f"{number}: " + "which of the two? " * 8), ("gpt", f"{number}: " + "both of them. " * 45)]
            record = {
                "image": [f"{number % 100}.png", f"{number % 97}.png"],
                "conversations": [{"from": speaker, "value": text} for speaker, text in said],
                "category": "Kitchen",
            }
            file.write(("," if number else "[") + json.dumps(record))
        file.write("]")
    return folder


def measured(folder: Path, count: int) -> tuple[int, int, int]:
    """Records that are taken, those that are found, and the bytes of a process that reads so many times more."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(folder), str(count)], capture_output=True, text=True, check=True
    )
    taken, found, before, peak = map(int, done.stdout.split())
    return taken, found, before + (peak - before) * LARGE // MEASURED


def test_a_hundred_thousand_records_fit_into_300_megabytes_and_a_sample_of_them_into_far_less(tmp_path: Path) -> None:
    folder = large(tmp_path / "large")
    taken, found, memory = measured(folder, 0)
    assert (taken, found) == (MEASURED, MEASURED)
    assert memory < LIMIT
    taken, found, sampled = measured(folder, 500)
    assert (taken, found) == (500, MEASURED)
    assert sampled < LIMIT // 2


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
