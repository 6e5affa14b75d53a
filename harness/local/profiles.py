"""How a paper ran each family of models: `-M profile=mis-paper`.

From the scripts of the MIS paper (github.com/DripNowhy/MIS at 9cd94ec, folder evaluation). Each value says where it
comes from: `published` is in the scripts and does what it says, `effective` is what they really did if that differs,
`ours` is our choice if they say nothing. A value of None keeps what the model comes with.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final, Generic, Literal, TypeVar

from harness.errors import HarnessError
from harness.local.prompts import PromptFormat

Basis = Literal["published", "effective", "ours"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Value(Generic[T]):
    """One value of a profile.

    Attributes:
        value: None keeps what the model comes with.
        basis: where it comes from.
        why: what a reader should know about it.
    """

    value: T | None
    basis: Basis
    why: str = ""


_OWN: Final[Value[Any]] = Value(value=None, basis="published")
_TOKENS: Final[Value[int]] = Value(value=1024, basis="published")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How one family was run.

    Attributes:
        family: as people call it.
        model_types: of a model's config; `llava/qwen2` also names its language model.
        line: what stands for an image, see `PromptFormat`.
        turn: the whole prompt, see `PromptFormat`.
        max_pixels: of an image's area.
        max_patches: tiles an image is cut into.
        longest_edge: of an image, in pixels.
        ends: tokens that end an answer, next to the model's own; those that it does not have are left out.
        dtype: number format of the weights.
        max_tokens: of an answer; a request that allows fewer keeps its own limit.
    """

    family: str
    model_types: tuple[str, ...]
    line: Value[str] = _OWN
    turn: Value[str] = _OWN
    max_pixels: Value[int] = _OWN
    max_patches: Value[int] = _OWN
    longest_edge: Value[int] = _OWN
    ends: Value[tuple[str, ...]] = _OWN
    dtype: Value[str] = _OWN
    max_tokens: Value[int] = _TOKENS

    @property
    def form(self) -> PromptFormat:
        """How images and questions are written."""
        return PromptFormat(line=self.line.value or "", turn=self.turn.value or "")

    def rows(self) -> list[tuple[str, Value[object]]]:
        """Every value by its name, in order."""
        named = [(field.name, getattr(self, field.name)) for field in fields(self)]
        return [(name, value) for name, value in named if isinstance(value, Value)]

    def describe(self) -> str:
        """The values that change something, on one line, each with where it comes from."""
        rows = [f"{name} {value.value!r} ({value.basis})" for name, value in self.rows() if value.value is not None]
        return f"profile {MIS_PAPER}, {self.family}: {', '.join(rows)}"


MIS_PAPER: Final = "mis-paper"
_NUMBERED: Final[Value[str]] = Value(value="Image-{i}: {image}\n\n", basis="published")

MIS: Final = (
    Profile(
        family="Qwen2-VL",
        model_types=("qwen2_vl",),
        max_pixels=Value(
            value=None,
            basis="effective",
            why="256·28·28 to 1280·28·28 are given to a processor that only renders the text",
        ),
    ),
    Profile(
        family="InternVL2.5",
        model_types=("internvl", "internvl_chat"),
        line=_NUMBERED,
        max_patches=Value(value=4, basis="published"),
        ends=Value(value=("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|end|>"), basis="published"),
    ),
    Profile(
        family="Idefics3",
        model_types=("idefics3",),
        line=_NUMBERED,
        turn=Value(
            value="<|begin_of_text|>User:{images}{question}<end_of_utterance>\nAssistant:",
            basis="published",
            why="one start token: whether theirs had two depends on their version of vLLM",
        ),
        longest_edge=Value(value=4 * 364, basis="published"),
        dtype=Value(value="bfloat16", basis="published"),
    ),
    Profile(
        family="LLaVA-OneVision",
        model_types=("llava_onevision",),
        turn=Value(
            value=None,
            basis="effective",
            why="the 72B's own branch is never reached, since its id holds qwen2; no script for the 7B",
        ),
    ),
    Profile(
        family="LLaVA-NeXT-Interleave",
        model_types=("llava/qwen2",),
        line=Value(value="{image}\n", basis="published"),
        turn=Value(
            value="<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
            "<|im_start|>user\n{images}{question}<|im_end|>\n<|im_start|>assistant\n",
            basis="published",
            why="conversation qwen_1_5 of the llava package",
        ),
        dtype=Value(value="float16", basis="published"),
    ),
    Profile(
        family="Phi-3.5-Vision",
        model_types=("phi3_v",),
        line=Value(value="<|image_{i}|>\n", basis="published"),
        turn=Value(value="<|user|>\n{images}{question}<|end|>\n<|assistant|>\n", basis="published"),
        max_patches=Value(value=None, basis="effective", why="4 is given by a name that its processor does not have"),
    ),
    Profile(
        family="DeepSeek-VL2",
        model_types=("deepseek_vl_v2",),
        line=Value(value="{image}\n", basis="published"),
        turn=Value(
            value="<|User|>: {images}{question}\n\n<|Assistant|>:",
            basis="effective",
            why="as vLLM's example for this model writes their conversation",
        ),
        dtype=Value(value="bfloat16", basis="published"),
        max_tokens=Value(
            value=512, basis="published", why="the end token stays in their answers, and failed rows are dropped"
        ),
    ),
    Profile(
        family="MiniCPM-V",
        model_types=("minicpmv",),
        turn=Value(value=None, basis="ours", why="no script is published for this family"),
        max_tokens=Value(value=1024, basis="ours", why="as for the others"),
    ),
)
PROFILES: Final = {MIS_PAPER: MIS}


def find_profile(name: str, model_type: str, language: str = "") -> Profile:
    """The profile of a model.

    Args:
        name: of the profile.
        model_type: of the model's config.
        language: model type of its language model.

    Raises:
        HarnessError: there is no such profile, or the family is not in it.
    """
    if name not in PROFILES:
        raise HarnessError(f"there is no profile {name!r}", remedy=f"known: {', '.join(PROFILES)}")
    profiles = PROFILES[name]
    for profile in profiles:
        if {model_type, f"{model_type}/{language}"}.intersection(profile.model_types):
            return profile
    known = ", ".join(f"{profile.family} ({', '.join(profile.model_types)})" for profile in profiles)
    raise HarnessError(
        f"profile {name} has no values for models of type {model_type}", remedy=f"leave it out; it knows {known}"
    )
