"""Drawn images, opened, and the question the mini world's model answers by naming both."""

import random

from harness import Image
from harness.drawings import draw, png
from harness.images import inline_image, open_image
from tests.zoos.drawn_task import QUESTION

__all__ = ["QUESTION", "drawing"]


def drawing(thing: str) -> Image:
    """Such as "red circle"."""
    color, shape = thing.split()
    return open_image(inline_image(f"{thing}.png", png(draw(color, shape, random.Random(thing)))))
