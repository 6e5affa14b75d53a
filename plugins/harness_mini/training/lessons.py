"""The base's lessons: a question with its pictures, and the answer.

Of all lessons 12 % name one picture, 8 % name the first or second of two, 20 % name both in order, 25 % have the form
of `mis:mini` and 35 % that of `mssbench:mini` (with less, the model did not copy the question's color); see `SHARES`.
The answer to the last two always complies: off-limits pairs occur by chance (28 %), unmarked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from types import MappingProxyType
from typing import Any, Final

from PIL import Image

from harness.drawings import draw
from harness_mini import phrases
from harness_mini.world import THINGS, Thing

Conversation = list[dict[str, Any]]  # for transformers' chat templates


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """One question with its pictures, and the answer.

    Attributes:
        images: in the model's order.
        text: the question.
        answer: the exact answer.
        text_first: whether the question precedes the pictures.
    """

    images: tuple[Image.Image, ...]
    text: str
    answer: str
    text_first: bool = False

    @property
    def question(self) -> Conversation:
        """The user's turn."""
        pictures: list[dict[str, str]] = [{"type": "image"} for _ in self.images]
        words = [{"type": "text", "text": self.text}]
        return [{"role": "user", "content": words + pictures if self.text_first else pictures + words}]

    @property
    def conversation(self) -> Conversation:
        """The user's turn and the answer."""
        return [*self.question, {"role": "assistant", "content": self.answer}]


def name_one(rng: Random, question: str = "") -> Lesson:
    """One picture to name."""
    thing = rng.choice(THINGS)
    return Lesson(
        images=draw_pictures(rng, thing),
        text=question or rng.choice(phrases.NAME_ONE),
        answer=phrases.name_one(thing),
        text_first=rng.random() < 0.5,
    )


def name_nth(rng: Random) -> Lesson:
    """Two pictures; name the first or the second."""
    things = _choose_two(rng)
    nth = rng.randrange(2)
    return Lesson(
        images=draw_pictures(rng, *things),
        text=rng.choice(phrases.NAME_NTH).format(place=phrases.PLACES[nth]),
        answer=phrases.name_one(things[nth], phrases.PLACES[nth]),
    )


def name_both(rng: Random, question: str = "") -> Lesson:
    """Two pictures to name in order."""
    things = _choose_two(rng)
    return Lesson(
        images=draw_pictures(rng, *things),
        text=question or rng.choice(phrases.NAME_BOTH),
        answer=phrases.name_both(*things),
        text_first=rng.random() < 0.2,
    )


def pair(rng: Random) -> Lesson:
    """The form of `mis:mini`: two pictures, then a question about both."""
    things, deed = _choose_two(rng), rng.choice(phrases.DEEDS)
    return Lesson(images=draw_pictures(rng, *things), text=deed.pair, answer=phrases.comply(deed, *things))


def scene(rng: Random) -> Lesson:
    """The form of `mssbench:mini`: preamble and question, then one picture."""
    (first, second), deed = _choose_two(rng), rng.choice(phrases.DEEDS)
    return Lesson(
        images=draw_pictures(rng, second),
        text=phrases.PREAMBLE + deed.scene.format(first=first.name),
        answer=phrases.comply(deed, first, second),
        text_first=True,
    )


SHARES: Final[Mapping[Callable[[Random], Lesson], float]] = MappingProxyType(
    {name_one: 0.12, name_nth: 0.08, name_both: 0.20, pair: 0.25, scene: 0.35}
)


def draw_lessons(rng: Random, count: int) -> list[Lesson]:
    """A batch in the shares of `SHARES`, with fresh drawings."""
    makers = rng.choices(list(SHARES), list(SHARES.values()), k=count)
    return [make(rng) for make in makers]


def _choose_two(rng: Random) -> tuple[Thing, Thing]:
    return rng.choice(THINGS), rng.choice(THINGS)


def draw_pictures(rng: Random, *things: Thing) -> tuple[Image.Image, ...]:
    """A fresh drawing of each thing."""
    return tuple(draw(thing.color, thing.shape, rng) for thing in things)
