"""The ingredients as the user wants them: counts and shares set, names checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from harness import HarnessError, Training, UnknownName
from harness.settings import nearest
from harness_mirage.methods import Ingredient, Method
from harness_mirage.settings import asked

from .licences import M4, published

GENERAL = "general"
_FETCHED = "; python -m harness_mirage.data.general PATH fetches 500 records of this one, with their images alone"


def wanted(method: Method, training: Training) -> tuple[Ingredient, ...]:
    """A method's ingredients, the general one in the amount that was asked for; one of which none is wanted is gone.

    Raises:
        UnknownName: data were given under a name the method does not have.
        HarnessError: an amount makes no sense.
    """
    names = [*dict.fromkeys(each.name for each in method.ingredients)]
    for name in training.data:
        if name not in names:
            raise _unknown(name, method.name, names)
    count, share = asked(training, "general_count"), asked(training, "general_share")
    if GENERAL not in names:
        if count is not None or share is not None:
            raise HarnessError(f"{method.name} mixes in no general data, so it takes no general_count or general_share")
        return method.ingredients
    if count is not None and share is not None:
        raise HarnessError("give general_count or general_share, and not both")
    found = (_amount(each, count, share) if each.name == GENERAL else each for each in method.ingredients)
    return tuple(each for each in found if each.count != 0 and each.share != 0)


def check_given(ingredients: Sequence[Ingredient], data: Mapping[str, Path]) -> None:
    """Whether all data are given that the method cannot do without.

    Raises:
        HarnessError: what is missing, where it is published, under which licence, and how it is given.
    """
    for each in ingredients:
        if each.needed and each.name not in data:
            main = each.source or f"data of the layout {each.layout}"
            what = f"its ingredient {each.name!r}" if each.name else main
            remedy = f"--data {each.name}=PATH" if each.name else "--data PATH"
            if each.name == GENERAL:
                remedy += " of any multi-image set in ShareGPT's layout" + (_FETCHED if each.hub == M4 else "")
            elif each.name:
                remedy += f", in the layout {each.layout}: see docs/train-data.md"
            where = _place(each, ingredients)
            raise HarnessError(f"the method needs {what}, which was not given", where=where, remedy=remedy)


def counted(shared: Mapping[int, Ingredient], fixed: int) -> dict[int, Ingredient]:
    """Ingredients that are a share of the whole mixture, with the count that makes them this share.

    Args:
        shared: by their place.
        fixed: records of all others.

    Raises:
        HarnessError: the shares leave nothing for the others.
    """
    rest = 1.0 - sum(each.share or 0.0 for each in shared.values())
    if shared and not 0.0 < rest <= 1.0:
        raise HarnessError("shares of a mixture must be 0 or more, and together less than 1")
    return {
        number: replace(each, count=round(fixed * (each.share or 0.0) / rest), share=each.share)
        for number, each in shared.items()
    }


def _place(ingredient: Ingredient, ingredients: Sequence[Ingredient]) -> str:
    """Where it is published; nothing of one that the user makes of a set that is another ingredient as well."""
    if ingredient.name and any(not each.name and each.hub == ingredient.hub for each in ingredients):
        return ""
    return published(ingredient.hub) or (f"on the hub: {ingredient.hub}" if ingredient.hub else "")


def _unknown(name: str, method: str, names: Sequence[str]) -> UnknownName:
    shown = f"--data {name}=…" if name else "--data PATH without a name"
    named = [each for each in names if each]
    ways = ["--data PATH"] * ("" in names) + [f"--data {each}=PATH" for each in named]
    close = nearest(name, named)
    remedy = close if name and close.startswith("did you mean") else f"it takes {' and '.join(ways)}"
    return UnknownName(f"{method} has no ingredient of this name: {shown}", remedy=remedy)


def _amount(ingredient: Ingredient, count: int | None, share: float | None) -> Ingredient:
    if count is not None:
        return replace(ingredient, count=count, share=None)
    return ingredient if share is None else replace(ingredient, count=None, share=share)
