"""A mixture is written for other trainers and read back: the same ids, texts, images and their order."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from harness_mirage.data import FORMATS, write
from harness_mirage.methods import METHODS, Ingredient, Layout
from harness_mirage.mixture import Mixture
from harness_mirage.trainers import trainer

from harness import BadData, HarnessError, UnknownName
from tests.training.data_sets import ids, lines, mis, mixed, one, pair, said, seen, several, texts, training

LAYOUTS: dict[str, Layout] = {"sharegpt": "sharegpt", "llamafactory": "llamafactory", "swift": "swift"}


def mixture(folder: Path) -> Mixture:
    """Two ingredients that use the same ids, a system turn, several turns, letters of many scripts, a shared image."""
    long = [
        {"from": "system", "value": "Be brief."},
        *said("One <image>?", "Yes."),
        *said("And <image>?", "也是。\u2028"),
    ]
    records = [pair(number, id=number) for number in range(5)] + [pair(9, id="long", conversations=long)]
    mis(folder / "safe", records)
    general = [pair(number, id=number, category=7) for number in range(3)]
    mis(folder / "general", [*general, {"id": "words", "conversations": said("Привет", "שלום")}])
    data = {"": folder / "safe", "general": folder / "general"}
    method = several(Ingredient(layout="mis"), Ingredient(name="general", layout="sharegpt"))
    return mixed(method, data, seed=3)


@pytest.mark.parametrize("name", list(FORMATS))
def test_a_mixture_comes_back_as_it_was_written(tmp_path: Path, name: str) -> None:
    before = mixture(tmp_path)
    main = write(name, before, tmp_path / "out")
    assert main.parent == tmp_path / "out"
    after = mixed(one(LAYOUTS[name]), tmp_path / "out", seed=3)
    assert ids(after) == ids(before)
    assert texts(after) == texts(before)
    assert seen(after) == seen(before)
    assert after.digest == before.digest
    kinds = {record.id: (record.category, record.sub_category) for record in before.records}
    assert {record.id: (record.category, record.sub_category) for record in after.records} == kinds


@pytest.mark.parametrize("name", list(FORMATS))
def test_every_layout_of_conversations_reads_what_was_written(tmp_path: Path, name: str) -> None:
    before = mixture(tmp_path)
    write(name, before, tmp_path / "out")
    assert mixed(one("sharegpt"), tmp_path / "out", seed=3).digest == before.digest


def test_an_image_that_several_records_show_is_written_once(tmp_path: Path) -> None:
    before = mixture(tmp_path)
    write("swift", before, tmp_path / "out")
    distinct = {data for shown in seen(before).values() for data in shown}
    assert {path.read_bytes() for path in (tmp_path / "out" / "images").iterdir()} == distinct
    assert len(list((tmp_path / "out" / "images").iterdir())) == len(distinct)


def test_a_black_image_becomes_a_file(tmp_path: Path) -> None:
    import PIL.Image

    texts_only = next(method for method in METHODS if method.name == "textual-sft")
    lines(tmp_path / "train.jsonl", [{"prompt": "a", "response": "A", "harmful": True}])
    write("sharegpt", mixed(texts_only, tmp_path), tmp_path / "out")
    (file,) = (tmp_path / "out" / "images").iterdir()
    with PIL.Image.open(file) as image:
        assert image.convert("RGB").getcolors() == [(image.width * image.height, (0, 0, 0))]
    (record,) = mixed(one("sharegpt"), tmp_path / "out").records
    assert record.turns[0].text == "<image>a"


def test_llamafactory_is_told_the_columns_and_roles_it_must_be_told(tmp_path: Path) -> None:
    """Its own defaults are `conversations`, no images, and `from`, `value`, `human`, `gpt`."""
    main = write("llamafactory", mixture(tmp_path), tmp_path / "out")
    ((name, told),) = json.loads(main.read_text(encoding="utf-8")).items()
    record = json.loads((tmp_path / "out" / told["file_name"]).read_text(encoding="utf-8"))[0]
    assert (name, told["formatting"]) == ("mixture", "sharegpt")
    assert set(told["columns"].values()) <= set(record)
    turn = record[told["columns"]["messages"]][-1]
    assert turn[told["tags"]["role_tag"]] == told["tags"]["assistant_tag"]
    assert all((tmp_path / "out" / path).is_file() for path in record[told["columns"]["images"]])


def test_swift_gets_one_record_a_line(tmp_path: Path) -> None:
    before = mixture(tmp_path)
    main = write("swift", before, tmp_path / "out")
    records = [json.loads(line) for line in main.read_text(encoding="utf-8").rstrip("\n").split("\n")]
    assert [record["id"] for record in records] == ids(before)
    assert {turn["role"] for record in records for turn in record["messages"]} == {"system", "user", "assistant"}
    assert all((tmp_path / "out" / path).is_file() for record in records for path in record["images"])


def test_a_format_that_is_not_known_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownName) as caught:
        write("shargpt", mixture(tmp_path), tmp_path / "out")
    assert caught.value.remedy == "did you mean 'sharegpt'?"


def test_a_method_writes_each_of_these_formats_for_another_trainer(tmp_path: Path) -> None:
    offered = trainer(one("mis")).exports
    assert set(offered) == set(FORMATS)
    asked = replace(training(mis(tmp_path / "safe")), out=tmp_path / "out")
    main = offered["swift"](asked)
    assert main == tmp_path / "out" / "mixture.jsonl"
    assert len(mixed(one("swift"), main).records) == 6


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(HarnessError, match="something is there already"):
        write("swift", mixture(tmp_path), tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_a_broken_image_ends_the_writing_with_its_record_and_leaves_nothing(tmp_path: Path) -> None:
    before = mixture(tmp_path)
    (tmp_path / "safe" / "images" / "3" / "object2.png").write_bytes(b"no image")
    with pytest.raises(BadData, match="cannot be written for another trainer") as caught:
        write("swift", before, tmp_path / "out")
    assert caught.value.where == "mis_train.json, record 4"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["general", "safe"]
