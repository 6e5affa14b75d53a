"""MIRage and its baselines: safety fine-tuning of vision-language models, as declarative methods on TRL.

A method is a mixture of data, what is trained, and a recipe. A plugin of one file adds one:

    from harness_mirage import Ingredient, Method, trainer

    @hookimpl
    def harness_trainers():
        return [trainer(Method(name="mine", description="…", ingredients=(Ingredient(name="", layout="sharegpt"),)))]

Source: Rethinking Bottlenecks in Safety Fine-Tuning of Vision Language Models, arXiv 2501.18533.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from harness import hookimpl

if TYPE_CHECKING:
    from harness import Trainer

    from .methods import Ingredient, Method
    from .trainers import trainer

__all__ = ["Ingredient", "Method", "harness_trainers", "trainer"]


@hookimpl
def harness_trainers() -> Iterable[Trainer]:
    """Offer MIRage, its ablations, the paper's baselines, and what users write down themselves."""
    from .methods import METHODS
    from .trainers import build_own_trainer, trainer

    return (*(trainer(method) for method in METHODS), build_own_trainer())


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(".trainers" if name == "trainer" else ".methods", __name__), name)
