"""An image of several possible places is the first that is there, found when it is opened."""

from pathlib import Path

import pytest

from harness.errors import BadImage
from harness.images import open_image
from harness.readers import first_of, open_files
from harness.testing.fakes import PIXEL, fake_image
from harness.types import Image


def places(root: Path, *paths: str) -> Image:
    files = open_files(root)
    return first_of(*(files.image(path) for path in paths))


def test_the_first_place_that_has_it_is_opened(tmp_path: Path) -> None:
    image = places(tmp_path, "a/x.jpg", "a/x.png", "x.png")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.png").write_bytes(PIXEL)
    (tmp_path / "x.png").write_bytes(b"not this one")
    assert image.path == "a/x.jpg"
    assert open_image(image).opened.data == PIXEL
    assert image.files.stamp(image.path)[0] == str(tmp_path / "a" / "x.png")
    assert image.files.root == tmp_path


def test_one_that_is_in_no_place_is_missing_under_its_first_name(tmp_path: Path) -> None:
    with pytest.raises(BadImage, match=r"one\.png") as caught:
        open_image(places(tmp_path, "one.png", "two.png"))
    assert (caught.value.path, caught.value.reason) == ("one.png", "missing")


def test_a_broken_place_is_told_before_a_missing_one(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(BadImage) as caught:
        open_image(places(tmp_path, "one.png", "folder.png"))
    assert (caught.value.path, caught.value.reason) == ("folder.png", "unreadable")


def test_a_single_place_is_the_image_itself() -> None:
    image = fake_image()
    assert first_of(image) is image
