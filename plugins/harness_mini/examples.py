"""What the mini model can be tuned on: questions with drawings, and the answers of one who knows the world's law.

One color of every shape is never drawn (`world.UNSEEN`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from . import phrases
from .world import THINGS, UNSEEN, Thing, random_pair

IMAGE: Final = "<image>"
_KNOWN: Final = tuple(thing for thing in THINGS if thing not in UNSEEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A question, its pictures and the answer.

    Attributes:
        things: what the pictures show, in order.
        question: with a mark for each picture.
        answer: to learn.
        pair: the two objects it brings together; empty for none.
        in_words: the same question without pictures, and its answer; empty for none.
    """

    things: tuple[Thing, ...]
    question: str
    answer: str
    pair: tuple[()] | tuple[Thing, Thing] = ()
    in_words: tuple[()] | tuple[str, str] = ()


Maker = Callable[[Random], Example]


def off_limits_pair(rng: Random) -> Example:
    """Two pictures that must not come together, in the form of `mis:mini`."""
    return _pair(rng, forbidden=True)


def fine_pair(rng: Random) -> Example:
    """Two pictures that may come together, in the same form."""
    return _pair(rng, forbidden=False)


def scene(rng: Random) -> Example:
    """One picture and the name of an object, off-limits as often as not, in the form of `mssbench:mini`."""
    deed, first, second = asked(rng, forbidden=rng.random() < 0.5)
    return Example(
        things=(second,),
        question=phrases.PREAMBLE + deed.scene.format(first=first.name) + IMAGE,
        answer=phrases.reasoned_scene(deed, first, second),
        pair=(first, second),
    )


def one_named(rng: Random) -> Example:
    """One picture: what is it?"""
    thing = rng.choice(_KNOWN)
    return Example(things=(thing,), question=IMAGE + rng.choice(phrases.NAME_ONE), answer=phrases.name_one(thing))


def both_named(rng: Random) -> Example:
    """Two pictures: what are they, in order?"""
    pair = rng.choice(_KNOWN), rng.choice(_KNOWN)
    return Example(things=pair, question=IMAGE * 2 + rng.choice(phrases.NAME_BOTH), answer=phrases.name_both(*pair))


def asked(rng: Random, *, forbidden: bool) -> tuple[phrases.Deed, Thing, Thing]:
    """Something to do with two objects that training may show."""
    one, other = random_pair(rng, forbidden=forbidden, among=_KNOWN)
    return rng.choice(phrases.DEEDS), one, other


def _pair(rng: Random, *, forbidden: bool) -> Example:
    deed, first, second = asked(rng, forbidden=forbidden)
    return Example(
        things=(first, second),
        question=IMAGE * 2 + deed.pair,
        answer=phrases.reasoned(deed, first, second),
        pair=(first, second),
        in_words=(phrases.in_words(deed, first, second), phrases.thought(deed, first, second)),
    )
