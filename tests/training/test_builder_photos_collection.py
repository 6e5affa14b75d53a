"""What reading a collection promises: all layouts, each photograph with its own licence, nothing fetched."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from harness_builder.licences import check_licences
from harness_builder.photos.collection import Photo, RealRecord, UsedPhoto, list_photos, parse_info, photo_source
from harness_builder.photos.search import open_photos
from harness_builder.seeds import SeedSource

from harness import BadData, HarnessError, MissingData
from harness.images import open_image
from tests.training.photo_sets import drawing, folder, parquet, photos, tar

STAR, RING = drawing("red star"), drawing("blue ring")


def read(path: Path, **changes: object) -> dict[str, Photo]:
    return {photo.key: photo for photo in list_photos(photos(path, **changes))}


def test_a_folder_is_read_with_what_stands_beside_each_photograph(tmp_path: Path) -> None:
    folder(tmp_path, {"a/cup.png": "red star on a table"}, license="CC BY-SA 4.0", url="there", author="Ada")
    (tmp_path / "plain.jpg").write_bytes(RING)
    (tmp_path / ".hidden.png").write_bytes(RING)
    found = read(tmp_path)
    assert list(found) == ["album/plain.jpg", "album/a/cup.png"]
    cup = found["album/a/cup.png"]
    assert (cup.caption, cup.licence, cup.url, cup.author) == ("red star on a table", "cc-by-sa-4.0", "there", "Ada")
    assert open_image(cup.image).opened.data == drawing("red star", "a/cup.png")
    assert (found["album/plain.jpg"].caption, found["album/plain.jpg"].licence) == ("", "cc-by-4.0")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "metadata.jsonl",
            '{"file_name": "b/x.png", "text": "A ring", "licence": "cc0-1.0"}\n{"file_name": "no.png"}\n',
        ),
        ("metadata.csv", "file_name,caption,license\nb/x.png,A ring,cc0-1.0\nno.png,,\n"),
    ],
)
def test_a_table_speaks_of_files_below_it_and_those_that_are_not_here_are_counted(
    tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.png").write_bytes(RING)
    (tmp_path / name).write_text(text)
    told: list[str] = []
    (photo,) = list_photos(photos(tmp_path), tell=told.append)
    assert (photo.key, photo.caption, photo.licence) == ("album/b/x.png", "A ring", "cc0-1.0")
    assert told == ["album: 1 photograph; 1 left out: is only in its index: nothing is fetched"]


def test_members_of_one_stem_of_a_shard_are_one_photograph(tmp_path: Path) -> None:
    record = json.dumps({"license": "https://creativecommons.org/licenses/by-nc/2.0/", "url": "there"}).encode()
    first = {"000.jpg": STAR, "000.txt": b" a red\nstar ", "000.json": record, "001.png": RING, "002.txt": b"no image"}
    tar(tmp_path / "one.tar", first)
    tar(tmp_path / "more" / "two.tar", {"000.webp": RING, "000.other.json": b"{}"})
    found = read(tmp_path)
    assert list(found) == ["album/more/two.tar/000", "album/one.tar/000", "album/one.tar/001"]
    star = found["album/one.tar/000"]
    assert (star.caption, star.licence, star.url) == ("a red star", "cc-by-nc-2.0", "there")
    assert open_image(star.image).opened.data == STAR
    assert open_image(found["album/more/two.tar/000"].image).opened.data == RING


def test_an_index_holds_images_or_names_files_and_no_address_is_followed(tmp_path: Path) -> None:
    (tmp_path / "here.png").write_bytes(RING)
    rows: list[dict[str, Any]] = [
        {"jpg": STAR, "path": None, "URL": "http://there.invalid/1.jpg", "TEXT": "a star", "LICENSE": "?"},
        {"jpg": None, "path": "here.png", "URL": None, "TEXT": "a ring", "LICENSE": "cc0-1.0"},
        {"jpg": None, "path": None, "URL": "http://there.invalid/3.jpg", "TEXT": "a bar", "LICENSE": "cc0-1.0"},
        {"jpg": None, "path": "../out.png", "URL": None, "TEXT": "a bar", "LICENSE": "cc0-1.0"},
    ]
    parquet(tmp_path / "index.parquet", rows)
    told: list[str] = []
    star, ring = list_photos(photos(tmp_path), tell=told.append)
    assert (star.key, star.caption, star.licence) == ("album/index.parquet#jpg/1", "a star", "cc-by-4.0")
    assert star.url == "http://there.invalid/1.jpg"
    assert (ring.key, ring.licence) == ("album/here.png", "cc0-1.0")
    assert [open_image(each.image).opened.data for each in (star, ring)] == [STAR, RING]
    assert "2 left out: is only in its index" in told[0]


def test_an_index_of_addresses_alone_says_that_nothing_is_fetched(tmp_path: Path) -> None:
    index = parquet(tmp_path / "index.parquet", [{"URL": "http://there.invalid/1.jpg", "TEXT": "a star"}])
    with pytest.raises(HarnessError, match="1 left out: is only in its index: nothing is fetched") as caught:
        list_photos(photos(index))
    assert "hold images" in caught.value.remedy


def test_a_photograph_without_a_licence_is_left_out_and_counted(tmp_path: Path) -> None:
    folder(tmp_path, {"own.png": "red star"}, licence="CC0")
    (tmp_path / "none.png").write_bytes(RING)
    told: list[str] = []
    assert [each.key for each in list_photos(photos(tmp_path, licence=""), tell=told.append)] == ["album/own.png"]
    assert told == ["album: 1 photograph; 1 left out: no licence"]
    (tmp_path / "own.png").unlink()
    with pytest.raises(HarnessError, match="no licence") as caught:
        list_photos(photos(tmp_path, licence=""), accepted=True)
    assert "state the licence" in caught.value.remedy
    assert "--accept-licence is for a stated licence" in caught.value.remedy


@pytest.mark.parametrize("licence", ["cc-by-nd-2.0", "All rights reserved", 4, "cc-by"])
def test_a_licence_that_forbids_it_or_nobody_knows_is_only_used_where_the_user_says_so(
    tmp_path: Path, licence: object
) -> None:
    (tmp_path / "a.png").write_bytes(STAR)
    (tmp_path / "a.json").write_text(json.dumps({"license": licence}))
    with pytest.raises(HarnessError, match="forbids it, or is unknown") as caught:
        list_photos(photos(tmp_path))
    assert "--accept-licence album" in caught.value.remedy
    (photo,) = list_photos(photos(tmp_path), accepted=True)
    assert photo.licence == (str(licence).casefold() if isinstance(licence, str) else "unknown")


def test_a_record_that_cannot_be_read_leaves_its_photograph_out(tmp_path: Path) -> None:
    """It may have held a licence that forbids it: the collection's must not stand in for that."""
    folder(tmp_path / "a", {"good.png": "red star", "bad.png": "blue ring", "list.png": "blue bar"})
    (tmp_path / "a" / "bad.json").write_text("{")
    (tmp_path / "a" / "list.json").write_text("[]")
    assert list(read(tmp_path)) == ["album/a/good.png"]
    tar(tmp_path / "b.tar", {"good.png": STAR, "bad.png": RING, "bad.json": b"{"})
    assert list(read(tmp_path)) == ["album/b.tar/good"]


