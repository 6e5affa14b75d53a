"""What would keep a training from its first step on this machine: asked by the plan, and before the training itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from harness import HarnessError, Training

from .estimate import check as check_memory
from .launching import check_launch
from .methods import Method
from .mixture import Mixture
from .models.opening import check_optimizer, check_quantized
from .models.weights import check_weights
from .output.place import check_out
from .recipe import Recipe
from .settings import asked
from .sft.arguments import check_log, check_merge
from .sft.fitting import identity
from .sft.measuring import Ruler, check_lengths
from .sft.scratch import Scratch
from .sft.scripts import Scribe
from .sizing import Outlook


def refusals(
    method: Method, training: Training, recipe: Recipe, mixture: Mixture, ahead: Outlook
) -> Iterator[HarnessError]:
    """Each reason why this machine, or what lies on it, does not let the training begin; what is cheap to see first."""
    checks: tuple[Callable[[], object], ...] = (
        partial(check_out, training),
        partial(check_log, training),
        partial(check_quantized, recipe),
        partial(check_optimizer, recipe),
        partial(_check_spread, training, ahead),
        partial(check_memory, ahead.size, recipe, ahead.devices, forced=asked(training, "device") == "cpu"),
        partial(check_weights, ahead.base.folder),
        partial(_check_partial, method, training, recipe, mixture, ahead),
        partial(_check_lengths, recipe, mixture, ahead),
    )
    for each in checks:
        try:
            each()
        except HarnessError as error:
            yield error


def _check_spread(training: Training, ahead: Outlook) -> None:
    check_merge(training, spread=ahead.devices.sharding != "none")
    if training.launch:
        check_launch(training)


def _check_partial(method: Method, training: Training, recipe: Recipe, mixture: Mixture, ahead: Outlook) -> None:
    scratch = Scratch.beside(training.out)
    if training.resume and scratch.identity.is_file():  # only then is a large base worth its hashes
        scratch.check(identity(ahead.base, mixture, recipe, training, method))


def _check_lengths(recipe: Recipe, mixture: Mixture, ahead: Outlook) -> None:
    base = ahead.base
    ruler, scribe = Ruler(base.frontend, base.mark, recipe.pixels.value), Scribe(base.frontend, base.chat, base.mark)
    check_lengths((ruler(each, scribe(each)) for each in mixture.records), recipe.max_length.value)
