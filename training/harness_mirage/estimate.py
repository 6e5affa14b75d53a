"""What a training needs of memory and time: its model as an outline without weights, its records by measuring some.

Memory of one device, in bytes:

- weights: 4 a number with full tuning (they learn in float32), 2 with LoRA, 0.6 with QLoRA
- gradients: 4 for each number that learns; optimizer: 8 (Adam), 2 (Adam in 8 bits), 0 (SGD, Adafactor: next to nothing)
- FSDP and ZeRO-3 deal these out to the devices, and each gathers one layer at a time
- activations: with checkpointing one hidden state a layer and all of one layer, else all of every layer, where all of a
  layer is 34 numbers of its width a token; and the scores of the vocabulary, twice

Time: 2 operations a parameter and token forward, 2 backward, 2 more for those that learn, and with checkpointing 2 to
compute anew; at 35% of the device's peak.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from harness import HarnessError, Training

from .devices import GIB, Devices, find_devices
from .methods import Method, get_setting
from .mixture import BLANK, Mixture
from .recipe import Recipe, Sourced

if TYPE_CHECKING:
    from .models.base import Base

SMALL: Final = 1_000_000_000  #: parameters below which a CPU will do
UTILISATION: Final = 0.35
MEASURED: Final = 16  #: records
_LAYER: Final = 34  #: numbers a token leaves in a layer, in widths of the layer
_OPTIMIZER: Final = {"adamw_8bit": 2, "paged_adamw_8bit": 2, "adafactor": 0, "sgd": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Size of a model and its records.

    Attributes:
        parameters: numbers of the model.
        learning: numbers that learn, adapters included.
        width, layers, vocabulary: of the language model.
        tokens: of a record, in the middle.
        longest: tokens of a batch that one device holds.
    """

    parameters: int
    learning: int
    width: int
    layers: int
    vocabulary: int
    tokens: float
    longest: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes of one device, as the module describes them; `host` is in the host's memory, of all devices together."""

    weights: float
    gradients: float
    optimizer: float
    activations: float
    host: float = 0.0

    @property
    def fixed(self) -> float:
        """What is needed however short the records are."""
        return self.weights + self.gradients + self.optimizer

    @property
    def whole(self) -> float:
        """All of it."""
        return self.fixed + self.activations


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What is known of a training before it starts.

    Attributes:
        base: its outline.
        model: as it would learn: frozen, with its adapters; on the meta device.
        size: of the model and the records.
        devices: where it would run.
        held, turns: records that a device holds at once, and how many such turns make a step.
        steps: of the optimizer.
    """

    base: Base
    model: Any
    size: Size
    devices: Devices
    held: int
    turns: int
    steps: int


def forecast_training(method: Method, training: Training, recipe: Recipe, mixture: Mixture) -> Forecast:
    """Size up a training; no weight is loaded.

    Raises:
        HarnessError: no such model, an unknown architecture, or a batch that the devices cannot share.
        BadData: a measured record cannot be written for this model.
    """
    from .models.base import outline_base
    from .models.roles import outline_learner
    from .sft.batches import ChatEncoder, TokenCounter
    from .sft.trainer import divide_batch

    base = outline_base(training, recipe)
    devices = find_devices(training, small=sum(weight.numel() for weight in base.model.parameters()) < SMALL)
    micro = get_setting(training, "micro_batch")
    held, turns = divide_batch(recipe.batch.value, devices.count, micro, cpu=devices.memory is None)

    # Tokens of some records, evenly from all; on several devices one without images gets a blank image, too.
    encoder = ChatEncoder(base.frontend, base.chat, base.mark)
    counter = TokenCounter(base.frontend, base.mark, recipe.pixels.value)
    some = mixture.records[:: max(1, len(mixture.records) // MEASURED)][:MEASURED]
    found = [(record, counter.count(record, encoder.encode(record))) for record in some]
    longest = recipe.max_length.value
    kept = [(record, tokens) for record, tokens in found if longest is None or tokens <= longest]
    has_blank = devices.count > 1 and not all(record.pictures for record, _ in kept)
    blank = counter.count_images((BLANK,)) if has_blank else 0
    lengths = [tokens + (0 if record.pictures else blank) for record, tokens in kept] or [longest or 0]

    model = outline_learner(base, method.trained, recipe)
    numbers = sum(weight.numel() for weight in model.parameters())
    learning = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    text = base.config.get_text_config()
    return Forecast(
        base=base,
        model=model,
        size=Size(
            parameters=numbers - (0 if model is base.model else learning),  # adapters are no part of the model
            learning=learning,
            width=text.hidden_size,
            layers=text.num_hidden_layers,
            vocabulary=text.vocab_size,
            tokens=sum(lengths) / len(lengths),
            longest=held * max(lengths),
        ),
        devices=devices,
        held=held,
        turns=turns,
        steps=math.ceil(math.ceil(len(mixture.records) / recipe.batch.value) * recipe.epochs.value),
    )


def estimate_memory(size: Size, recipe: Recipe, devices: Devices) -> Memory:
    """The memory that one device needs."""
    tuning, wide = recipe.tuning.value, 4 if recipe.precision.value == "fp32" else 2
    stored = {"full": 4.0, "lora": float(wide), "qlora": 0.6}[tuning]
    adapters = 0 if tuning == "full" else size.learning
    weights = size.parameters * stored + adapters * 4.0
    gradients = size.learning * 4.0
    optimizer = size.learning * float(_OPTIMIZER.get(recipe.optimizer.value, 8))
    layer = 0.0
    if devices.sharding != "none":
        weights, gradients, optimizer = (each / devices.count for each in (weights, gradients, optimizer))
        layer = size.parameters * wide / max(size.layers, 1)
    kept = size.layers + _LAYER if recipe.checkpointing.value else size.layers * _LAYER
    activations = size.longest * wide * (size.width * kept) + size.longest * size.vocabulary * (wide + 4.0)
    if devices.offloaded:
        host = (weights + gradients + optimizer) * devices.count
        return Memory(weights=layer, gradients=0, optimizer=0, activations=activations, host=host)
    return Memory(weights=weights + layer, gradients=gradients, optimizer=optimizer, activations=activations)


def estimate_seconds(size: Size, records: float, recipe: Recipe, devices: Devices) -> float:
    """Seconds of a training over so many records, epochs counted."""
    a_token = size.parameters * (4 + 2 * recipe.checkpointing.value) + 2 * size.learning
    return records * size.tokens * a_token / (devices.count * devices.peak * UTILISATION)


def check_memory(size: Size, recipe: Recipe, devices: Devices, *, forced: bool) -> None:
    """Refuse a model that cannot be trained here; `forced` means that the user wants the CPU.

    Raises:
        HarnessError: there is no GPU for it, or its weights, gradients and optimizer alone do not fit.
    """
    needed = estimate_memory(size, recipe, devices)
    if forced or devices.memory is None:
        return
    if not devices.there:
        count = size.parameters
        parameters = f"{count / 1e9:.1f} billion" if count >= 1e9 else f"{count / 1e6:.1f} million"
        where = "one GPU" if devices.count == 1 else f"each of {devices.count} GPUs"
        raise HarnessError(
            f"there is no GPU here, and this model has {parameters} parameters: it needs about"
            f" {format_bytes(needed.whole)} on {where}",
            remedy=f"{_advise(size, recipe, devices)}\n  -S device=cpu trains here anyway, very slowly",
        )
    if needed.fixed > devices.memory:
        raise HarnessError(
            f"about {format_bytes(needed.whole)} are needed on each device, which has {format_bytes(devices.memory)}",
            where=devices.name,
            remedy=_advise(size, recipe, devices),
        )


def _advise(size: Size, recipe: Recipe, devices: Devices) -> str:
    """Ways to need less, each with what it would need."""
    lines: list[str] = []
    if recipe.tuning.value == "full":
        small = replace(size, learning=size.parameters // 100)
        for tuning in ("lora", "qlora"):
            other = replace(recipe, tuning=Sourced(value=tuning, source="user"))
            needed = estimate_memory(small, other, devices)
            lines.append(f"--set tuning={tuning}: about {format_bytes(needed.whole)} a device")
    if devices.sharding == "none":
        eight = Devices(count=8, sharding="FSDP", name=devices.name, memory=devices.memory)
        needed = estimate_memory(size, recipe, eight)
        lines.append(f"--launch fsdp-8 or zero3-8, on 8 GPUs: about {format_bytes(needed.whole)} a device")
        one = Devices(count=1, sharding="ZeRO-3", offloaded=True, name=devices.name, memory=devices.memory)
        needed = estimate_memory(size, recipe, one)
        lines.append(
            f"--launch zero3-1, on one GPU: about {format_bytes(needed.whole)} a device"
            f" and {format_bytes(needed.host)} of the host's memory"
        )
    return "\n  ".join(lines) or "train on a machine with such GPUs, with more of them, or a smaller model"


def format_bytes(size: float) -> str:
    """Bytes for a person."""
    return f"{size / GIB:.1f} GiB" if size >= GIB / 10 else f"{size / (1 << 20):.0f} MiB"