def test_a_shard_that_is_cut_off_is_named(tmp_path: Path) -> None:
    whole = tar(tmp_path / "one.tar", {"000.jpg": STAR * 9}).read_bytes()
    (tmp_path / "one.tar").write_bytes(whole[:300])
    with pytest.raises(BadData) as caught:
        list_photos(photos(tmp_path))
    assert "one.tar" in caught.value.where


def test_links_that_lead_out_of_the_collection_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out.png").write_bytes(STAR)
    (tmp_path / "in" / "link.png").symlink_to(tmp_path / "out.png")
    (tmp_path / "in" / "own.png").write_bytes(RING)
    assert list(read(tmp_path / "in")) == ["album/own.png"]


def test_a_name_that_is_no_text_can_still_be_written_down(tmp_path: Path) -> None:
    (tmp_path / "a\udcff.png").write_bytes(STAR)
    (photo,) = list_photos(photos(tmp_path))
    assert photo.key.encode()
    assert parse_info({"caption": "half \ud800 a letter"}).caption.encode()


def test_nothing_at_the_path_and_nothing_in_it_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(MissingData):
        open_photos(photos(tmp_path / "none"))
    with pytest.raises(HarnessError, match="no photograph in 'album'"):
        open_photos(photos(tmp_path))


def used(*licences: str) -> RealRecord:
    photo = UsedPhoto(key="album/1", object="cup", sha256="0", faces=0, score=1.0, licence="")
    one, other = (replace(photo, licence=each) for each in licences)
    return RealRecord(key="s/1#0@real", of="s/1#0", question="", category="", sub_category="", photos=(one, other))


def test_the_licences_of_photographs_enter_that_of_the_set(tmp_path: Path) -> None:
    seeds = SeedSource(name="seeds", path=tmp_path, licence="mit")
    without = photos(tmp_path, licence="")
    assert check_licences([seeds, photo_source(without)]).name == "mit", "before one is chosen nothing is known"
    assert check_licences([seeds, photo_source(photos(tmp_path))]).name == "cc-by-4.0"
    assert check_licences([seeds, photo_source(without, [used("cc0-1.0", "cc-by-nc-2.0")])]).name == "cc-by-nc-2.0"
    with pytest.raises(HarnessError, match="album"):
        check_licences([seeds, photo_source(without, [used("cc0-1.0", "mine alone")])])
    found = check_licences([seeds, photo_source(without, [used("cc0-1.0", "mine alone")])], ["album"])
    assert (found.name, found.accepted) == ("unknown", ("album",))
