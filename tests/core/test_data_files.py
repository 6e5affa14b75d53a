"""Bytes come from a folder and its archives, and never from outside the data root; an image may have several places."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import threading
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import BadImage
from harness.images import open_image
from harness.readers import archives
from harness.readers.files import first_of, open_files
from harness.testing.fakes import PIXEL, fake_image
from harness.types import Image

CONTENT = {"easy_image/1/object1.png": b"first", "easy_image/1/object2.png": b"second"}


def zipped(path: Path, content: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in content.items():
            file.writestr(name, data)
    return path


def fault(root: Path, path: str) -> str:
    with pytest.raises(BadImage) as caught:
        open_files(root).read(path)
    assert caught.value.path == path
    return caught.value.reason


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
    monkeypatch.setattr(archives, "READ_LIMIT", 5)
    zipped(tmp_path / "more.zip", {"b.png": b"second"})
    (tmp_path / "a.png").write_bytes(b"second")
    assert fault(tmp_path, "a.png") == fault(tmp_path, "b.png") == "too_many_bytes"


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


def test_an_image_is_opened_in_the_first_folder_that_has_it_and_a_layout_is_found_by_its_names(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.png").write_bytes(PIXEL)
    files = open_files(tmp_path)
    assert open_image(files.image("x.png", ("a/", "b/"))).opened.data == PIXEL
    assert (files.find("a/*.png", "b/*.png", "b/x.png"), files.find("a/*", "x.png")) == ("b/*.png", "")


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


Build = Callable[[Path, dict[str, bytes]], Path]
PACKED: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    "tgz": gzip.compress,
    "bz2": bz2.compress,
    ".xz": lzma.compress,
    "txz": lzma.compress,
}


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *_, **__: folder)
    return folder


def tarred(path: Path, content: dict[str, bytes]) -> Path:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as file:
        for name, data in content.items():
            add(file, name, data)
    path.write_bytes(PACKED.get(path.name[-3:], bytes)(plain.getvalue()))
    return path


def add(file: tarfile.TarFile, name: str, data: bytes = b"", **fields: object) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    file.addfile(info, io.BytesIO(data))


def outcome(root: Path, path: str) -> str:
    try:
        return f"{len(open_files(root).read(path))} bytes"
    except BadImage as error:
        return error.reason


@pytest.mark.parametrize(
    ("build", "name"),
    [(zipped, "images.zip"), *[(tarred, f"images{ending}") for ending in archives.SUFFIXES if ending != ".zip"]],
)
@pytest.mark.parametrize("shape", ["same", "one top folder", "dot", "beside", "alone"])
def test_every_archive_answers_like_the_unpacked_folder(tmp_path: Path, build: Build, name: str, shape: str) -> None:
    prefix = {"one top folder": "mis_test/", "dot": "./"}.get(shape, "")
    root = tmp_path / "images"
    if shape != "alone":
        root.mkdir()
    place = tmp_path / name if shape in {"beside", "alone"} else root / name
    build(place, {prefix + path: data for path, data in CONTENT.items()})
    found = open_files(place if shape == "alone" else root)
    assert {path: found.read(path) for path in CONTENT} == CONTENT
    assert found.stamp("easy_image/1/object2.png")[1] == 6
    with pytest.raises(BadImage, match="no such file"):
        found.read("easy_image/2/object1.png")


@pytest.mark.parametrize("build", [zipped, tarred])
def test_an_archive_named_after_a_folder_stands_for_it(tmp_path: Path, build: Build) -> None:
    ending = "zip" if build is zipped else "tar"
    build(tmp_path / f"easy_image.{ending}", {"1/object1.png": b"easy", "readme": b""})
    build(tmp_path / f"hard_image.{ending}", {"1/object1.png": b"hard", "readme": b""})
    found = open_files(tmp_path)
    assert (found.read("easy_image/1/object1.png"), found.read("hard_image/1/object1.png")) == (b"easy", b"hard")


def test_the_folder_is_preferred_and_the_archive_fills_the_gaps(tmp_path: Path) -> None:
    zipped(tmp_path / "images.zip", {"a.png": b"old", "b.png": b"from the zip"})
    (tmp_path / "a.png").write_bytes(b"new")
    found = open_files(tmp_path)
    assert (found.read("a.png"), found.read("b.png")) == (b"new", b"from the zip")


@pytest.mark.parametrize("build", [zipped, tarred])
def test_members_that_lead_out_of_an_archive_are_never_handed_out(tmp_path: Path, build: Build) -> None:
    path = build(
        tmp_path / f"a.{'zip' if build is zipped else 'tar'}", {"../b.png": b"x", "/c.png": b"x", "d.png": b"y"}
    )
    found = open_files(path)
    assert found.read("d.png") == b"y"
    assert not found.has("b.png")
    assert not found.has("c.png")
    assert fault(path, "../b.png") == fault(path, "/c.png") == "outside_root"
    assert not (tmp_path.parent / "b.png").exists()


def test_a_link_in_a_tar_is_followed_inside_it_and_refused_outside(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        add(file, "x/real.png", b"picture")
        add(file, "x/soft.png", type=tarfile.SYMTYPE, linkname="real.png")
        add(file, "x/softer.png", type=tarfile.SYMTYPE, linkname="../x/soft.png")
        add(file, "hard.png", type=tarfile.LNKTYPE, linkname="x/real.png")
        add(file, "out.png", type=tarfile.SYMTYPE, linkname="../../etc/passwd")
        add(file, "absolute.png", type=tarfile.SYMTYPE, linkname="/etc/passwd")
        add(file, "loop.png", type=tarfile.SYMTYPE, linkname="loop.png")
        add(file, "device.png", type=tarfile.CHRTYPE, devmajor=1, devminor=5)
    found = open_files(tmp_path)
    assert found.read("x/soft.png") == found.read("x/softer.png") == found.read("hard.png") == b"picture"
    for name in ("out.png", "absolute.png", "loop.png"):
        assert fault(tmp_path, name) == "outside_root"
    assert fault(tmp_path, "device.png") == "missing"


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        link = zipfile.ZipInfo("a.png")
        link.external_attr = 0o120777 << 16
        file.writestr(link, "/etc/passwd")
    assert fault(tmp_path, "a.png") == "outside_root"


def test_an_archive_that_is_a_link_out_of_the_root_is_left_alone(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.zip").symlink_to(zipped(tmp_path / "elsewhere.zip", CONTENT))
    assert fault(root, "easy_image/1/object1.png") == "missing"


@pytest.mark.parametrize("name", ["images.zip", "images.tar.gz", "images.tar.xz", "images.tar.bz2"])
@pytest.mark.parametrize("data", [b"", b"<html>not found</html>" * 100])
def test_an_archive_that_is_none_makes_its_samples_unreadable_and_names_itself(
    tmp_path: Path, name: str, data: bytes
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(BadImage, match=name) as caught:
        open_files(tmp_path).read("a.png")
    assert caught.value.reason == "unreadable"


@pytest.mark.parametrize("name", ["images.zip", "images.tar", "images.tar.gz"])
def test_an_archive_that_is_cut_off_gives_bad_images_and_never_another_error(tmp_path: Path, name: str) -> None:
    path = (zipped if name.endswith("zip") else tarred)(tmp_path / name, {"a.png": os.urandom(3000), "b.png": b"short"})
    whole = path.read_bytes()
    for size in range(0, len(whole), 97):
        path.write_bytes(whole[:size])
        os.utime(path, ns=(size, size))
        found = {outcome(tmp_path, member) for member in ("a.png", "b.png")}
        assert found <= {"3000 bytes", "5 bytes", "unreadable", "missing"}


def test_a_damaged_zip_member_spoils_only_itself(tmp_path: Path) -> None:
    path = zipped(tmp_path / "images.zip", {"a.png": b"A" * 1000, "b.png": b"B" * 1000})
    data = bytearray(path.read_bytes())
    data[data.index(b"a.png") + 8] ^= 0xFF
    path.write_bytes(data)
    assert fault(tmp_path, "a.png") == "unreadable"
    assert open_files(tmp_path).read("b.png") == b"B" * 1000


def test_an_encrypted_zip_is_unreadable(tmp_path: Path) -> None:
    path = zipped(tmp_path / "images.zip", {"a.png": b"A" * 100})
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    assert fault(tmp_path, "a.png") == "unreadable"


def test_a_compressed_tar_is_unpacked_once_and_anew_when_it_changes(tmp_path: Path, cache: Path) -> None:
    path = tarred(tmp_path / "images.tar.gz", {"a.png": b"one"})
    assert open_files(tmp_path).read("a.png") == b"one"
    (made,) = cache.glob("*.tar")
    archives._index.cache_clear()
    before = made.stat().st_mtime_ns
    assert open_files(tmp_path).read("a.png") == b"one"
    assert made.stat().st_mtime_ns == before
    tarred(path, {"a.png": b"another"})
    assert open_files(tmp_path).read("a.png") == b"another"
    assert not list(cache.glob("*.part"))


@pytest.mark.parametrize("name", ["bomb.tar.gz", "bomb.tar.bz2", "bomb.tar.xz"])
def test_a_compressed_tar_that_unpacks_to_far_too_much_is_refused(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(archives, "EXPANSION_FLOOR", 1 << 20)
    tarred(tmp_path / name, {"a.png": b"\0" * (4 << 20)})
    with pytest.raises(BadImage, match="unpacks to more than"):
        open_files(tmp_path).read("a.png")
    assert not [path for path in cache.iterdir() if path.suffix in {".tar", ".part"}]


def test_an_archive_of_implausibly_many_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MEMBER_LIMIT", 10)
    zipped(tmp_path / "images.zip", {f"{n}.png": b"" for n in range(11)})
    assert fault(tmp_path, "1.png") == "unreadable"


@pytest.mark.parametrize("build", [zipped, tarred])
def test_many_threads_read_one_archive_at_once(tmp_path: Path, build: Build) -> None:
    content = {f"{n}.png": os.urandom(20_000) for n in range(20)}
    build(tmp_path / f"a.{'zip' if build is zipped else 'tar'}", content)
    found, wrong = open_files(tmp_path), list[str]()

    def read_all() -> None:
        wrong.extend(name for name, data in content.items() if found.read(name) != data)

    threads = [threading.Thread(target=read_all) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def lying(path: Path, data: bytes, *, kind: int, says: int) -> Path:
    """A zip of one member that says it is smaller than what it unpacks to."""
    with zipfile.ZipFile(path, "w", kind) as file:
        file.writestr("a.png", data)
    packed = bytearray(path.read_bytes())
    at = packed.index(b"PK\x01\x02")
    for place in (22, at + 24):  # in the member's own head, and in the list at the end
        packed[place : place + 4] = says.to_bytes(4, "little")
    for place in (14, at + 16):
        packed[place : place + 4] = zlib.crc32(data[: says + 1]).to_bytes(4, "little")
    path.write_bytes(packed)
    return path


KINDS = pytest.mark.parametrize("kind", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])


@KINDS
def test_a_zip_member_that_lies_about_its_size_costs_no_more_memory_than_it_says(tmp_path: Path, kind: int) -> None:
    lying(tmp_path / "images.zip", b"\0" * (64 << 20), kind=kind, says=1000)
    tracemalloc.start()
    try:
        assert fault(tmp_path, "a.png") == "unreadable"
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20


@KINDS
@pytest.mark.parametrize("data", [b"", b"first", bytes(range(256)) * 900], ids=["empty", "short", "long"])
def test_a_zip_is_read_however_its_members_are_packed(tmp_path: Path, kind: int, data: bytes) -> None:
    with zipfile.ZipFile(tmp_path / "images.zip", "w", kind) as file:
        file.writestr("a.png", data)
    assert open_files(tmp_path).read("a.png") == data


@pytest.mark.parametrize("kind", [9, 93, 99])
def test_a_zip_member_of_an_unknown_compression_is_unreadable(tmp_path: Path, kind: int) -> None:
    path = zipped(tmp_path / "images.zip", {"a.png": b"A" * 100})
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    data[8:10] = data[at + 10 : at + 12] = kind.to_bytes(2, "little")
    path.write_bytes(data)
    assert fault(tmp_path, "a.png") == "unreadable"
