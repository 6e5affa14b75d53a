"""What a training left behind, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness_mirage.methods import Role

from .measuring import Long
from .scratch import Scratch

Kind = Literal["model", "adapter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A trained model in its scratch folder.

    Attributes:
        folder: weights and processor, nothing else; to be completed and moved to the output in one rename.
        scratch: the working folder around it, to be removed then.
        kind: a whole model, or an adapter of its base.
        history: a row a step: step, epoch, loss, grad_norm, learning_rate, mean_token_accuracy.
        steps: of the optimizer.
        seconds: that this invocation trained, without opening and saving.
        resumed_from: step of the checkpoint it went on from; 0 where it began anew.
        records: that were learnt from.
        left_out: records that were too long.
        counts: role -> parameters, and how many of them learnt.
    """

    folder: Path
    scratch: Scratch
    kind: Kind
    history: tuple[Mapping[str, float], ...]
    steps: int
    seconds: float
    resumed_from: int
    records: int
    left_out: tuple[Long, ...]
    counts: Mapping[Role, tuple[int, int]]
