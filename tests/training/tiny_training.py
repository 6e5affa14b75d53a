"""Small trainings: records of drawings, recipes, and what a training of one is asked for."""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from harness_mirage.methods import MULTIMODAL, Ingredient, Method
from harness_mirage.mixture import Mixture, Picture, Record, Turn
from harness_mirage.recipe import Recipe, Sourced

from harness import Training
from harness.drawings import COLORS, SHAPES, draw, png
from harness.images import inline_image

if TYPE_CHECKING:
    from harness_mirage.sft.trainer import Fitted

Fit = Callable[..., Any]  #: the fixture `fit`
SIZES = (64, 48, 96)
METHOD = Method(name="tiny", description="of a test", ingredients=(Ingredient(layout="sharegpt"),), trained=MULTIMODAL)
#: the architectures that training knows, by the name of their small model
KNOWN = (
    *("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "internvl", "llava_onevision", "llava_next", "llava_interleave"),
    *("idefics3", "smolvlm", "gemma3"),
)


@functools.cache
def load_trainer() -> None:
    """Import what a training needs, and leave it out of garbage collections.

    Each training ends with a collection, which takes longer than the training while it looks at all these libraries.
    """
    import torch
    from harness_mirage.models import base
    from harness_mirage.sft import trainer

    assert base
    assert trainer
    torch.set_num_threads(1)
    gc.collect()
    gc.freeze()


def picture(number: int) -> Picture:
    rng = Random(number)
    drawn = draw(rng.choice(list(COLORS)), rng.choice(list(SHAPES)), rng, size=SIZES[number % len(SIZES)])
    return Picture(path=f"{number}.png", files=inline_image(f"{number}.png", png(drawn)).files)


def record(number: int, *texts: str, pictures: Sequence[Picture] = (), system: str = "") -> Record:
    """A conversation: what the user and the assistant say in turn."""
    turns = [Turn(speaker="assistant" if at % 2 else "user", text=text) for at, text in enumerate(texts)]
    first = [Turn(speaker="system", text=system)] if system else []
    return Record(
        id=str(number),
        source="tiny",
        place=f"tiny.json: record {number}",
        turns=(*first, *turns),
        pictures=tuple(pictures),
    )


def pair(number: int) -> Record:
    """A question about two images."""
    answer = "Yes, you may." if number % 2 else "No, that is not safe."
    return record(
        number,
        f"<image>\n<image>\nMay I, case {number}?",
        answer,
        pictures=(picture(2 * number), picture(2 * number + 1)),
    )


def kinds() -> list[Record]:
    """One record of each kind a mixture may hold: two images, one inside the text, words only, several turns."""
    return [
        pair(0),
        record(1, "What is <image> for?", "For fun.", pictures=(picture(7),)),
        record(2, "Only words.", "Fine."),
        record(3, "<image>\nFirst?", "One.", "And <image>? One.", "Two.", pictures=(picture(8), picture(9))),
    ]


def mixture(records: Sequence[Record], digest: str = "of-a-test") -> Mixture:
    return Mixture(records=records, parts=(), digest=digest)


def recipe(roles: dict[str, str] | None = None, **values: Any) -> Recipe:
    """A recipe that learns fast; `values` in place of its own."""
    own: dict[str, Any] = {"tuning": "full", "learning_rate": 1e-2, "warmup": 0.0, "schedule": "cosine", "epochs": 1.0}
    own |= {"batch": 2, "weight_decay": 0.0, "clip": 1.0, "max_length": None, "pixels": None, "precision": "fp32"}
    own |= {"checkpointing": False, "rank": 4, "alpha": 8, "dropout": 0.0, "optimizer": "adamw_torch"}
    sourced = {name: Sourced(value=value, source="ours") for name, value in (own | values).items()}
    return Recipe(name="tiny/tiny", roles=roles or {}, **sourced)


def training(model: str | Path, out: Path, *, seed: int = 0, resume: bool = True, **settings: Any) -> Training:
    return Training(model=str(model), data={}, out=out, seed=seed, resume=resume, settings=settings)


def fitted(
    asked: Training, records: Sequence[Record], how: Recipe | None = None, method: Method = METHOD, digest: str = "d"
) -> Fitted:
    """Open and fit."""
    load_trainer()
    from harness_mirage.models.base import open_base
    from harness_mirage.sft.trainer import fit

    how = how or recipe()
    return fit(open_base(asked, how), mixture(records, digest), how, asked, method)


def load_weights(folder: Path) -> dict[str, Any]:
    """The tensors of a saved model or adapter."""
    from safetensors.torch import load_file

    return {name: tensor for file in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(file).items()}
