"""Changed copies of a request: its images turned, blurred, coarsened, masked or made noisy, its words with insertions.

The mutators and their shares are those of JailGuard's policies, except that no text is translated. Each copy is drawn
from the random numbers that it is given, so the same request gives the same copies.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Final

from harness.images import decode, inline_image, open_image
from harness.types import Image, Message, Request, Text

if TYPE_CHECKING:
    import PIL.Image

    Picture = PIL.Image.Image
    Change = Callable[[Picture, Random], Picture]

MARKS: Final = (".", ";", "?", ":", "!", ",")  #: what AEDA inserts
_MARKED: Final = 1 / 3  # most insertions for a word
_SENTENCE: Final = re.compile(r"[^.!?\n]+[.!?\n]*")
_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_RATE: Final = 0.005  # insertions for a character, outside of the chosen sentences
_TIMES: Final = 5  # how much oftener inside
_CHOSEN: Final = 3  # sentences


def rotate(picture: Picture, random: Random) -> Picture:
    """Turned by up to 180 degrees; the corners are black."""
    return picture.rotate(random.uniform(0, random.uniform(0.1, 180)))


def blur(picture: Picture, random: Random) -> Picture:
    """With a Gaussian blur of up to 2 pixels."""
    from PIL import ImageFilter

    return picture.filter(ImageFilter.GaussianBlur(random.uniform(0.1, 2.0)))


def posterize(picture: Picture, random: Random) -> Picture:
    """With 1 or 2 bits a colour, in one case of two."""
    from PIL import ImageOps

    bits, changed = random.randint(1, 2), random.random() < 0.5
    return ImageOps.posterize(picture, bits) if changed else picture


IMAGE_MUTATORS: Final[Mapping[Callable[..., Picture], float]] = {rotate: 0.34, blur: 0.45, posterize: 0.21}


def mutate_picture(picture: Picture, random: Random) -> Picture:
    """One of JailGuard's three changes of an image, by its shares."""
    (change,) = random.choices(list(IMAGE_MUTATORS), list(IMAGE_MUTATORS.values()))
    return change(picture, random)


def mask(picture: Picture, random: Random, share: float) -> Picture:
    """With this share of its pixels black."""
    import numpy as np
    import PIL.Image

    pixels = np.array(picture)
    hidden = np.random.default_rng(random.getrandbits(64)).random(pixels.shape[:2]) < share
    pixels[hidden] = 0
    return PIL.Image.fromarray(pixels)


def add_noise(picture: Picture, random: Random, share: float) -> Picture:
    """With Gaussian noise whose standard deviation is this share of the whole range."""
    import numpy as np
    import PIL.Image

    pixels = np.array(picture).astype(np.float64)
    noise = np.random.default_rng(random.getrandbits(64)).normal(0, share * 255, pixels.shape)
    return PIL.Image.fromarray(np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8))


def insert_marks(text: str, random: Random) -> str:
    """With punctuation before some words (AEDA): for one word to a third of them."""
    words = text.split(" ")
    count = min(len(words), random.randint(1, max(1, int(len(words) * _MARKED))))
    places = set(random.sample(range(len(words)), count))
    return " ".join(f"{random.choice(MARKS)} {word}" if place in places else word for place, word in enumerate(words))


def insert_letters(text: str, random: Random) -> str:
    """With letters put in, at least one: rarely, and five times as often in the three sentences of common words."""
    counts: dict[str, int] = {}
    for word in re.findall(r"\w+", text.lower()):
        counts[word] = counts.get(word, 0) + 1
    sentences = [(found.start(), found.end(), found[0]) for found in _SENTENCE.finditer(text)]
    weights = {start: sum(counts[word] for word in re.findall(r"\w+", each.lower())) for start, _, each in sentences}
    chosen = sorted(sentences, key=lambda each: -weights[each[0]])[:_CHOSEN]
    spans = [(start, end) for start, end, _ in chosen] if len(sentences) > _CHOSEN else []
    made: list[str] = []
    for place, letter in enumerate(text):
        rate = _RATE * (_TIMES if any(start <= place < end for start, end in spans) else 1)
        made.append(random.choice(_ALPHABET) + letter if random.random() < rate else letter)
    if made and made == list(text):
        place = random.randrange(len(made))
        made[place] = random.choice(_ALPHABET) + made[place]
    return "".join(made)


TEXT_MUTATORS: Final[Mapping[Callable[[str, Random], str], float]] = {insert_marks: 0.24, insert_letters: 0.52}


def mutate_text(text: str, random: Random) -> str:
    """One of two of JailGuard's three changes of a text, by their shares; the third would translate it."""
    if not text.strip():
        return text
    (change,) = random.choices(list(TEXT_MUTATORS), list(TEXT_MUTATORS.values()))
    return change(text, random)


def change_images(request: Request, change: Change, random: Random) -> Request:
    """The request with every image changed, each by a draw of its own; all of them stay in their places."""
    place = 0

    def change_part(part: Text | Image) -> Text | Image:
        nonlocal place
        if isinstance(part, Text):
            return part
        place += 1
        held = io.BytesIO()
        change(decode(open_image(part).opened), random).save(held, "PNG", compress_level=1)
        return open_image(inline_image(f"{part.path}~{place}", held.getvalue()))

    return _change_parts(request, lambda _message, part: change_part(part))


def change_words(request: Request, random: Random) -> Request:
    """The request with the words of all user turns changed."""

    def change_part(message: Message, part: Text | Image) -> Text | Image:
        if isinstance(part, Text) and message.role == "user":
            return Text(text=mutate_text(part.text, random))
        return part

    return _change_parts(request, change_part)


def _change_parts(request: Request, change: Callable[[Message, Text | Image], Text | Image]) -> Request:
    messages = tuple(
        replace(message, content=tuple(change(message, part) for part in message.content))
        for message in request.messages
    )
    return replace(request, messages=messages)
