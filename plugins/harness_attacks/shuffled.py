"""`shuffle`: the words of the question and the patches of its images in another order, as SI-Attack does it.

Each epoch is another order. Nothing chooses among them: the worst of k epochs is read from the results.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Final, TypeVar

from harness import Attack, Attacked, Image, Message, Sample, Setting, Settings, Text, Variant
from harness.images import decode

from .turns import NO_CHAT, NO_IMAGE, NO_TEXT, SEED, change_turns, list_texts, name_pillow, replace_images, to_png

_T = TypeVar("_T")
_MOST_SIDE: Final = 8192  # its square is below `PIXEL_LIMIT`, so that the new image can be opened
_MOST_PATCHES: Final = 128  # 16,384 pieces, which take about a tenth of a second


def shuffle(things: list[_T], random: Random) -> list[_T]:
    """The things in another order, never the given one if there is another."""
    moved = list(things)
    if all(thing == things[0] for thing in things):
        return moved
    while moved == things:
        random.shuffle(moved)
    return moved


def shuffle_words(text: str, random: Random) -> str:
    """The words in another order; punctuation stays with its word."""
    return " ".join(shuffle(text.split(), random))


def shuffle_patches(image: Image, name: str, count: int, side: int, random: Random) -> Image:
    """The image cut into `count` by `count` patches, in another order.

    Args:
        image: an open image.
        name: of the new one.
        count: of the patches on each side.
        side: width and height that the image is brought to first; 0 keeps its own, up to the next multiple of `count`.
        random: the source of chance.
    """
    from PIL import Image as Pictures

    picture = decode(image.opened)
    wide, high = (side, side) if side else picture.size
    patch = -(-wide // count), -(-high // count)
    area = patch[0] * count, patch[1] * count
    if picture.size != area:
        picture = picture.resize(area, Pictures.Resampling.BICUBIC)
    corners = [(x * patch[0], y * patch[1]) for y in range(count) for x in range(count)]
    moved = Pictures.new("RGB", area)
    for (x, y), (left, top) in zip(corners, shuffle(corners, random), strict=True):
        moved.paste(picture.crop((left, top, left + patch[0], top + patch[1])), (x, y))
    return to_png(name, moved)


def _check(sample: Sample, settings: Settings) -> str:
    if sample.request.raw:
        return NO_CHAT
    what: str = settings["what"]
    texts, images = list_texts(sample.request), sample.request.images
    if what == "words" and not texts:
        return NO_TEXT
    if what == "images" and not images:
        return NO_IMAGE
    if all(len(set(text.split())) == 1 for text in texts) and what != "images":
        if what == "words":
            return "its text is one word"
        return "" if images else "it holds no image, and its text is one word"
    return ""


def _apply(sample: Sample, settings: Settings, variant: Variant) -> Attacked:
    what: str = settings["what"]
    request, words = sample.request, variant.random("words")
    if what != "images":

        def change(turn: Message) -> Message:
            parts = (
                Text(text=shuffle_words(part.text, words)) if isinstance(part, Text) else part for part in turn.content
            )
            return replace(turn, content=tuple(parts))

        request = change_turns(request, change)
    if what != "words":
        count, side = settings["patches"], settings["side"]
        request = replace_images(
            request,
            lambda number, image: shuffle_patches(
                image, f"attack/shuffle-{number}.png", count, side, variant.random(f"image {number}")
            ),
        )
    return Attacked(request=request)


SHUFFLE: Final = Attack(
    name="shuffle",
    version="1",
    description="shuffles the question's words and the patches of its images, anew in each epoch (SI-Attack)",
    apply=_apply,
    check=_check,
    facts=name_pillow,
    settings=(
        Setting(
            name="what",
            type=str,
            default="both",
            identity=True,
            choices=("both", "words", "images"),
            help="what is shuffled",
        ),
        Setting(
            name="patches",
            type=int,
            default=2,
            identity=True,
            least=2,
            most=_MOST_PATCHES,
            help="patches on each side of an image",
        ),
        Setting(
            name="side",
            type=int,
            default=1024,
            identity=True,
            least=0,
            most=_MOST_SIDE,
            help="pixels that width and height are brought to first; 0 keeps the image's own",
        ),
        SEED,
    ),
)
