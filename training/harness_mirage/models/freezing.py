"""Freezes all but what a method trains, in full or by adapters on the linear layers of the same parts.

With LoRA every trained role gets adapters on its linear layers, the projector as well: an adapter that also carried a
whole projector would be one that servers cannot load. The output layer gets none. A part without linear layers (Gemma
3's projector is one matrix of its own) stays as it is, and the table says so.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from harness import HarnessError
from harness_mirage.methods import Role
from harness_mirage.recipe import Recipe

from .base import Base
from .untyped import peft, torch


def freeze(base: Base, trained: Collection[Role], recipe: Recipe) -> Any:
    """Let exactly these roles learn.

    Returns:
        None for full tuning, whose frozen parameters are marked in the model now; else the peft configuration for who
        wraps the model.

    Raises:
        HarnessError: no parameter would learn.
    """
    learning = base.roles.of(trained)
    for name, weight in base.model.named_parameters():
        full = recipe.tuning.value == "full" and name in learning
        if weight.is_floating_point():
            weight.requires_grad_(full)
    if recipe.tuning.value == "full":
        if not learning:
            raise HarnessError(f"no parameter of {', '.join(trained)} is in this model", where=base.ref)
        return None
    return peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=recipe.rank.value,
        lora_alpha=recipe.alpha.value,
        lora_dropout=recipe.dropout.value,
        target_modules=targets(base, trained),
    )


def targets(base: Base, trained: Collection[Role]) -> str:
    """A pattern that matches the linear layers of some roles, and no other module.

    Raises:
        HarnessError: there is none.
    """
    learning, output = base.roles.of(trained), base.model.get_output_embeddings()
    names = {
        re.sub(r"\\\.\d+(?=\\\.|$)", r"\\.\\d+", re.escape(name))
        for name, module in base.model.named_modules()
        if isinstance(module, torch.nn.Linear) and module is not output and f"{name}.weight" in learning
    }
    if not names:
        raise HarnessError(f"no linear layer of {', '.join(trained)} is in this model", where=base.ref)
    return "|".join(sorted(names))
