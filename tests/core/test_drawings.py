"""Drawings: what the mini world and the start-up probe look at."""

import io
from collections import Counter
from itertools import product
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner
from PIL import Image

from harness.drawings import COLORS, SHAPES, draw, draw_file, mini_command, png, write_json, write_table

EVERY_OBJECT = list(product(COLORS, SHAPES))


def _ink(image: Image.Image, color: str) -> list[tuple[int, int]]:
    """The pixels in that color, or nearly."""
    data = image.tobytes()
    pixels = zip(data[::3], data[1::3], data[2::3], strict=True)
    return [divmod(i, image.width)[::-1] for i, pixel in enumerate(pixels) if _distance(pixel, COLORS[color]) < 90]


def _distance(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    return sum(abs(a - b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(("color", "shape"), EVERY_OBJECT)
def test_the_same_seed_draws_the_same_pixels(color: str, shape: str):
    one, other = (draw(color, shape, Random(7)) for _ in range(2))
    assert png(one) == png(other)


def test_a_thing_is_drawn_into_a_file_whose_folders_are_made_and_records_into_a_table(tmp_path: Path):
    draw_file(tmp_path / "images" / "1.png", "red star", Random(7))
    write_json(tmp_path / "data" / "all.json", [{"id": 1, "thing": "été"}])
    write_table(tmp_path / "data.csv", [{"id": 1, "thing": "a, b"}, {"id": 2, "thing": ""}])
    assert (tmp_path / "images" / "1.png").read_bytes() == png(draw("red", "star", Random(7)))
    assert (tmp_path / "data" / "all.json").read_text("utf-8") == '[\n {\n  "id": 1,\n  "thing": "été"\n }\n]\n'
    assert (tmp_path / "data.csv").read_bytes() == b'id,thing\n1,"a, b"\n2,\n'


def test_another_seed_draws_another_picture():
    pictures = {png(draw("red", "star", Random(seed))) for seed in range(50)}
    assert len(pictures) == 50


@pytest.mark.parametrize(("color", "shape"), EVERY_OBJECT)
def test_a_shape_is_drawn_in_its_color_and_in_no_other(color: str, shape: str):
    image = draw(color, shape, Random(3))
    counts = Counter({name: len(_ink(image, name)) for name in COLORS})
    assert counts[color] > 60
    assert counts.most_common(1)[0][0] == color


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_lies_inside_the_picture_and_is_never_cut_off(shape: str):
    for seed in range(40):
        xs, ys = zip(*_ink(draw("blue", shape, Random(seed)), "blue"), strict=True)
        assert min(*xs, *ys) >= 1
        assert max(*xs, *ys) <= 62


def test_only_the_ring_has_a_hole():
    def centre_is_inked(shape: str) -> bool:
        ink = _ink(draw("black", shape, Random(5)), "black")
        middle = tuple(round(sum(axis) / len(ink)) for axis in zip(*ink, strict=True))
        return middle in ink

    assert [shape for shape in SHAPES if not centre_is_inked(shape)] == ["ring"]


def test_size_is_in_pixels():
    assert draw("green", "heart", Random(1), size=100).size == (100, 100)


def test_a_png_is_small_and_opens_again():
    image = draw("purple", "cross", Random(2))
    data = png(image)
    assert len(data) < 2_000
    again = Image.open(io.BytesIO(data))
    assert again.info == {}
    assert again.tobytes() == image.tobytes()


def test_an_unknown_color_or_shape_is_a_key_error():
    with pytest.raises(KeyError):
        draw("beige", "star", Random(0))
    with pytest.raises(KeyError):
        draw("red", "blob", Random(0))


def test_the_command_of_a_packaged_split_writes_its_files_into_the_folder_that_it_is_given(tmp_path: Path):
    star = png(draw("red", "star", Random(1)))
    command = mini_command(lambda folder: (folder / "star.png").write_bytes(star), "Draw it.")
    assert CliRunner().invoke(command, [str(tmp_path)]).exit_code == 0
    assert (tmp_path / "star.png").read_bytes() == star
    assert "Draw it." in CliRunner().invoke(command, ["--help"]).output
