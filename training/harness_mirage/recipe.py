"""A recipe: every hyperparameter with where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

#: `paper, other …`: the paper's for a model of another size, or for another method of the same model, taken over
Source = Literal[
    "paper",
    "paper, other model",
    "paper, other method",
    "paper, other model and method",
    "framework default",
    "ours",
    "user",
]
Tuning = Literal["full", "lora", "qlora"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sourced(Generic[T]):
    """A value and whose it is."""

    value: T
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a model is trained.

    Attributes:
        name: `<model row>/<method>`.
        tuning: all parameters of the trained roles, or adapters on them.
        learning_rate: peak.
        warmup: share of the steps.
        schedule: as transformers names it.
        epochs: over the mixture.
        batch: records a step, over all devices.
        weight_decay: of the optimizer.
        clip: largest norm of the gradient.
        max_length: tokens; a longer record is counted and left out, never cut inside an image. None for no limit.
        pixels: most pixels of one image; None for the processor's own.
        precision: `bf16` or `fp32`.
        checkpointing: recompute activations.
        rank, alpha, dropout: of LoRA.
        optimizer: as transformers names it.
        roles: role -> pattern of parameter names, where the architecture is not known; empty else.
        paper: the model whose values the paper gives; empty where it gives none for this row.
        method: whose values of the row are taken; empty where it has none for the method.
    """

    name: str
    tuning: Sourced[Tuning]
    learning_rate: Sourced[float]
    warmup: Sourced[float]
    schedule: Sourced[str]
    epochs: Sourced[float]
    batch: Sourced[int]
    weight_decay: Sourced[float]
    clip: Sourced[float]
    max_length: Sourced[int | None]
    pixels: Sourced[int | None]
    precision: Sourced[Literal["bf16", "fp32"]]
    checkpointing: Sourced[bool]
    rank: Sourced[int]
    alpha: Sourced[int]
    dropout: Sourced[float]
    optimizer: Sourced[str]
    roles: Mapping[str, str]
    paper: str = ""
    method: str = ""
