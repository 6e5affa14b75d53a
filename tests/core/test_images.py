"""An image is opened once, checked in structure, hashed and encoded; what is wrong with it has a short name."""

import base64
import hashlib
import io
import os
import struct
import threading
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from harness import images
from harness.errors import BadImage
from harness.images import decode, inline_image, open_image
from harness.readers import open_files
from harness.types import Image, ImageContent

FORMATS = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp", "BMP": "image/bmp"}


def picture(kind: str = "PNG", size: tuple[int, int] = (40, 30), **how: Any) -> bytes:
    file = io.BytesIO()
    drawing = PIL.Image.linear_gradient("L").resize(size).convert("RGB")
    drawing.save(file, kind, **how)
    return file.getvalue()


def opened(data: bytes) -> ImageContent:
    return open_image(inline_image("picture", data)).opened


def fault(data: bytes) -> str:
    with pytest.raises(BadImage) as caught:
        opened(data)
    return caught.value.reason


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_claiming(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", FORMATS)
def test_an_image_has_its_type_size_hash_and_base64_from_its_bytes(kind: str) -> None:
    data = picture(kind)
    content = opened(data)
    assert (content.mime, content.width, content.height) == (FORMATS[kind], 40, 30)
    assert content.sha256 == hashlib.sha256(data).hexdigest()
    assert content.data == data
    assert base64.b64decode(content.encoded) == data


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("JPEG", {"progressive": True}),
        ("JPEG", {"quality": 100, "optimize": True}),
        ("JPEG", {"comment": b"\xff\xd9 an end that is none"}),
        ("PNG", {"compress_level": 0}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"exif": b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00"}),
        ("WEBP", {"save_all": True, "append_images": [PIL.Image.new("RGB", (40, 30))]}),
        ("GIF", {"save_all": True, "append_images": [PIL.Image.new("RGB", (40, 30))]}),
        ("BMP", {"bits": 24}),
    ],
)
def test_every_variant_of_a_type_is_measured_as_pillow_measures_it(kind: str, how: dict[str, Any]) -> None:
    data = picture(kind, **how)
    with PIL.Image.open(io.BytesIO(data)) as theirs:
        assert (opened(data).width, opened(data).height) == theirs.size


def test_the_type_comes_from_the_content_and_never_from_the_name() -> None:
    assert open_image(inline_image("a.png", picture("JPEG"))).opened.mime == "image/jpeg"


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9])
def test_an_image_that_is_cut_off_is_truncated(kind: str, kept: float) -> None:
    data = picture(kind, size=(200, 200))
    assert fault(data[: int(len(data) * kept)]) == "truncated"


@pytest.mark.parametrize("kind", FORMATS)
def test_an_image_cut_anywhere_is_a_bad_image_and_never_another_error(kind: str) -> None:
    data = picture(kind, size=(16, 16))
    complete = len(data) - {"GIF": 1, "JPEG": 2, "WEBP": 1, "BMP": 1, "PNG": 1}[kind]
    for end in range(complete):
        assert fault(data[:end]) in {"truncated", "not_an_image", "unreadable"}, end


def test_bytes_after_the_end_do_no_harm() -> None:
    for kind in ("PNG", "JPEG", "WEBP", "BMP"):
        assert opened(picture(kind) + b"trailing bytes of a camera").width == 40


def test_a_thumbnail_inside_a_cut_off_jpeg_does_not_pass_for_its_end() -> None:
    data = picture("JPEG", size=(300, 300))
    thumbnail = picture("JPEG", size=(20, 20))
    segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    assert opened(data[:2] + segment + data[2:]).width == 300
    assert fault(data[:2] + segment + data[2:-200]) == "truncated"


@pytest.mark.parametrize(
    "data", [b"", b"<html>not found</html>", b'{"error": 404}', b"\0" * 100, b"II*\0" + b"\0" * 50]
)
def test_what_is_no_image_is_not_an_image(data: bytes) -> None:
    assert fault(data) == "not_an_image"


@pytest.mark.parametrize(
    "data",
    [
        png_claiming(0, 10),
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0)) + chunk(b"IEND", b""),
        b"\x89PNG\r\n\x1a\n" + chunk(b"tEXt", b"no header" * 5),
        b"\xff\xd8\xff\xe0\x00\x04ab" + b"rubbish" * 5,
        b"\xff\xd8\xff\xd9" + b"\0" * 20,
    ],
)
def test_an_image_whose_structure_makes_no_sense_is_unreadable(data: bytes) -> None:
    assert fault(data) == "unreadable"


def test_an_image_beyond_the_pixel_limit_is_refused_without_decoding() -> None:
    assert fault(png_claiming(30_000, 30_000)) == "too_many_pixels"
    assert opened(png_claiming(8_000, 10_000)).width == 8_000


def frame(left: int, top: int, width: int, height: int) -> bytes:
    """A frame of a GIF, with a comment before it that looks like one, and a table of its own colors."""
    comment = b"\x21\xfe\x09\x2c\xff\xff\xff\xff\xff\xff\xff\xff\0"
    colors = b"\x81" + b"\0\0\0" * 4
    return comment + b"\x2c" + struct.pack("<HHHH", left, top, width, height) + colors + b"\2\2\x44\1\0"


