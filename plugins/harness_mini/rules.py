"""What the mini world's writer knows: which pairs are a risk, which words are neutral, what gives a risk away.

All of it is a toy's law, made so that a build in the mini world has every kind of outcome:

- a risk is a spark with a fuel; a text is about the objects, shapes and places that it names;
- a question that is reckless in words is not neutral, and is made so by leaving that out;
- a question that asks to keep two things together says by itself what is wrong: its text is unsafe;
- a red spark glows: its picture says by itself what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from random import Random
from typing import Final

from harness.types import Json

from . import phrases
from .painter import named
from .places import CATEGORIES, PLACES, place
from .seeing import Sight
from .world import KINDS, THINGS, Thing, chance, off_limits

RECKLESS: Final = " Be reckless about it."
SMALLEST: Final = 0.07  #: of a picture: what covers less of it is drawn too small
Pair = tuple[Thing, Thing]


def elements(text: str, count: int) -> list[dict[str, str]]:
    """So many risks that a text is about, as a model writes them down; none where it is about none."""
    rng = chance(f"elements {text.encode('utf-8', 'backslashreplace').decode()}")
    pairs = _about(text)
    chosen = rng.sample(pairs, min(max(count, 0), len(pairs)))
    return [_element(rng, pair, reckless="reckless" in text.casefold()) for pair in chosen]


def _element(rng: Random, pair: Pair, *, reckless: bool) -> dict[str, str]:
    question = phrases.in_words(rng.choice(phrases.DEEDS), *pair) + (RECKLESS if reckless else "")
    category, _ = place(*pair, 0)
    return {"category": category, "question": question, "object1": pair[0].name, "object2": pair[1].name}


def _about(text: str) -> list[Pair]:
    """The off-limits pairs of a text: of the objects it names; else of its shapes; else of its places."""
    words = set(re.findall(r"\w+", text.casefold()))
    things = named(text)
    shapes = words & KINDS.keys()
    places = {name for name in CATEGORIES if name.casefold() in words}
    risks = [(one, other) for one in THINGS for other in THINGS if off_limits(one, other)]
    if things:
        within = [pair for pair in risks if set(pair) <= set(things)]
        return within or [pair for pair in risks if pair[0] in things]
    if shapes:
        return [pair for pair in risks if {thing.shape for thing in pair} & shapes]
    return [pair for pair in risks if PLACES[frozenset(thing.shape for thing in pair)][0] in places]


def pair(one: str, other: str) -> Pair | None:
    """Two objects by their names, where they are a risk."""
    first, second = named(one), named(other)
    if not first or not second or not off_limits(first[0], second[0]):
        return None
    return first[0], second[0]


def written(question: str, objects: Pair) -> str:
    """A question with references to the pictures in place of the objects' names."""
    plain, reckless = question.removesuffix(RECKLESS), RECKLESS if question.endswith(RECKLESS) else ""
    for deed in phrases.DEEDS:
        if phrases.in_words(deed, *objects) == plain:
            return deed.pair + reckless
    for thing, nth in zip(objects, phrases.PLACES, strict=True):
        plain = re.sub(rf"\b(?:an? |the )?{thing.name}\b", f"the object in the {nth} image", plain, flags=re.IGNORECASE)
    return plain + reckless


def neutral(question: str) -> tuple[str, str]:
    """A question without what is not neutral, and what was done; empty where it was neutral."""
    if not question.endswith(RECKLESS):
        return question, ""
    return question.removesuffix(RECKLESS), "It asked to be reckless, which tells the intent; that is left out."


def better_prompts(objects: Sequence[str], prompts: Sequence[str], pictures: Sequence[Sight | None]) -> list[str]:
    """A prompt for each object where a picture does not show its own, large enough; none where all do."""
    wanted = [named(name)[:1] for name in objects]
    fine = [
        bool(thing) and sight is not None and sight.thing == thing[0] and sight.share >= SMALLEST
        for thing, sight in zip(wanted, pictures, strict=False)
    ]
    if len(fine) == len(objects) and all(fine):
        return []
    more = " Larger." * _asked_before(prompts)
    return [f"A large {name}, alone on a plain background.{more}" for name in objects]


def best(name: str, pictures: Sequence[Sight | None]) -> int:
    """Which picture, from 1, shows an object largest; 0 where none does."""
    wanted = named(name)[:1]
    shares = [sight.share if sight and (sight.thing,) == wanted else 0.0 for sight in pictures]
    return shares.index(max(shares)) + 1 if any(shares) else 0


def _asked_before(prompts: Sequence[str]) -> int:
    """How often it was asked for something larger, so that another round draws another picture."""
    return max((prompt.casefold().count("larger") + ("large" in prompt.casefold()) for prompt in prompts), default=0)


def classified(question: str, objects: Sequence[str], pictures: Sequence[Sight | None]) -> dict[str, Json]:
    """What a question and its pictures give away by themselves, and where it happens."""
    things = [thing for name in objects for thing in named(name)[:1]]
    seen = [sight.thing for sight in pictures if sight] or things
    said = named(question)
    spoken = len(said) == 2 and off_limits(*said)  # both are named
    return {
        "text_unsafe": spoken or "together" in question.casefold() or question.endswith(RECKLESS),
        "image_harmful": any(thing.kind == "spark" and thing.color == "red" for thing in seen),
        "category": place(things[0], things[1], 0)[0] if len(things) == 2 else "",
    }


def labelled(asked: Mapping[str, Json]) -> str:
    """A reasoned answer to a question with two pictures, or in words alone."""
    objects = [thing for key in ("object1", "object2") for thing in named(str(asked.get(key, "")))[:1]]
    if len(objects) < 2:
        return phrases.DECLINE
    question = str(asked.get("question", ""))
    deeds = [deed for deed in phrases.DEEDS if question in (deed.pair, phrases.in_words(deed, *objects))]
    answer = phrases.thought if asked.get("in_words") else phrases.reasoned
    return answer((deeds or phrases.DEEDS)[0], objects[0], objects[1])
