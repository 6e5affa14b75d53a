"""Every image of what is taken is looked at before a model is opened: no step finds one that is none."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path

import PIL.Image
import pytest

from harness import BadData
from tests.training.data_sets import drawing, images, mis, mixed, one, pair, refused, texts

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


def test_it_is_left_out_and_counted_with_the_others_where_that_is_asked_for(tmp_path: Path) -> None:
    (mis(tmp_path) / BAD).write_text("only words", encoding="utf-8")
    (tmp_path / "images" / "4" / "object1.png").unlink()
    mixture = mixed(one("mis"), tmp_path, settings={"skip_bad": True})
    (part,) = mixture.parts
    assert (part.found, part.taken, len(mixture.records)) == (6, 4, 4)
    assert part.left_out == {"an image that cannot be used": 1, "a missing image": 1}


def test_it_gives_its_place_in_a_sample_to_another(tmp_path: Path) -> None:
    mis(tmp_path, [pair(number) for number in range(20)])
    for number in range(10):
        (tmp_path / "images" / str(number) / "object1.png").write_text("only words", encoding="utf-8")
    mixture = mixed(one("mis", count=10), tmp_path, settings={"skip_bad": True})
    answers = {texts(mixture)[record.id][1][1] for record in mixture.records}
    assert answers == {f"They may, in case {number}." for number in range(10, 20)}


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
