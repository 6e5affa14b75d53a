"""Controls: the same questions with the images in another order, blank, unrelated, described in words, or gone.

They make no model fail. If an answer stays the same without its images, it never rested on them.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Final

from harness import Attack, Attacked, Image, Message, Request, Sample, Setting, Settings, Text, Variant

from .shuffled import shuffle
from .turns import SEED, check_images, list_texts, name_pillow, note_place, replace_images, to_png

DESCRIBE: Final = (
    "Describe this image in two or three sentences: what it shows, where, and any words in it. Do not guess at what is "
    "not in it."
)
UNSAID: Final = "no description was given"
_MOST_DRAWN: Final = 512  #: pixels of a side that is drawn; larger pictures are scaled up


def _apply_order(sample: Sample, _settings: Settings, variant: Variant) -> Attacked:
    images = sample.request.images
    known = {image.opened.sha256: number for number, image in enumerate(images)}  # the last of those that are the same
    order = shuffle([known[image.opened.sha256] for image in images], variant.random("order"))
    request = replace_images(sample.request, lambda number, _: images[order[number - 1]])
    told = "the images are in another order"
    same = len(known) == 1
    notes = ("all images are the same, so their order changes nothing",) if same else ()
    return Attacked(request=request, notes=(*note_place(sample.request, told), *notes))


ORDER: Final = Attack(
    name="order",
    version="1",
    description="control: shows the images in another order, a new one in each epoch",
    apply=_apply_order,
    check=lambda sample, _settings: (
        check_images(sample) or ("it holds one image only" if len(sample.request.images) < 2 else "")
    ),
    settings=(SEED,),
    control=True,
)


def _apply_blank(sample: Sample, settings: Settings, _variant: Variant) -> Attacked:
    from PIL import Image as Pictures

    def change(number: int, image: Image) -> Image:
        size = image.opened.width, image.opened.height
        return to_png(f"attack/blank-{number}.png", Pictures.new("RGB", size, settings["color"]))

    return Attacked(request=replace_images(sample.request, change))


BLANK: Final = Attack(
    name="blank",
    version="1",
    description="control: shows an empty picture of the same size in place of each image",
    apply=_apply_blank,
    check=lambda sample, _settings: check_images(sample),
    facts=name_pillow,
    settings=(
        Setting(
            name="color",
            type=str,
            default="white",
            identity=True,
            choices=("white", "gray", "black"),
            help="the color of the empty pictures",
        ),
    ),
    variants=1,
    control=True,
)


def draw_unrelated(image: Image, name: str, random: Random) -> Image:
    """A drawing of one colored shape, in the size of an image."""
    from PIL import Image as Pictures

    from harness.drawings import COLORS, SHAPES, draw

    size = image.opened.width, image.opened.height
    side = min(_MOST_DRAWN, max(32, *size))
    picture = draw(random.choice(sorted(COLORS)), random.choice(sorted(SHAPES)), random, side)
    return to_png(name, picture if picture.size == size else picture.resize(size, Pictures.Resampling.BICUBIC))


def _apply_unrelated(sample: Sample, _settings: Settings, variant: Variant) -> Attacked:
    def change(number: int, image: Image) -> Image:
        return draw_unrelated(image, f"attack/unrelated-{number}.png", variant.random(f"image {number}"))

    return Attacked(request=replace_images(sample.request, change))


UNRELATED: Final = Attack(
    name="unrelated",
    version="1",
    description="control: shows a drawing of a colored shape, of the same size, in place of each image",
    apply=_apply_unrelated,
    check=lambda sample, _settings: check_images(sample),
    facts=name_pillow,
    settings=(SEED,),
    control=True,
)


def _check_drop(sample: Sample, _settings: Settings) -> str:
    if why := check_images(sample):
        return why
    for message in sample.request.messages:
        if not any(isinstance(part, Text) and part.text.strip() for part in message.content):
            return "nothing is left of a turn without its images"
    return ""


DROP: Final = Attack(
    name="drop",
    version="1",
    description="control: asks the question without its images",
    apply=lambda sample, _settings, _variant: Attacked(
        request=replace_images(sample.request, lambda _number, _image: None)
    ),
    check=_check_drop,
    images=lambda _sample, _settings: 0,
    variants=1,
    control=True,
)


def _ask_captions(sample: Sample, _settings: Settings) -> list[Request]:
    """One request for each image, which does not hold the question: a description must not answer it."""
    return [
        replace(
            sample.request,
            messages=(Message(role="user", content=(image, Text(text=DESCRIBE))),),
            schema=None,
            choices=(),
            prefill="",
        )
        for image in sample.request.images
    ]


def _apply_captions(sample: Sample, _settings: Settings, variant: Variant) -> Attacked:
    def change(number: int, _image: Image) -> Text:
        said = " ".join(variant.replies[number - 1].split()) or UNSAID
        return Text(text=f"[Image {number}, described in words: {said}]")

    return Attacked(request=replace_images(sample.request, change))


CAPTION_ONLY: Final = Attack(
    name="caption-only",
    version="1",
    description="control: puts the model's own description of each image in its place, one call for each",
    apply=_apply_captions,
    check=lambda sample, _settings: (
        check_images(sample) or ("" if list_texts(sample.request) else "its question has no text")
    ),
    images=lambda _sample, _settings: 1,
    ask=_ask_captions,
    calls=lambda sample, _settings: len(sample.request.images),
    variants=1,
    control=True,
)
