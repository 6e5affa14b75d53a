"""Bytes come from a folder, and never from outside the data root; an image may have several possible places."""

import os
from pathlib import Path

import pytest

from harness.errors import BadImage
from harness.images import open_image
from harness.readers import files
from harness.readers.files import first_of, open_files
from harness.testing.fakes import PIXEL, fake_image
from harness.types import Image
from tests.core.packed import CONTENT, fault, zipped


def unpacked(path: Path, content: dict[str, bytes]) -> Path:
    for name, data in content.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def test_a_file_of_a_folder_is_read_and_stamped_by_size_and_time(tmp_path: Path) -> None:
    found = open_files(unpacked(tmp_path, CONTENT))
    assert found.read("easy_image/1/object1.png") == b"first"
    name, size, mtime = found.stamp("easy_image/1/object2.png")
    assert (Path(name), size) == (tmp_path.resolve() / "easy_image/1/object2.png", 6)
    assert mtime == Path(name).stat().st_mtime_ns
    assert found.has("easy_image/1/object1.png")
    assert not found.has("easy_image/2/object1.png")


@pytest.mark.parametrize(
    "path", ["easy_image/2/a.png", "", ".", "a\0b", "x" * 5000, "http://example.org/a.png", "\ud800"]
)
def test_a_path_that_names_no_file_is_a_bad_image_and_never_another_error(tmp_path: Path, path: str) -> None:
    assert fault(unpacked(tmp_path, CONTENT), path) in {"missing", "unreadable"}


@pytest.mark.parametrize(
    "path", ["../secret", "easy_image/../../secret", "..\\secret", "/etc/passwd", "\\etc\\passwd", "./../secret"]
)
def test_a_path_that_leaves_the_root_is_refused_and_never_opened(tmp_path: Path, path: str) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    assert fault(unpacked(tmp_path / "root", CONTENT), path) == "outside_root"
    assert not open_files(tmp_path / "root").has(path)


def test_a_backslash_separates_folders(tmp_path: Path) -> None:
    assert open_files(unpacked(tmp_path, CONTENT)).read("easy_image\\1\\object1.png") == b"first"


@pytest.mark.parametrize("link", ["a.png", "folder"])
def test_a_link_out_of_the_root_is_refused(tmp_path: Path, link: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret.png").write_bytes(b"secret")
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.png").symlink_to(tmp_path / "elsewhere" / "secret.png")
    (root / "folder").symlink_to(tmp_path / "elsewhere")
    assert fault(root, "a.png" if link == "a.png" else "folder/secret.png") == "outside_root"


def test_a_sibling_whose_name_begins_like_the_root_is_outside_it(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root2").mkdir()
    (tmp_path / "root2" / "a.png").write_bytes(b"secret")
    (tmp_path / "root" / "a.png").symlink_to(tmp_path / "root2" / "a.png")
    assert fault(tmp_path / "root", "a.png") == "outside_root"


def test_a_link_within_the_root_and_a_root_that_is_a_link_are_fine(tmp_path: Path) -> None:
    unpacked(tmp_path / "disk", CONTENT)
    (tmp_path / "disk" / "again.png").symlink_to("easy_image/1/object1.png")
    (tmp_path / "root").symlink_to(tmp_path / "disk")
    assert open_files(tmp_path / "root").read("again.png") == b"first"


@pytest.mark.parametrize("root", [".", "..", "/"])
def test_a_root_without_a_name_of_its_own_is_a_folder_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: str
) -> None:
    inner = unpacked(tmp_path, CONTENT) / "easy_image"
    monkeypatch.chdir(tmp_path if root == "." else inner)
    assert fault(Path(root), "easy_image/1/none.png") == "missing"
    assert open_files(Path(root)).has("easy_image/1/object1.png") is (root != "/")


@pytest.mark.parametrize("root", [".", ".."])
def test_an_archive_beside_a_root_without_a_name_of_its_own_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: str
) -> None:
    (tmp_path / "set" / "inner").mkdir(parents=True)
    zipped(tmp_path / "set.zip", CONTENT)
    monkeypatch.chdir(tmp_path / "set" if root == "." else tmp_path / "set" / "inner")
    assert open_files(Path(root)).read("easy_image/1/object1.png") == b"first"


def test_the_hub_clients_own_cache_is_read_through_its_links(tmp_path: Path) -> None:
    snapshot = tmp_path / "datasets--a--b" / "snapshots" / "0123abcd"
    unpacked(tmp_path / "datasets--a--b", {"blobs/f00d": b"picture", "refs/main": b"0123abcd"})
    snapshot.mkdir(parents=True)
    (snapshot / "a.png").symlink_to("../../blobs/f00d")
    (snapshot / "b.png").symlink_to("../../refs/main")
    assert open_files(snapshot).read("a.png") == b"picture"
    assert fault(snapshot, "b.png") == "outside_root"


def test_a_pipe_a_device_and_a_folder_are_unreadable_and_nothing_waits_for_them(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    assert fault(tmp_path, "pipe.png") == "unreadable"
    assert fault(tmp_path, "folder.png") == "unreadable"


def test_a_file_of_implausible_size_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "READ_LIMIT", 5)
    zipped(tmp_path / "more.zip", {"b.png": b"second"})
    (tmp_path / "a.png").write_bytes(b"second")
    assert fault(tmp_path, "a.png") == fault(tmp_path, "b.png") == "too_many_bytes"


# ------------------------------------------------------------------------------------------------- several places


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
