"""What a model learns from is checked record by record, sampled by the seed, and put into one order."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from pathlib import Path

import PIL.Image
import pytest
from harness_mirage.data.reader import REFUSALS
from harness_mirage.methods import METHODS

from harness import BadData, HarnessError
from tests.training.data_sets import bad, drawing, ids, images, lines, mis, mixed, one, pair, refused, said, seen, texts

MIRAGE = next(method for method in METHODS if method.name == "mirage")


def test_where_a_text_has_no_marks_one_for_each_image_stands_before_the_question(tmp_path: Path) -> None:
    (record,) = mixed(one("mis"), mis(tmp_path, [pair(1)])).records
    assert record.turns[0].text == "<image><image>May these two lie together, case 1?"
    assert record.turns[1].text == "They may, in case 1."


def test_marks_that_the_data_have_stay_where_they_are(tmp_path: Path) -> None:
    asked = "First <image>, then\n<image>: together?"
    (record,) = mixed(one("mis"), mis(tmp_path, [pair(1, conversations=said(asked, "Yes."))])).records
    assert record.turns[0].text == asked


def test_marks_without_images_are_found_in_general_data_too(tmp_path: Path) -> None:
    lines(tmp_path / "general.jsonl", [{"conversations": said("<image>Which?", "None.")}])
    assert "0 images and 1 <image> marks" in refused(one("sharegpt"), tmp_path).where


def test_the_images_of_a_record_keep_their_order(tmp_path: Path) -> None:
    mixture = mixed(one("mis"), mis(tmp_path, [pair(1, id="a"), pair(2, id="b", image=["z.png", "a.png"])]))
    assert seen(mixture) == {"a": [drawing(0), drawing(1)], "b": [drawing(2), drawing(3)]}


def test_every_bad_record_is_counted_and_the_first_ten_are_named(tmp_path: Path) -> None:
    records = [pair(number, conversations=said("Together?", " ")) for number in range(1, 13)] + [pair(13)]
    error = bad(records, tmp_path)
    assert error.what == "12 of 13 records cannot be learnt from: an empty answer (12)"
    assert error.where.count("mis_train.json, record ") == 10
    assert error.where.startswith("mis_train.json, record 1; mis_train.json, record 2; mis_train.json, record 3; ")
    assert error.where.endswith("; and 2 more")
    assert "-S skip_bad=true" in error.remedy


def test_several_kinds_of_bad_records_are_told_apart(tmp_path: Path) -> None:
    records = [pair(1, conversations=said("", "Yes.")), pair(2, conversations=said("Together?", "")), pair(3)]
    error = bad([*records, pair(4, conversations=said("", "No."))], tmp_path)
    assert error.what == "3 of 4 records cannot be learnt from: an empty question (2); an empty answer (1)"
    assert "mis_train.json, record 2: an empty answer" in error.where


@pytest.mark.parametrize(
    ("values", "said_of_it"),
    [
        ({"conversations": said("<image>One?", "Yes.")}, "2 images and 1 <image> marks"),
        ({"conversations": said("<image><image><image>Three?", "Yes.")}, "2 images and 3 <image> marks"),
        ({"image": None}, "0 images, where a record of MIS-train has two"),
        ({"image": ["1/object1.png"] * 3}, "3 images, where a record of MIS-train has two"),
        ({"conversations": said("<image><image> \n", "Yes.")}, "an empty question"),
        ({"conversations": said("Together?", "")}, "an empty answer"),
        ({"conversations": said("Together?", "<image><image>")}, "an empty answer"),
        ({"conversations": said("Together?", "Look: <image><image>")}, "an <image> mark in the text of the assistant"),
        ({"conversations": [{"from": "bot", "value": "x"}]}, "unknown role 'bot' (known: system, human, user, gpt"),
        ({"conversations": said("Together?", "Yes.")[::-1]}, "turns in a wrong order: assistant, user"),
        ({"conversations": said("Together?", "Yes.")[:1]}, "turns in a wrong order: user"),
        ({"conversations": []}, "turns in a wrong order: none"),
        ({"conversations": None}, "field 'conversations' is missing"),
        ({"conversations": "Together?"}, "field 'conversations' is text, not a list"),
        ({"conversations": [1, 2]}, "the record is a number, not an object"),
        ({"conversations": said("Half \ud83d of one?", "Yes.")}, "half a character"),
        ({"image": [{"url": "x"}]}, "an image without a path"),
        ({"image": ["1/object1.png", "../../secret.png"]}, "paths of data files stay under the data root"),
        ({"image": ["1/object1.png", "/etc/hostname"]}, "paths of data files stay under the data root"),
    ],
)
def test_a_record_that_cannot_be_learnt_from_is_named_with_what_is_wrong(
    tmp_path: Path, values: dict[str, object], said_of_it: str
) -> None:
    mis(tmp_path, [pair(1), pair(2)])
    error = refused(one("mis"), mis(tmp_path, [pair(1), {**pair(2), **values}], drawn=False))
    assert isinstance(error, BadData)
    assert said_of_it in str(error)
    assert "mis_train.json, record 2" in error.where
    assert error.what.startswith("1 of 2 records cannot be learnt from: ")


def test_a_missing_image_is_found_before_training(tmp_path: Path) -> None:
    mis(tmp_path)
    (tmp_path / "images" / "3" / "object2.png").unlink()
    error = refused(one("mis"), tmp_path)
    assert error.what == "1 of 6 records cannot be learnt from: a missing image (1)"
    assert error.where == "mis_train.json, record 3: image 3/object2.png is missing"


def test_a_link_that_leads_out_of_the_data_is_not_followed(tmp_path: Path) -> None:
    mis(tmp_path / "data")
    (tmp_path / "secret.png").write_bytes(drawing(0))
    inside = tmp_path / "data" / "images" / "3" / "object2.png"
    inside.unlink()
    inside.symlink_to(tmp_path / "secret.png")
    assert "a link leads out of the data root" in refused(one("mis"), tmp_path / "data").where


def test_bad_records_are_left_out_and_counted_where_that_is_asked_for(tmp_path: Path) -> None:
    records = [pair(1), pair(2, conversations=said("Together?", "")), pair(3), pair(4), pair(5)]
    mis(tmp_path, [*records, "no record"], drawn=False)
    images(tmp_path / "images", [path for number in (1, 2, 3, 5) for path in pair(number)["image"]])
    (tmp_path / "images" / "5" / "object1.png").write_text("only words", encoding="utf-8")
    mixture = mixed(one("mis"), tmp_path, settings={"skip_bad": True})
    (part,) = mixture.parts
    assert (part.found, part.taken, len(mixture.records)) == (6, 2, 2)
    reasons = ("an empty answer", "a missing image", "a record that is no object", "an image that cannot be used")
    assert part.left_out == dict.fromkeys(reasons, 1)


def test_bad_records_that_are_left_out_give_their_place_in_a_sample_to_others(tmp_path: Path) -> None:
    mis(tmp_path, [pair(number) for number in range(40)], drawn=False)
    images(tmp_path / "images", [path for number in range(30) for path in pair(number)["image"]])
    for number in range(20, 30):  # of the others images are missing
        (tmp_path / "images" / str(number) / "object1.png").write_text("only words", encoding="utf-8")
    mixture = mixed(one("mis", count=20), tmp_path, settings={"skip_bad": True})
    assert sorted(texts(mixture)[each][1][1] for each in ids(mixture)) == sorted(
        f"They may, in case {number}." for number in range(20)
    )


def test_refusals_stand_in_place_of_all_answers_and_stay_the_same(tmp_path: Path) -> None:
    records = [pair(number) for number in range(40)]
    first = mixed(one("mis", labels="refusal"), mis(tmp_path, records))
    answers = {each.turns[-1].text for each in first.records}
    assert answers == set(REFUSALS)
    assert all(each.turns[0].text.startswith("<image><image>May these") for each in first.records)
    assert mixed(one("mis", labels="refusal"), tmp_path).digest == first.digest


def test_an_answer_that_is_missing_is_still_found_where_a_refusal_would_stand(tmp_path: Path) -> None:
    mis(tmp_path, [pair(1, conversations=said("Together?", ""))])
    assert "an empty answer" in refused(one("mis", labels="refusal"), tmp_path).what


def test_text_only_asks_in_the_words_of_the_data_and_shows_no_image(tmp_path: Path) -> None:
    asked = "May a red star and a blue ring lie together?"
    records = [pair(1, id="a", text_question=asked, text_answer="In words: yes.")]
    mixture = mixed(one("mis", labels="text_only"), mis(tmp_path, records, drawn=False))
    assert texts(mixture) == {"a": [("user", asked), ("assistant", "In words: yes.")]}
    assert seen(mixture) == {"a": []}


def test_text_only_never_learns_the_answer_that_speaks_of_the_images(tmp_path: Path) -> None:
    asked = "May a red star and a blue ring lie together?"
    records = [pair(1, text_question=asked), pair(2, id="b", text_question=asked, text_answer="In words: yes.")]
    data = mis(tmp_path, records, drawn=False)
    error = refused(one("mis", labels="text_only"), data)
    assert "1 of 2 records cannot be learnt from: no text_answer to the text_question" in error.what
    assert "text_answer" in error.remedy
    (left,) = mixed(one("mis", labels="text_only"), data, settings={"skip_bad": True}).records
    assert left.turns[-1].text == "In words: yes."


def test_text_only_says_what_to_bring_where_the_data_have_no_such_question(tmp_path: Path) -> None:
    error = refused(one("mis", labels="text_only"), mis(tmp_path))
    assert "no text_question, which asks in words alone (6)" in error.what
    assert "text_question" in error.remedy


def test_a_part_says_which_files_it_was_read_from_and_under_which_licence(tmp_path: Path) -> None:
    mis(tmp_path)
    (tmp_path / "LICENSE").write_text("\nDrawings of our own.\n", encoding="utf-8")
    (part,) = mixed(one("mis"), tmp_path).parts
    (known,) = mixed(one("mis", hub="Tuwhy/MIS_Train"), mis(tmp_path / "b")).parts
    assert list(part.files) == ["mis_train.json"]
    assert (len(part.files["mis_train.json"]), len(part.ids), len(part.images)) == (64, 64, 64)
    assert (part.licence, known.licence) == ("Drawings of our own.", "Tuwhy/MIS_Train is published under: apache-2.0")


def test_another_image_or_another_id_changes_what_a_part_says(tmp_path: Path) -> None:
    (before,) = mixed(one("mis"), mis(tmp_path, [pair(1, id="a")])).parts
    (tmp_path / "images" / "1" / "object1.png").write_bytes(drawing(9))
    (after,) = mixed(one("mis"), tmp_path).parts
    (named,) = mixed(one("mis"), mis(tmp_path / "b", [pair(1, id="b")])).parts
    assert before.images != after.images
    assert (before.ids == after.ids, before.ids == named.ids) == (True, False)


def test_a_file_that_breaks_off_is_refused_with_its_line(tmp_path: Path) -> None:
    mis(tmp_path)
    file = tmp_path / "mis_train.json"
    file.write_text(json.dumps([pair(1), pair(2)], indent=1)[:-40], encoding="utf-8")
    error = refused(one("mis"), tmp_path)
    assert error.what.startswith("not a JSON list of records: ")
    assert "mis_train.json, line " in error.where


@pytest.mark.parametrize("text", ["[1 2]", "[{}] []", "3", "", '[{"a": }]', "[" * 100_000])
def test_what_is_no_list_of_records_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "mis_train.json").write_text(text, encoding="utf-8")
    assert isinstance(refused(one("mis"), tmp_path), HarnessError)


@pytest.mark.parametrize("before", [0, 2 << 20], ids=["at the beginning", "far behind the beginning"])
def test_a_file_in_another_encoding_is_said_to_be_that(tmp_path: Path, before: int) -> None:
    (tmp_path / "mis_train.json").write_bytes(b'[{"a": "' + b"x" * before + b'\xff"}]')
    error = refused(one("mis"), tmp_path)
    assert (error.what, error.where) == ("the file is not UTF-8: invalid start byte", "mis_train.json")


@pytest.mark.parametrize(
    ("line", "what", "said_of_it"),
    [
        ('{"image": ', "a line that is not JSON", "not JSON"),
        (
            json.dumps(pair(1))[:-1] + ', "image": []}',
            "a line with a repeated key",
            "the key 'image' stands twice in one object",
        ),
    ],
    ids=["a line that breaks off", "a key that stands twice, which is named"],
)
def test_a_broken_line_is_one_bad_record(tmp_path: Path, line: str, what: str, said_of_it: str) -> None:
    images(tmp_path / "images", pair(1)["image"])
    file = lines(tmp_path / "mis_train.jsonl", [pair(1), pair(1)])
    file.write_text(f"{file.read_text(encoding='utf-8')}{line}\n", encoding="utf-8")
    error = refused(one("mis"), tmp_path)
    assert error.what == f"1 of 3 records cannot be learnt from: {what} (1)"
    assert error.where.startswith(f"mis_train.jsonl, record 3: {said_of_it}")


BAD = "images/3/object2.png"


def headless() -> bytes:
    """A PNG whose chunks are all there, and whose header says nothing that Pillow understands."""
    body = b"IHDR" + struct.pack(">IIBBBBB", 8, 8, 77, 99, 0, 0, 0)
    header = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + header + drawing(1)[33:]


def bomb() -> bytes:
    file = io.BytesIO()
    PIL.Image.new("1", (10_000, 9_000)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"only words\n", "neither PNG, JPEG, GIF, WebP nor BMP"),
        (b"", "neither PNG, JPEG, GIF, WebP nor BMP"),
        (drawing(1)[:-20], "PNG ends inside a chunk"),
        (headless(), BAD),
        (bomb(), "at most 80000000 are opened"),
    ],
    ids=["a text", "nothing", "cut off", "a header that says nothing", "too many pixels"],
)
def test_a_file_that_is_no_image_is_one_bad_record(tmp_path: Path, data: bytes, why: str) -> None:
    (mis(tmp_path) / BAD).write_bytes(data)
    error = refused(one("mis"), tmp_path)
    assert isinstance(error, BadData)
    assert error.what == "1 of 6 records cannot be learnt from: an image that cannot be used (1)"
    assert error.where.startswith(f"mis_train.json, record 3: image {BAD}: ")
    assert why in error.where
    assert "-S skip_bad=true" in error.remedy


def test_it_is_found_in_an_archive_as_well(tmp_path: Path) -> None:
    mis(tmp_path, drawn=False)
    images(tmp_path / "drawn", [path for number in range(1, 7) for path in pair(number)["image"]])
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for file in sorted((tmp_path / "drawn").rglob("*.png")):
            name = file.relative_to(tmp_path / "drawn").as_posix()
            archive.writestr(name, "only words" if name == "3/object2.png" else file.read_bytes())
    assert "record 3: image" in refused(one("mis"), tmp_path).where


def test_records_of_many_pieces_keep_their_order_and_lose_only_the_bad_ones(tmp_path: Path) -> None:
    records = [pair(number, id=f"{number:04}", image=["1/a.png", "1/b.png"]) for number in range(700)]
    records[300]["image"] = ["1/a.png", "1/words.png"]
    mis(tmp_path, records, drawn=False)
    images(tmp_path / "images", ["1/a.png", "1/b.png"])
    (tmp_path / "images" / "1" / "words.png").write_text("only words", encoding="utf-8")
    (part,) = mixed(one("mis"), tmp_path, settings={"skip_bad": True}).parts
    assert part.names == tuple(f"{number:04}" for number in range(700) if number != 300)
