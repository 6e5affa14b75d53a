"""Data sets are read in the layouts they are published in, from folders, files and zips."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from harness_mirage.data import FORMATS, write
from harness_mirage.data.layouts import LAYOUTS
from harness_mirage.methods import METHODS, Ingredient, Layout
from harness_mirage.mixture import Mixture
from harness_mirage.trainers import trainer

from harness import BadData, HarnessError, MissingData, UnknownName
from tests.training.data_sets import (
    Values,
    drawing,
    ids,
    images,
    lines,
    mis,
    mixed,
    one,
    pair,
    refused,
    said,
    seen,
    several,
    texts,
    training,
)

NAMED = {method.name: method for method in METHODS}


def zipped(folder: Path, archive: Path, *, below: str = "") -> None:
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                file.write(path, below + path.relative_to(folder).as_posix())


@pytest.mark.parametrize("below", ["", "images/"])
def test_images_are_found_in_a_zip_beside_the_records(tmp_path: Path, below: str) -> None:
    mis(tmp_path / "drawn")
    mis(tmp_path / "data", drawn=False)
    zipped(tmp_path / "drawn" / "images", tmp_path / "data" / "images.zip", below=below)
    plain, packed = mixed(one("mis"), tmp_path / "drawn"), mixed(one("mis"), tmp_path / "data")
    assert (ids(plain), seen(plain)) == (ids(packed), seen(packed))


@pytest.mark.parametrize("below", ["", "top/"])
def test_a_data_set_is_read_out_of_one_zip(tmp_path: Path, below: str) -> None:
    mis(tmp_path / "drawn")
    zipped(tmp_path / "drawn", tmp_path / "all.zip", below=below)
    mixture = mixed(one("mis"), tmp_path / "all.zip")
    assert seen(mixture) == seen(mixed(one("mis"), tmp_path / "drawn"))


def test_an_entry_of_a_zip_that_leads_out_of_it_is_no_image(tmp_path: Path) -> None:
    mis(tmp_path / "data", [pair(1, image=["../a.png", "b.png"])], drawn=False)
    with zipfile.ZipFile(tmp_path / "data" / "images.zip", "w") as file:
        file.writestr("../a.png", drawing(1))
        file.writestr("b.png", drawing(2))
    assert "stay under the data root" in refused(one("mis"), tmp_path / "data").where


def test_the_file_of_records_may_be_named_itself(tmp_path: Path) -> None:
    mis(tmp_path)
    (tmp_path / "mis_train.json").rename(tmp_path / "mine.json")
    (tmp_path / "other.json").write_text("[]", encoding="utf-8")
    assert len(mixed(one("mis"), tmp_path / "mine.json").records) == 6
    error = refused(one("mis"), tmp_path)
    assert (error.what, "--data" in error.remedy) == ("2 files could hold the records: mine.json, other.json", True)


def test_data_that_are_not_there_are_said_to_be_missing(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert isinstance(refused(one("mis"), tmp_path / "none"), MissingData)
    assert "mis_train.json" in refused(one("mis"), tmp_path / "empty").what
    assert "dataset_info.json" in refused(one("llamafactory"), tmp_path / "empty").what


def test_a_part_that_a_layout_does_not_have_is_refused_with_the_nearest(tmp_path: Path) -> None:
    lines(tmp_path / "train.jsonl", [])
    error = refused(one("saferlhf", part="harmfull"), tmp_path)
    assert (isinstance(error, UnknownName), error.remedy) == (True, "did you mean 'harmful'?")


UNSAFE = {
    "id": "u",
    "image": "bad_ads/u.png",
    "safe": False,
    "harmful_category": "privacy",
    "harmful_subcategory": "personal data",
    "instr-resp": [{"instruction": "Who is it?", "response": "I'm sorry."}],
}
SAFE = {
    "id": "s",
    "image": "HOD/s.png",
    "safe": True,
    "instr-resp": [
        {"unsafe_instruction": "Mock it.", "response": "I'd rather not."},
        {"safe_instruction": "What is it?", "response": "A star."},
    ],
}


def vlguard(folder: Path, *records: Values, under: str = "train/") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "train.json").write_text(json.dumps(records), encoding="utf-8")
    images(folder / under, [record["image"] for record in records])
    return folder


@pytest.mark.parametrize("under", ["train/", ""])
def test_vlguard_gives_two_parts_told_by_the_key_of_the_instruction(tmp_path: Path, under: str) -> None:
    mixture = mixed(NAMED["vlguard-p"], vlguard(tmp_path, UNSAFE, SAFE, under=under))
    assert [part.taken for part in mixture.parts] == [2, 1]
    assert texts(mixture) == {
        "u/instruction": [("user", "<image>Who is it?"), ("assistant", "I'm sorry.")],
        "s/unsafe_instruction": [("user", "<image>Mock it."), ("assistant", "I'd rather not.")],
        "s/safe_instruction": [("user", "<image>What is it?"), ("assistant", "A star.")],
    }
    assert seen(mixture)["u/instruction"] == [drawing(0)]
    assert {each.category for each in mixture.records if each.id[0] == "u"} == {"privacy"}


def test_a_category_of_vlguard_can_be_held_out(tmp_path: Path) -> None:
    mixture = mixed(NAMED["vlguard-p"], vlguard(tmp_path, UNSAFE, SAFE), hold_out=("personal-data",))
    assert sorted(ids(mixture)) == ["s/safe_instruction", "s/unsafe_instruction"]


def test_a_vlguard_entry_without_an_instruction_is_a_bad_record(tmp_path: Path) -> None:
    broken = {**UNSAFE, "instr-resp": [{"response": "?"}]}
    error = refused(one("vlguard"), vlguard(tmp_path, SAFE, broken))
    assert "an entry without an instruction (1)" in error.what
    assert "train.json, record 2" in error.where


def test_the_reasoned_answers_of_vlguard_come_from_data_of_their_own(tmp_path: Path) -> None:
    reasoned = {**UNSAFE, "instr-resp": [{"instruction": "Who is it?", "response": "A passport; so no."}]}
    data = {"": vlguard(tmp_path / "a", UNSAFE, SAFE), "reasoned": vlguard(tmp_path / "b", reasoned)}
    mixture = mixed(NAMED["vlguard-r"], data)
    assert {name: turns[-1][1] for name, turns in texts(mixture).items()} == {
        "u/instruction": "A passport; so no.",
        "s/safe_instruction": "A star.",
    }


def answered(prompt: str, first: bool, second: bool, **values: object) -> Values:
    return {
        "prompt": prompt,
        "response_0": f"{prompt} zero",
        "response_1": f"{prompt} one",
        "is_response_0_safe": first,
        "is_response_1_safe": second,
        "better_response_id": 1,
        **values,
    }


def test_texts_of_saferlhf_are_asked_beside_a_black_image_and_answered_safely(tmp_path: Path) -> None:
    harms = {"Privacy Violation": True, "Cybercrime": False, "Drugs": True}
    records = [
        answered("one unsafe", True, False, response_1_harm_category=harms),
        answered("both safe", True, True),
        answered("both unsafe", False, False),
    ]
    lines(tmp_path / "data" / "Alpaca" / "train.jsonl", records)
    lines(tmp_path / "data" / "Alpaca" / "test.jsonl", [answered("a test", True, True)])
    mixture = mixed(NAMED["textual-sft"], tmp_path)
    assert sorted(texts(mixture).values()) == [
        [("user", "<image>both safe"), ("assistant", "both safe one")],
        [("user", "<image>one unsafe"), ("assistant", "one unsafe zero")],
    ]
    assert [(part.found, part.taken) for part in mixture.parts] == [(1, 1), (1, 1)]
    assert set(map(tuple, seen(mixture).values())) == {(b"black",)}
    assert "Privacy Violation; Drugs" in {record.category for record in mixture.records}
    kept = mixed(NAMED["textual-sft"], tmp_path, hold_out=("drugs",))
    assert [turns[0][1] for turns in texts(kept).values()] == ["<image>both safe"]


def test_plain_questions_and_answers_say_themselves_whether_they_are_harmful(tmp_path: Path) -> None:
    plain = [{"prompt": "a", "response": "A", "harmful": True}, {"prompt": "b", "response": "B", "harmful": False}]
    file = lines(tmp_path / "train.jsonl", plain)
    (harmful, benign) = mixed(NAMED["textual-sft"], file).parts
    assert (harmful.taken, benign.taken) == (1, 1)
    lines(file, [{"prompt": "a", "response": "A"}])
    assert len(mixed(one("saferlhf"), file).records) == 1
    assert "field 'harmful' is missing" in refused(NAMED["textual-sft"], file).what


def test_saferlhf_is_read_from_parquet(tmp_path: Path) -> None:
    records = [answered(f"question {number}", True, number % 2 == 0) for number in range(10)]
    parquet.write_table(pa.Table.from_pylist(records), tmp_path / "train-00000-of-00001.parquet")
    mixture = mixed(NAMED["textual-sft"], tmp_path)
    assert [part.taken for part in mixture.parts] == [5, 5]


def test_any_spelling_of_sharegpt_is_read(tmp_path: Path) -> None:
    images(tmp_path, ["a.png", "b.png"])
    records = [
        {"id": 7, "image": "a.png", "conversations": said("<image>\nWhat?", "A star.")},
        {"sample_id": "m", "images": ["a.png", "b.png"], "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "<image> or <image>?"},
            {"role": "assistant", "content": "Both."},
            {"role": "user", "content": "Sure?"},
            {"role": "assistant", "content": "Sure."},
        ]},
        {"id": "t", "system": "Be kind.", "image": "", "conversations": said("Hello", "Hello.")},
    ]  # fmt: skip
    (tmp_path / "some.json").write_text(json.dumps(records), encoding="utf-8")
    mixture = mixed(one("sharegpt"), tmp_path)
    assert {name: [speaker[0] for speaker, _ in turns] for name, turns in texts(mixture).items()} == {
        "7": ["u", "a"],
        "m": ["s", "u", "a", "u", "a"],
        "t": ["s", "u", "a"],
    }
    assert seen(mixture) == {"7": [drawing(0)], "m": [drawing(0), drawing(1)], "t": []}


def test_images_inside_parquet_are_read(tmp_path: Path) -> None:
    record = {"id": "p", "images": [{"bytes": drawing(3), "path": None}], "conversations": said("<image>?", "Yes.")}
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    turn = pa.struct([("from", pa.string()), ("value", pa.string())])
    schema = pa.schema([("id", pa.string()), ("images", pa.list_(kind)), ("conversations", pa.list_(turn))])
    parquet.write_table(pa.Table.from_pylist([record], schema=schema), tmp_path / "train.parquet")
    assert seen(mixed(one("sharegpt"), tmp_path)) == {"p": [drawing(3)]}


def described(folder: Path, **sets: Values) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "dataset_info.json").write_text(json.dumps(sets), encoding="utf-8")
    return folder


def test_llamafactory_says_how_its_columns_and_roles_are_spelled(tmp_path: Path) -> None:
    tags = {"role_tag": "who", "content_tag": "says", "user_tag": "me", "assistant_tag": "you"}
    columns = {"messages": "talk", "images": "shown", "system": "before"}
    described(tmp_path, odd={"file_name": "odd.json", "formatting": "sharegpt", "columns": columns, "tags": tags})
    images(tmp_path, ["x.png"])
    record = {
        "id": "o",
        "talk": [{"who": "me", "says": "<image>?"}, {"who": "you", "says": "Yes."}],
        "shown": ["x.png"],
    }
    (tmp_path / "odd.json").write_text(json.dumps([{**record, "before": "Be brief."}]), encoding="utf-8")
    expected = {"o": [("system", "Be brief."), ("user", "<image>?"), ("assistant", "Yes.")]}
    assert texts(mixed(one("llamafactory"), tmp_path)) == expected
    assert texts(mixed(one("mis"), tmp_path)) == expected


def test_one_of_several_sets_of_llamafactory_must_be_named(tmp_path: Path) -> None:
    described(tmp_path, a={"file_name": "a.json", "formatting": "sharegpt"}, b={"file_name": "b.json"})
    (tmp_path / "a.json").write_text(json.dumps([{"conversations": said("Hello", "Hello.")}]), encoding="utf-8")
    assert refused(one("llamafactory"), tmp_path).remedy == "known: a, b"
    assert isinstance(refused(one("llamafactory", part="c"), tmp_path), UnknownName)
    assert len(mixed(one("llamafactory", part="a"), tmp_path).records) == 1
    assert "formatting is not sharegpt" in refused(one("llamafactory", part="b"), tmp_path).what


def test_a_file_outside_the_folder_that_describes_it_is_not_read(tmp_path: Path) -> None:
    described(tmp_path / "in", a={"file_name": "../out.json", "formatting": "sharegpt"})
    (tmp_path / "out.json").write_text("[]", encoding="utf-8")
    error = refused(one("llamafactory"), tmp_path / "in")
    assert (isinstance(error, BadData), "stay under the data root" in error.where) == (True, True)


def test_records_that_all_lack_the_same_field_are_of_another_layout_which_is_said_once(tmp_path: Path) -> None:
    texts = [{"prompt": f"Case {number}?", "response": "Yes.", "harmful": False} for number in range(20)]
    lines(tmp_path / "mis_train.json", texts)
    error = refused(one("mis"), tmp_path)
    assert error.what == "no record is of the layout that is expected here: field 'conversations' is missing, in all 20"
    assert error.where == "mis_train.json"
    assert error.remedy.startswith(
        'a record of the layout mis is like {"image": ["1.png", "2.png"], "conversations": ['
    )


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_record_that_a_layout_is_said_to_be_like_is_one_of_it(tmp_path: Path, name: str) -> None:
    said_to_be = LAYOUTS[name].like.partition(", or as")[0].replace("…", "said")
    lines(tmp_path / "train.jsonl", [json.loads(said_to_be)])
    images(tmp_path, ["1.png", "2.png"])
    assert len(mixed(one(name), tmp_path).records) == 1  # type: ignore[arg-type]


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
def test_a_mixture_comes_back_as_it_was_written(tmp_path: Path, name: Layout) -> None:
    before = mixture(tmp_path)
    main = write(name, before, tmp_path / "out")
    assert main.parent == tmp_path / "out"
    after = mixed(one(name), tmp_path / "out", seed=3)
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