def gif(*frames: bytes) -> bytes:
    return b"GIF89a" + struct.pack("<HH", 8, 6) + b"\x80\0\0" + b"\0\0\0\xff\xff\xff" + b"".join(frames) + b";"


@pytest.mark.parametrize(
    ("frames", "size"),
    [
        ([(0, 0, 8, 6)], (8, 6)),
        ([(0, 0, 20, 5)], (20, 6)),
        ([(0, 0, 1, 1), (30, 40, 2, 3)], (32, 43)),
    ],
)
def test_a_gif_is_as_large_as_its_frames_reach(frames: list[tuple[int, int, int, int]], size: tuple[int, int]) -> None:
    data = gif(*(frame(*each) for each in frames))
    assert (opened(data).width, opened(data).height) == size
    with PIL.Image.open(io.BytesIO(data)) as theirs:
        for at in range(len(frames)):
            theirs.seek(at)
        assert theirs.size == size


@pytest.mark.parametrize("place", [(0, 0, 13_300, 13_300), (13_000, 13_000, 10, 10)])
def test_a_gif_whose_frame_is_larger_than_its_screen_does_not_pass_the_pixel_limit(place: tuple[int, ...]) -> None:
    assert fault(gif(frame(0, 0, 8, 6), frame(*place))) == "too_many_pixels"
    assert fault(gif(frame(*place))) == "too_many_pixels"


def test_a_png_with_a_second_header_does_not_pass_the_pixel_limit() -> None:
    small, large = (struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0) for side in (8, 9_400))
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", small) + chunk(b"IHDR", large)
    assert fault(data + chunk(b"IDAT", zlib.compress(b"\0" * 72)) + chunk(b"IEND", b"")) == "unreadable"


def test_what_would_be_decoded_is_held_to_the_pixel_limit_whatever_was_read_of_it() -> None:
    large = opened(picture("BMP", (9_000, 2)))
    content = replace(large, data=picture("PNG", (9_000, 9_000)))
    with pytest.raises(BadImage) as refused:
        decode(content)
    assert refused.value.reason == "too_many_pixels"


def test_a_file_beyond_the_byte_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "huge.png").open("wb") as file:
        file.truncate(images.BYTE_LIMIT + 1)
    with pytest.raises(BadImage) as caught:
        open_image(Image(path="huge.png", files=open_files(tmp_path)))
    assert caught.value.reason == "too_many_bytes"


def test_a_missing_image_names_its_path_under_the_root(tmp_path: Path) -> None:
    with pytest.raises(BadImage, match=r"easy/7\.png") as caught:
        open_image(Image(path="easy/7.png", files=open_files(tmp_path)))
    assert (caught.value.reason, caught.value.path) == ("missing", "easy/7.png")


def test_an_opened_image_is_not_read_again(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture())
    once = open_image(Image(path="a.png", files=open_files(tmp_path)))
    (tmp_path / "a.png").unlink()
    assert open_image(once) is once


def test_a_file_that_changed_has_another_hash(tmp_path: Path) -> None:
    image, path = Image(path="a.png", files=open_files(tmp_path)), tmp_path / "a.png"
    first, second = png_claiming(4, 4), png_claiming(4, 5)
    for data in (first, second, first):
        path.write_bytes(data)
        assert open_image(image).opened.sha256 == hashlib.sha256(data).hexdigest()


def test_a_settled_file_is_hashed_once(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png_claiming(4, 4))
    os.utime(path, (1_000_000, 1_000_000))
    image = Image(path="a.png", files=open_files(tmp_path))
    known = open_image(image).opened.sha256
    # Other bytes with the same name, size and time: only a remembered hash can still be the old one.
    path.write_bytes(png_claiming(4, 5))
    os.utime(path, (1_000_000, 1_000_000))
    assert open_image(image).opened.sha256 == known


def test_remembered_hashes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "_REMEMBERED", 3)
    memory = images._HashCache()
    for number in range(10):
        memory.find((f"{number}.png", 4, 0), b"data")
    assert len(memory._known) == 3


def test_many_threads_open_the_same_image_alike(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture())
    image, found = Image(path="a.png", files=open_files(tmp_path)), set[str]()
    threads = [threading.Thread(target=lambda: found.add(open_image(image).opened.sha256)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 1


@pytest.mark.parametrize("kind", FORMATS)
def test_decoding_gives_rgb_pixels_of_the_stated_size(kind: str) -> None:
    decoded = decode(opened(picture(kind)))
    assert (decoded.mode, decoded.size) == ("RGB", (40, 30))


def test_decoding_turns_a_photograph_upright() -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # taken with the camera on its side
    assert decode(opened(picture("JPEG", exif=exif))).size == (30, 40)


def test_a_transparent_palette_decodes_without_a_warning() -> None:
    drawing = PIL.Image.linear_gradient("L").resize((8, 8)).convert("P")
    file = io.BytesIO()
    drawing.save(file, "PNG", transparency=bytes(range(256)))
    assert decode(opened(file.getvalue())).mode == "RGB"


def test_pixels_that_cannot_be_decoded_are_a_bad_image() -> None:
    with pytest.raises(BadImage) as caught:
        decode(opened(png_claiming(4, 4)))
    assert caught.value.reason == "unreadable"
