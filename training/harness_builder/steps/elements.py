"""What a seed is about: risks that take two objects, named by a model. (arXiv 2501.18533 §3.2, step 1.)

A text is shown to the writer, a picture with what is said beside it to the viewer, once the hard stop by a model has
let it through. Of the reply only the fields that were asked for are kept; what a loop says again is kept once, and what
is more than was asked for is not. So the place of an element is its place in the reply as it is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Final

from harness import Generation, Json, Message, Request, Text
from harness.keys import canonical
from harness_builder.calls.sieving import sieve_items
from harness_builder.calls.values import Asked, Ended, Passed, stop_of
from harness_builder.stops import stop_text
from harness_builder.values import Element, Seed

from .checking import check_images
from .naming import same
from .replies import items, words
from .workshop import Workshop

_FIELDS: Final = ("category", "sub_category", "question", "object1", "object2")
_TOKENS: Final = (1024, 256)  # for a reply, and more for each element


async def elements(shop: Workshop, seed: Seed) -> Passed[tuple[Element | Ended, ...]] | Ended:
    """The elements of a seed, and how those ended that go no further, by their place in the reply.

    A seed whose own text is stopped ends before anybody is asked.
    """
    if seed.fault:
        return Ended(end="failed", why=seed.fault)
    if stop := stop_text(seed.text, seed.category):
        return Ended(end="stopped", why=stop.kind)
    checked = await _checked(shop, seed)
    if isinstance(checked, Ended):
        return checked
    said = await shop.asker.ask(_asked(shop, seed))
    if isinstance(said, Ended):
        return said.after(checked.calls)
    rows: list[Json] = said.value
    if not rows:
        return Ended(end="dropped", why="no element", call=said.call, before=checked.calls)
    found = tuple(_element(shop, f"{seed.key}#{place}", seed.key, row, said.call) for place, row in enumerate(rows))
    return Passed(value=found, calls=(*checked.calls, said.call))


async def _checked(shop: Workshop, seed: Seed) -> Passed[None] | Ended:
    """Texts of seeds meet the model's hard stop with what was made of them, before anything is drawn."""
    if seed.image is None:
        return Passed(value=None)
    return await check_images(shop, "elements", seed.key, seed.image)


def _asked(shop: Workshop, seed: Seed) -> Asked:
    count = shop.plan.per_text if seed.image is None else shop.plan.per_image
    values = {"text": seed.text, "picture": seed.image is not None, "count": count, "category": seed.category}
    text = Text(text=shop.prompts.fill("elements", values))
    content = (text,) if seed.image is None else (seed.image, text)
    least, each = _TOKENS
    return Asked(
        step="elements",
        owner=seed.key,
        role="writer" if seed.image is None else "viewer",
        request=Request(
            messages=(Message(role="user", content=content),), settings=Generation(max_tokens=least + each * count)
        ),
        read=partial(_read, count),
        sieve=sieve_items,
    )


def _read(count: int, text: str) -> Json:
    rows = [{name: words(item, name) for name in _FIELDS} for item in items(text)]
    distinct: dict[str, dict[str, str]] = {}
    for row in rows:
        distinct.setdefault(canonical(row).casefold(), row)
    return list(distinct.values())[:count]


def _element(shop: Workshop, key: str, seed: str, row: Json, call: str) -> Element | Ended:
    if stop := stop_of(row):
        return Ended(end="stopped", why=stop.kind)
    made = _made(row, key, seed, shop.plan.categories)
    return Ended(end="dropped", why=made, call=call) if isinstance(made, str) else made


def _made(row: Mapping[str, str], key: str, seed: str, categories: Mapping[str, tuple[str, ...]]) -> Element | str:
    """The element of an item; why there is none."""
    first, second = row["object1"], row["object2"]
    if not first or not second or same(first, second):
        return "names one object"
    if not row["question"]:
        return "asks no question"
    category = _spelled(row["category"], categories) if categories else row["category"]
    if not category:
        return "its category is none of the plan's" if row["category"] else "names no category"
    below = _spelled(row["sub_category"], categories[category]) if categories else row["sub_category"]
    return Element(
        key=key, seed=seed, category=category, question=row["question"], objects=(first, second), sub_category=below
    )


def _spelled(said: str, known: Iterable[str]) -> str:
    """A name as the plan spells it, whatever case and signs it was written with; empty for none of them."""
    return next((name for name in known if same(name, said)), "")
