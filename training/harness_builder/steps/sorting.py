"""What a model thinks of a candidate; where it goes by that is the rule of `harness_builder.values.subset`."""

from __future__ import annotations

from collections.abc import Mapping

from harness import Json, Message, Request, Text
from harness_builder.calls.values import Asked, Ended, Passed, Unreadable
from harness_builder.values import Candidate, Opinion

from .replies import fields, flag, words
from .workshop import Workshop

Categories = Mapping[str, tuple[str, ...]]


async def classify(shop: Workshop, candidate: Candidate) -> Passed[Opinion] | Ended:
    """Ask the viewer: is the question unsafe by itself, is an image, and of which category is the risk?

    Where the plan names categories, the model's is one of them, and its sub-category one of that category's.
    """
    categories = shop.plan.categories

    def read(text: str) -> Json:
        return _read(text, categories)

    request = _request(shop, candidate)
    said = await shop.asker.ask(Asked(step="sort", owner=candidate.key, role="viewer", request=request, read=read))
    if isinstance(said, Ended):
        return said
    return Passed(value=Opinion(**said.value), calls=(said.call,))


def _request(shop: Workshop, candidate: Candidate) -> Request:
    categories = shop.plan.categories
    values = {
        "question": candidate.question,
        "objects": list(candidate.objects),
        "category": candidate.category,
        "categories": {name: list(within) for name, within in categories.items()},
    }
    text = Text(text=shop.prompts.fill("classify", values))
    return Request(messages=(Message(role="user", content=(*candidate.images, text)),), schema=_schema(categories))


def _schema(categories: Categories) -> Mapping[str, Json]:
    within = dict.fromkeys(name for each in categories.values() for name in each)
    properties: dict[str, Json] = {
        "text_unsafe": {"type": "boolean"},
        "image_harmful": {"type": "boolean"},
        "category": {"type": "string", **({"enum": list(categories)} if categories else {})},
        "sub_category": {"type": "string", **({"enum": ["", *within]} if categories else {})},
    }
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _read(text: str, categories: Categories) -> Json:
    found = fields(text)
    category, sub_category = words(found, "category"), words(found, "sub_category")
    if categories:
        category = _one_of(category, categories, "category")
        sub_category = _one_of(sub_category, categories[category], "sub_category") if sub_category else ""
    return {
        "text_unsafe": flag(found, "text_unsafe"),
        "image_harmful": flag(found, "image_harmful"),
        "category": category,
        "sub_category": sub_category,
    }


def _one_of(said: str, known: Mapping[str, tuple[str, ...]] | tuple[str, ...], name: str) -> str:
    """A name as the plan spells it."""
    spelled = {each.casefold(): each for each in known}
    if said.casefold() not in spelled:
        raise Unreadable(f"field {name!r} must be one of: {', '.join(known) or 'none, an empty text'}")
    return spelled[said.casefold()]
