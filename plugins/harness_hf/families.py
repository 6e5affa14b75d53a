"""What is known of a family beyond what its folder says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a family's folder does not say.

    Attributes:
        max_images: most images that it was made for; None where its template says enough.
        turn: how it is asked where it has no chat template, see `harness.local.Form`.
        note: what a person who reads its numbers should know.
    """

    max_images: int | None = None
    turn: str = ""
    note: str = ""


#: By the model type of the configuration.
KNOWN: Final = {
    "paligemma": Known(max_images=1, turn="{images}answer en {question}"),
    "blip-2": Known(max_images=1, turn="Question: {question} Answer:"),
    "instructblip": Known(max_images=1, turn="{question}"),
    "mllama": Known(
        note="Llama 3.2 Vision was trained on one image a prompt: more are all given to it, in order, "
        "but what it makes of them is no measure of others"
    ),
}
NOTHING: Final = Known()


def known(model_type: str) -> Known:
    """What is known of a model's family."""
    return KNOWN.get(model_type, NOTHING)
