"""How large a training is: its model from an outline without weights, its records by measuring some of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

from harness import Training

from .devices import Devices, devices
from .estimate import SMALL, Size
from .methods import Method
from .mixture import Mixture
from .models.base import Base
from .models.untyped import Untyped
from .recipe import Recipe
from .settings import asked

MEASURED: Final = 16  #: records


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What is known of a training before it starts.

    Attributes:
        base: its outline.
        model: as it would learn: frozen, adapters on it; on the meta device.
        size: of the model and the records.
        devices: where it would run.
        held, turns: records that a device holds at once, and how many such turns make a step.
        steps: of the optimizer.
    """

    base: Base
    model: Untyped
    size: Size
    devices: Devices
    held: int
    turns: int
    steps: int


def outlook(method: Method, training: Training, recipe: Recipe, mixture: Mixture) -> Outlook:
    """Look ahead; no weight is loaded.

    Raises:
        HarnessError: no such model, an unknown architecture, or a batch that the devices cannot share.
        BadData: a measured record cannot be written for this model.
    """
    from .models.freezing import sketched
    from .models.opening import outlined
    from .sft.arguments import dealt

    base = outlined(training, recipe)
    places = devices(training, small=sum(weight.numel() for weight in base.model.parameters()) < SMALL)
    held, turns = dealt(recipe.batch.value, places.count, asked(training, "micro_batch"), cpu=places.memory is None)
    lengths = _lengths(base, mixture, recipe, several=places.count > 1)
    model = sketched(base, method.trained, recipe)
    each = math.ceil(len(mixture.records) / recipe.batch.value)
    return Outlook(
        base=base,
        model=model,
        size=_size(base, model, lengths, held),
        devices=places,
        held=held,
        turns=turns,
        steps=math.ceil(each * recipe.epochs.value),
    )


def _lengths(base: Base, mixture: Mixture, recipe: Recipe, *, several: bool) -> list[int]:
    """Tokens of some records, evenly from all; on several devices with the blank image that one without images gets."""
    from .sft.measuring import Ruler
    from .sft.pictures import BLANK
    from .sft.scripts import Scribe

    scribe = Scribe(base.frontend, base.chat, base.mark)
    ruler = Ruler(base.frontend, base.mark, recipe.pixels.value)
    some = mixture.records[:: max(1, len(mixture.records) // MEASURED)][:MEASURED]
    found = [(record, ruler(record, scribe(record))) for record in some]
    longest = recipe.max_length.value
    kept = [(record, tokens) for record, tokens in found if longest is None or tokens <= longest]
    blank = ruler.added((BLANK,)) if several and not all(record.pictures for record, _ in kept) else 0
    return [tokens + (0 if record.pictures else blank) for record, tokens in kept] or [longest or 0]


def _size(base: Base, model: Untyped, lengths: list[int], held: int) -> Size:
    text: Any = base.config.get_text_config()
    learning = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    adapters = 0 if model is base.model else learning
    return Size(
        parameters=sum(weight.numel() for weight in model.parameters()) - adapters,
        learning=learning,
        width=text.hidden_size,
        layers=text.num_hidden_layers,
        vocabulary=text.vocab_size,
        tokens=sum(lengths) / len(lengths),
        longest=held * max(lengths),
    )
