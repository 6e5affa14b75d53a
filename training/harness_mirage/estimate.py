"""What a training needs of memory and time, from the outline of its model: no weight is loaded.

Memory of one device, in bytes:

- weights: 4 a number with full tuning (they learn in float32), 2 with LoRA, 0.6 with QLoRA
- gradients: 4 for each number that learns; optimizer: 8 (Adam), 2 (Adam in 8 bits), 0 (SGD, Adafactor: next to nothing)
- FSDP and ZeRO-3 deal these out to the devices, and each gathers one layer at a time
- activations: with checkpointing one hidden state a layer and all of one layer, else all of every layer, where all of a
  layer is 34 numbers of its width a token; and the scores of the vocabulary, twice

Time: 2 operations a parameter and token forth, 2 back, 2 more for those that learn, and with checkpointing 2 to compute
anew; at 35% of the device's peak.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from harness import HarnessError

from .devices import GIB, Devices
from .recipe import Recipe, Sourced

SMALL: Final = 1_000_000_000  #: parameters below which a CPU will do
UTILISATION: Final = 0.35
_LAYER: Final = 34  #: numbers a token leaves in a layer, in widths of the layer
_OPTIMIZER: Final = {"adamw_8bit": 2, "paged_adamw_8bit": 2, "adafactor": 0, "sgd": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Of a model and its records.

    Attributes:
        parameters: numbers of it.
        learning: numbers that learn, adapters included.
        width, layers, vocabulary: of the language model.
        tokens: of a record, in the middle.
        longest: of a batch that one device holds.
    """

    parameters: int
    learning: int
    width: int
    layers: int
    vocabulary: int
    tokens: float
    longest: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Bytes of one device.

    Attributes:
        weights, gradients, optimizer, activations: as the module says.
        host: bytes in the host's memory, of all devices together.
    """

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


def need(size: Size, recipe: Recipe, devices: Devices) -> Need:
    """The memory of one device."""
    tuning, wide = recipe.tuning.value, 4 if recipe.precision.value == "fp32" else 2
    stored = {"full": 4.0, "lora": float(wide), "qlora": 0.6}[tuning]
    adapters = 0 if tuning == "full" else size.learning
    held = (
        size.parameters * stored + adapters * 4.0,
        size.learning * 4.0,
        size.learning * float(_OPTIMIZER.get(recipe.optimizer.value, 8)),
    )
    layer = 0.0
    if devices.sharding != "none":
        held = (held[0] / devices.count, held[1] / devices.count, held[2] / devices.count)
        layer = size.parameters * wide / max(size.layers, 1)
    activations = _activations(size, wide, checkpointing=recipe.checkpointing.value)
    if devices.offloaded:
        return Need(weights=layer, gradients=0, optimizer=0, activations=activations, host=sum(held) * devices.count)
    return Need(weights=held[0] + layer, gradients=held[1], optimizer=held[2], activations=activations)


def seconds(size: Size, records: float, recipe: Recipe, devices: Devices) -> float:
    """Of a training over so many records, epochs counted."""
    a_token = size.parameters * (4 + 2 * recipe.checkpointing.value) + 2 * size.learning
    return records * size.tokens * a_token / (devices.count * devices.peak * UTILISATION)


def check(size: Size, recipe: Recipe, devices: Devices, *, forced: bool) -> None:
    """Refuse a model that cannot be trained here.

    Args:
        size: of the model.
        recipe: how it is trained.
        devices: where.
        forced: the user wants the CPU.

    Raises:
        HarnessError: there is no GPU for it, or its weights, gradients and optimizer alone do not fit.
    """
    its = need(size, recipe, devices)
    if forced or devices.memory is None:
        return
    if not devices.there:
        raise HarnessError(
            f"there is no GPU here, and this model has {billions(size.parameters)} parameters: it needs about"
            f" {gib(its.whole)} on each of {devices.count} GPUs",
            remedy=advice(size, recipe, devices) + "\n  -S device=cpu trains here all the same, very slowly",
        )
    if its.fixed > devices.memory:
        raise HarnessError(
            f"about {gib(its.whole)} are needed on each device, which has {gib(devices.memory)}",
            where=devices.name,
            remedy=advice(size, recipe, devices),
        )


def advice(size: Size, recipe: Recipe, devices: Devices) -> str:
    """Ways to need less, each with what it would need."""

    def told(how: str, recipe: Recipe, devices: Devices, size: Size) -> str:
        return f"{how}: about {gib(need(size, recipe, devices).whole)} a device"

    lines: list[str] = []
    if recipe.tuning.value == "full":
        small = replace(size, learning=size.parameters // 100)
        lora = replace(recipe, tuning=Sourced(value="lora", source="user"))
        lines.append(told("--set tuning=lora", lora, devices, small))
        qlora = replace(recipe, tuning=Sourced(value="qlora", source="user"))
        lines.append(told("--set tuning=qlora", qlora, devices, small))
    if devices.sharding == "none":
        eight = Devices(count=8, sharding="FSDP", name=devices.name, memory=devices.memory)
        lines.append(told("--launch fsdp-8 or zero3-8, on 8 GPUs", recipe, eight, size))
        one = Devices(count=1, sharding="ZeRO-3", offloaded=True, name=devices.name, memory=devices.memory)
        host = gib(need(size, recipe, one).host)
        lines.append(told("--launch zero3-1, on one GPU", recipe, one, size) + f" and {host} of the host's memory")
    return "\n  ".join(lines) or "use more devices, or a smaller model"


def _activations(size: Size, wide: int, *, checkpointing: bool) -> float:
    kept = size.layers + _LAYER if checkpointing else size.layers * _LAYER
    return size.longest * wide * (size.width * kept) + size.longest * size.vocabulary * (wide + 4.0)


def gib(size: float) -> str:
    """Bytes for a person."""
    return f"{size / GIB:.1f} GiB" if size >= GIB / 10 else f"{size / (1 << 20):.0f} MiB"


def billions(count: float) -> str:
    """Parameters for a person."""
    return f"{count / 1e9:.1f} billion" if count >= 1e9 else f"{count / 1e6:.1f} million"
