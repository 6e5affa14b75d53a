"""A LoRA adapter, checked against its base before the engine starts.

vLLM copies an adapter's weights into slots of the base's size, so it may apply an adapter of another size in part. It
leaves out, with only a warning, an adapter's changes outside the language model. Either would run another model under
this name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from harness import HarnessError, Json
from harness.fingerprint import hash_folder
from harness.local import ADAPTER_CONFIG
from harness.local.origin import broken_adapter_error, unfit_adapter_error

Shapes = Mapping[str, tuple[int, ...]]  # name of a weight -> its shape

_WEIGHTS: Final = "adapter_model.safetensors"
_RANKS: Final = (8, 16, 32, 64, 128, 256, 320, 512)  # ranks of vLLM's slots
_PART: Final = re.compile(r"(?:base_model\.model\.)?(.+)\.lora_(A|B)(?:\.\w+)?\.weight")
_LAYER: Final = re.compile(r"(?:.*\.)?(layers\.\d+\..+)")
_OUTSIDE: Final = re.compile(
    r"(^|\.)(visual|vision\w*|image\w*|\w*projector|mlp1|connector|aligner|merger|resampler|vpm)\."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """A LoRA adapter that fits its base.

    Attributes:
        folder: its folder.
        rank: the smallest vLLM rank that fits it.
        fingerprint: hashes of its files.
    """

    folder: Path
    rank: int
    fingerprint: dict[str, Json]


def read_adapter(folder: Path) -> Adapter:
    """The adapter in a folder. Raises HarnessError if vLLM cannot use one there."""
    config = folder / ADAPTER_CONFIG
    if not config.is_file() or not (folder / _WEIGHTS).is_file():
        missing = _WEIGHTS if config.is_file() else ADAPTER_CONFIG
        raise HarnessError(f"this folder holds no {missing}", where=str(folder), remedy="name a folder saved by peft")
    try:
        values: dict[str, Any] = json.loads(config.read_bytes())
        ranks: dict[str, int] = values.get("rank_pattern") or {}
        largest = max([int(values["r"]), *map(int, ranks.values())])  # of any layer
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise broken_adapter_error(folder, f"{ADAPTER_CONFIG}: {type(error).__name__}: {error}") from error
    rank = next((each for each in _RANKS if each >= largest), None)
    if rank is None:
        raise HarnessError(f"the adapter's rank is {largest}, vLLM takes at most {_RANKS[-1]}", where=str(folder))
    return Adapter(folder=folder, rank=rank, fingerprint=hash_folder(folder))


def check_adapter(adapter: Adapter, base: Path) -> None:
    """Compare an adapter's weights with those of its base, if they are in a folder.

    Raises:
        HarnessError: it is broken, was made for another model, or changes weights that vLLM leaves out.
    """
    try:
        parts = read_shapes([adapter.folder / _WEIGHTS])
    except Exception as error:  # safetensors raises its own, unnamed error
        raise broken_adapter_error(adapter.folder, f"{_WEIGHTS}: {error}") from error
    if outside := sorted(name for name in parts if _OUTSIDE.search(name)):
        raise HarnessError(
            f"the adapter also changes weights outside the language model, such as {outside[0]}, which vLLM leaves out",
            where=str(adapter.folder),
            remedy="use --model hf/… -M adapter=…, which applies all of it; or merge it into its base",
        )
    known = read_shapes(sorted(base.glob("*.safetensors")))
    if known and (misfit := _find_misfit(parts, known)):
        raise unfit_adapter_error(adapter.folder, misfit)


def read_shapes(files: Iterable[Path]) -> Shapes:
    """Names and shapes of the weights in safetensors files; only their headers are read."""
    safetensors = import_module("safetensors")
    shapes: dict[str, tuple[int, ...]] = {}
    for file in files:
        with safetensors.safe_open(file, framework="numpy") as weights:
            for name in weights.keys():  # noqa: SIM118 - a handle, not a mapping
                shapes[name] = tuple(weights.get_slice(name).get_shape())
    return shapes


def _find_misfit(parts: Shapes, base: Shapes) -> str:
    """The first part of an adapter that does not fit its base; empty if all fits."""
    by_layer: dict[str, list[tuple[int, ...]]] = {}
    for name, shape in base.items():
        by_layer.setdefault(_layer(name.rpartition(".")[0]), []).append(shape)
    for name, shape in parts.items():
        part = _PART.fullmatch(name)
        if part is None:
            continue
        there = by_layer.get(_layer(part[1]))
        if there is None:
            return f"it has no {part[1]}"
        size, at = (shape[1], 1) if part[2] == "A" else (shape[0], 0)
        plain = [each for each in there if len(each) == 2]  # a quantised weight has another shape
        if plain and all(each[at] != size for each in plain):
            return f"{part[1]} has another size"
    return ""


def _layer(module: str) -> str:
    """A module's name from its layer on: the part before it differs between versions of transformers."""
    found = _LAYER.fullmatch(module)
    return found[1] if found else module
