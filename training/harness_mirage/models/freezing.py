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
from .quiet import quiet
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
        task_type="CAUSAL_LM" if hasattr(base.model, "prepare_inputs_for_generation") else None,
        r=recipe.rank.value,
        lora_alpha=recipe.alpha.value,
        lora_dropout=recipe.dropout.value,
        target_modules=targets(base, trained),
    )


def sketched(base: Base, trained: Collection[Role], recipe: Recipe) -> Any:
    """The model as it would learn, adapters and all, to be counted before a training: for an outline of a base."""
    adapters = freeze(base, trained, recipe)
    if adapters is None:
        return base.model
    with quiet():
        return peft.get_peft_model(base.model, adapters)


def targets(base: Base, trained: Collection[Role]) -> str:
    """A pattern that matches the linear layers of some roles, and no other module.

    Raises:
        HarnessError: there is none.
    """
    learning, output = base.roles.of(trained), base.model.get_output_embeddings()
    modules: dict[str, Any] = dict(base.model.named_modules())
    linear = {
        name
        for name, module in modules.items()
        if isinstance(module, torch.nn.Linear) and module is not output and f"{name}.weight" in learning
    }
    if not linear:
        raise HarnessError(f"no linear layer of {', '.join(trained)} is in this model", where=base.ref)
    return "|".join(sorted({_pattern(name, linear, modules) for name in linear}))


def _pattern(name: str, linear: Collection[str], modules: Collection[str]) -> str:
    """A name with its numbers left open, where that matches no module of another kind."""
    exact = re.escape(name)
    open_ = re.sub(r"\\\.\d+(?=\\\.|$)", r"\\.\\d+", exact)
    return open_ if {each for each in modules if re.fullmatch(open_, each)} <= set(linear) else exact
