"""Ingredients are sampled by the seed, mixed by count or share, and put in one order; a large set fits into memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from harness_mirage.methods import METHODS, Ingredient

from harness import UnknownName
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
    [
        ({"general_share": 1.0}, "less than 1"),
        ({"general_share": 0.1, "general_count": 3}, "not both"),
    ],
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


LARGE, MEASURED = 100_000, 20_000  #: records
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
