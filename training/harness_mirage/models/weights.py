"""What the files of a model's weights say without being read: whether they are all there and whole, and in which number
format each tensor is stored.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness import HarnessError

from .untyped import Untyped, safetensors, torch

_WHOLE: Final = ("model.safetensors", "pytorch_model.bin")  #: of one file; a model of several has an index beside it
_REMEDY: Final = "fetch or save the model again"
_SAFE: Final = ".safetensors"
_HEAD: Final = 8  #: bytes of the length of a head
_FORMATS: Final = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}  #: safetensors -> torch


def check_weights(folder: Path) -> None:
    """Whether a folder's weights could be loaded; none is read.

    Raises:
        HarnessError: a file of them is missing, or ends too early.
    """
    files = _named(folder)
    if missing := [file.name for file in files if not file.is_file()]:
        some = f"{', '.join(missing[:3])}{', …' if len(missing) > 3 else ''}"
        raise HarnessError(f"{len(missing)} files of weights are missing: {some}", where=str(folder), remedy=_REMEDY)
    for file in files:
        if file.suffix == _SAFE:
            _check_whole(file)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A tensor in a file of weights.

    Attributes:
        format: number format as torch names it; empty where it is no plain float.
        file: that holds it.
    """

    format: str
    file: Path

    def tensor(self, name: str) -> Untyped:
        """The tensor as it is stored; None out of a file that must be read whole for it."""
        if self.file.suffix != _SAFE:
            return None
        with safetensors.safe_open(self.file, framework="pt") as opened:
            return opened.get_tensor(name)


def stored(folder: Path) -> dict[str, Stored]:
    """The stored tensors of a model by their names.

    Raises:
        HarnessError: a file of them is missing, or is none.
    """
    found: dict[str, Stored] = {}
    for file in _named(folder):
        if file.suffix == _SAFE:
            kinds = {name: _FORMATS.get(str(each["dtype"]), "") for name, each in _tensors(file).items()}
        else:
            held: dict[str, Untyped] = torch.load(file, map_location="meta", weights_only=True)
            kinds = {name: str(each.dtype).rpartition(".")[2] for name, each in held.items()}
        plain = _FORMATS.values()
        found |= {name: Stored(format=kind if kind in plain else "", file=file) for name, kind in kinds.items()}
    return found


def _named(folder: Path) -> list[Path]:
    """The files that hold the weights, in the order in which transformers looks for them."""
    for name in _WHOLE:
        index = folder / f"{name}.index.json"
        if (folder / name).is_file():
            return [folder / name]
        if index.is_file():
            return [folder / each for each in _shards(index)]
    raise HarnessError("no file of weights is in this folder", where=str(folder), remedy=_REMEDY)


def _shards(index: Path) -> list[str]:
    try:
        named: dict[str, str] = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        return sorted({str(name) for name in named.values()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise HarnessError(f"not an index of weights: {error}", where=str(index), remedy=_REMEDY) from None


def _check_whole(file: Path) -> None:
    """A file of safetensors says at its beginning where its last tensor ends."""
    tensors, found = _tensors(file), file.stat().st_size
    try:
        ends = max((int(each["data_offsets"][1]) for each in tensors.values()), default=0)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise _no_weights(file, error) from None
    with file.open("rb") as opened:
        wanted = _HEAD + int.from_bytes(opened.read(_HEAD), "little") + ends
    if found < wanted:
        what = f"the file of weights is cut short: {found:,} bytes of {wanted:,}"
        raise HarnessError(what, where=str(file), remedy=_REMEDY)


def _tensors(file: Path) -> dict[str, Any]:
    """The head of a file of safetensors: name of a tensor -> what is said of it. Raises HarnessError."""
    try:
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(_HEAD), "little")
            head: dict[str, Any] = json.loads(opened.read(min(length, file.stat().st_size)))
        return {name: each for name, each in head.items() if name != "__metadata__"}
    except (OSError, ValueError, AttributeError) as error:
        raise _no_weights(file, error) from None


def _no_weights(file: Path, error: Exception) -> HarnessError:
    return HarnessError(f"not a whole file of weights: {error}", where=str(file), remedy=_REMEDY)
