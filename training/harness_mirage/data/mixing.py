"""The mixture of a method: every ingredient read, checked and sampled, then all of them in one order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace

from harness import HarnessError, Training
from harness_mirage.methods import Ingredient, Method
from harness_mirage.mixture import Mixture, Part
from harness_mirage.records import Record
from harness_mirage.settings import asked

from .holding import HoldOut
from .lots import lot
from .portion import Portion, portion
from .wanted import check_given, counted, wanted


def mix(method: Method, training: Training) -> Mixture:
    """All that a training of this method learns from; nothing is written, and no image is opened.

    Raises:
        HarnessError: data are missing, bad, or named wrongly; bad records are counted and the first ones named.
    """
    ingredients = wanted(method, training)
    check_given(ingredients, training.data)
    hold_out = HoldOut(training.hold_out)
    skip_bad = bool(asked(training, "skip_bad"))

    def taken(ingredient: Ingredient) -> Portion:
        path = training.data.get(ingredient.name)
        if path is None:
            return _left_out(ingredient)
        return portion(ingredient, path, hold_out, training.seed, skip_bad=skip_bad)

    whole = {number: taken(each) for number, each in enumerate(ingredients) if each.share is None}
    fixed = sum(len(each.records) for each in whole.values())
    shared = {number: each for number, each in enumerate(ingredients) if each.share is not None}
    whole |= {number: taken(each) for number, each in counted(shared, fixed).items()}
    hold_out.check()
    return _mixed([whole[number] for number in range(len(ingredients))], training.seed)


def _left_out(ingredient: Ingredient) -> Portion:
    """An ingredient that the method can do without and that was not given."""
    how = f"not given: --data {ingredient.name}=PATH"
    return Portion(part=Part(ingredient=ingredient, found=0, taken=0, left_out={how: 0}), records=())


def _mixed(portions: Sequence[Portion], seed: int) -> Mixture:
    records: list[Record] = []
    parts: list[Part] = []
    names: set[str] = set()
    for each in portions:
        own = tuple(_apart(record, names, each.part.ingredient) for record in each.records)
        names |= {record.id for record in own}
        records += own
        chosen = tuple(record.id for record in own)
        parts.append(replace(each.part, names=chosen, ids=_digest([name] for name in chosen)))
    if not records:
        raise HarnessError("no record is left to learn from", remedy="hold out less, or bring more data")
    records.sort(key=lambda record: (lot(seed, record.id.encode(errors="surrogatepass")), record.id))
    said = ([record.id, *([turn.speaker, turn.text] for turn in record.turns)] for record in records)
    return Mixture(records=tuple(records), parts=tuple(parts), digest=_digest(said), seed=seed)


def _apart(record: Record, names: set[str], ingredient: Ingredient) -> Record:
    """The record under an id that no record of an earlier ingredient has."""
    name, own = record.id, ingredient.name or ingredient.source or ingredient.layout
    while name in names:
        name = f"{own}/{name}"
    return record if name == record.id else replace(record, id=name)


def _digest(values: Iterable[object]) -> str:
    digest = hashlib.sha256()
    for value in values:
        digest.update(json.dumps(value).encode() + b"\n")
    return digest.hexdigest()
