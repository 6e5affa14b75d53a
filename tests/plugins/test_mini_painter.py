"""`mini/painter` and what sees its drawings."""

from __future__ import annotations

import io
from itertools import product
from random import Random
from typing import Any

import anyio
import PIL.Image
import pytest
from harness_mini.painter import see
from harness_mini.provider import PAINTER
from harness_mini.world import THINGS, Thing, find_things

from harness import Drawing, Drawn, Failure, HarnessError
from harness.drawings import draw, png
from harness.testing.conformance import check_painter
from harness.testing.fakes import PIXEL


def drawn(prompt: str, **more: Any) -> Drawn | Failure:
    async def ask() -> Drawn | Failure:
        async with PAINTER.open("painter", {}) as brush:
            return await brush.draw(Drawing(prompt=prompt, **more))

    return anyio.run(ask)


def data(prompt: str, **more: Any) -> bytes:
    found = drawn(prompt, **more)
    assert isinstance(found, Drawn)
    return found.data


def test_the_object_that_a_prompt_names_is_drawn_as_the_mini_world_draws_it() -> None:
    image = PIL.Image.open(io.BytesIO(data("A large red star, alone on a plain background.")))
    assert (image.format, image.size) == ("PNG", (64, 64))
    sight = see(data("A large red star, alone on a plain background."))
    assert sight is not None
    assert sight.thing == Thing(color="red", shape="star")


def test_the_first_object_is_drawn_where_a_prompt_names_several() -> None:
    assert [thing.name for thing in find_things("a Red  star beside a blue ring and a red star")] == [
        "red star",
        "blue ring",
    ]
    sight = see(data("a blue ring beside a red star"))
    assert sight is not None
    assert sight.thing.name == "blue ring"


def test_one_prompt_and_seed_give_one_image_and_another_of_either_gives_another() -> None:
    first = data("a red star", seed=1)
    assert first == data("a red star", seed=1)
    assert first != data("a red star", seed=2)
    assert first != data("a large red star", seed=1)


@pytest.mark.parametrize("prompt", ["a star", "a red dog", "", "redstar", "a red, star"])
def test_what_is_not_in_the_world_is_a_fault_of_the_data_and_says_what_is(prompt: str) -> None:
    found = drawn(prompt)
    assert isinstance(found, Failure)
    assert (found.outcome, found.reason, found.transient) == ("bad_sample", "unknown_object", False)
    assert "purple" in found.message
    assert "heart" in found.message


def test_another_name_is_refused_with_the_one_there_is() -> None:
    async def ask() -> None:
        async with PAINTER.open("brush", {}):
            pass

    with pytest.raises(HarnessError, match="use mini/painter"):
        anyio.run(ask)


def test_the_painter_keeps_its_contract() -> None:
    check_painter(PAINTER, "painter")


def test_every_object_is_seen_as_what_it_is_in_every_drawing() -> None:
    for thing, number in product(THINGS, range(3)):
        sight = see(png(draw(thing.color, thing.shape, Random(f"{thing.name} {number}"))))
        assert sight is not None
        assert sight.thing == thing
        assert 0.03 < sight.share < 0.5


def test_what_is_no_drawing_is_not_seen_as_one() -> None:
    assert see(PIXEL) is None
    with pytest.raises(OSError, match="cannot identify"):
        see(b"no picture")
