"""Images over a provider's limit are scaled by one rule, or refused."""

from __future__ import annotations

import io
import random
from dataclasses import replace

import PIL.Image
import pytest

from harness.http.scaling import Fitted, ImageLimit, fit, scale
from harness.images import decode, inline_image, open_image
from harness.types import Failure, Image, ImageContent, Message, Request, Text

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def image(width: int, height: int, form: str = "PNG", name: str = "a.png") -> Image:
    """Noise, so that a file's size follows its pixels."""
    pixels = random.Random(7).randbytes(width * height * 3)
    file = io.BytesIO()
    PIL.Image.frombytes("RGB", (width, height), pixels).save(file, form)
    return open_image(inline_image(name, file.getvalue()))


def asking(*images: Image) -> Request:
    return Request(messages=(Message(role="user", content=(Text(text="1"), *images, Text(text="2"))),))


async def fitted(request: Request, limit: ImageLimit) -> Fitted:
    found = await fit(request, limit)
    assert isinstance(found, Fitted)
    return found


async def test_images_within_the_limit_are_the_very_same_bytes() -> None:
    request = asking(image(40, 30), image(30, 40))
    found = await fitted(request, ImageLimit(size=10_000, side=40))
    assert found.request is request
    assert found.notes == ()


async def test_a_long_side_is_scaled_to_the_limit_and_noted() -> None:
    small, large = image(10, 10), image(200, 100, name="dir/large.png")
    found = await fitted(asking(small, large), ImageLimit(side=50))
    kept, scaled = found.request.images
    assert kept.opened is small.opened
    assert (scaled.opened.width, scaled.opened.height) == (50, 25)
    assert decode(scaled.opened).size == (50, 25)
    assert found.notes == ("dir/large.png: scaled from 200x100 to 50x25 (longest side, Lanczos)",)
    assert [type(part).__name__ for part in found.request.messages[0].content] == ["Text", "Image", "Image", "Text"]


async def test_a_large_file_is_scaled_by_three_quarters_until_it_fits() -> None:
    large = image(160, 80)
    found = await fitted(asking(large), ImageLimit(size=len(large.opened.data) // 2))
    [scaled] = found.request.images
    assert scaled.opened.width == 90  # 160, 120, 90
    assert len(scaled.opened.data) <= len(large.opened.data) // 2


@pytest.mark.parametrize(("form", "mime"), [("JPEG", "image/jpeg"), ("PNG", "image/png"), ("WEBP", "image/png")])
def test_a_jpeg_stays_a_jpeg_and_all_else_becomes_a_png(form: str, mime: str) -> None:
    scaled = scale(image(80, 80, form).opened, ImageLimit(side=40))
    assert scaled.mime == mime
    assert open_image(inline_image("again", scaled.data)).opened == scaled


@pytest.mark.parametrize("form", ["GIF", "BMP"])
async def test_an_image_of_a_type_that_is_not_taken_becomes_a_png_of_its_own_size(form: str) -> None:
    strange, usual = image(80, 40, form), image(80, 40, "WEBP")
    limit = ImageLimit(types=frozenset({"image/png", "image/jpeg", "image/webp"}))
    found = await fitted(asking(strange, usual), limit)
    made, kept = found.request.images
    assert kept.opened is usual.opened
    assert made.opened.mime == "image/png"
    assert decode(made.opened).tobytes() == decode(strange.opened).tobytes()
    assert found.notes == (f"a.png: {strange.opened.mime} sent as image/png",)


async def test_without_resizing_an_image_of_a_type_that_is_not_taken_is_an_error() -> None:
    found = await fit(asking(image(8, 8, "GIF")), ImageLimit(types=frozenset({"image/png"})), resize=False)
    assert isinstance(found, Failure)
    assert (found.outcome, found.reason) == ("error", "image_type")


def test_the_same_image_is_scaled_to_the_same_bytes() -> None:
    content = image(80, 80).opened
    assert scale(content, ImageLimit(side=40)) == scale(content, ImageLimit(side=40))


async def test_without_resizing_an_image_over_the_limit_is_an_error() -> None:
    found = await fit(asking(image(80, 80)), ImageLimit(side=40), resize=False)
    assert isinstance(found, Failure)
    assert (found.outcome, found.reason, found.transient) == ("error", "image_too_large", False)
    assert "a.png: 80x80" in found.message


async def test_an_image_that_cannot_be_decoded_is_the_data_s_fault() -> None:
    sound = image(80, 80)
    broken = ImageContent(data=b"x", encoded=b"eA==", sha256="0" * 64, mime="image/png", width=80, height=80)
    found = await fit(asking(replace(sound, content=broken)), ImageLimit(side=40))
    assert isinstance(found, Failure)
    assert found.outcome == "bad_sample"
