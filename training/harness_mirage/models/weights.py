"""A model's files: the folder behind the name that a user gave, and its weights without loading them.

`check_weights` and `list_tensors` read the heads of the files alone: whether all are there and whole, and in which
number format each tensor is stored.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness import HarnessError, plugins
from harness.fingerprint import refuse_unfinished
from harness.local import ADAPTER_CONFIG, CONFIG
from harness.settings import effective

_HUB: Final = "hf"  #: the scheme whose names are folders and hub ids
_WHOLE: Final = ("model.safetensors", "pytorch_model.bin")  #: of one file; a model of several has an index next to it
_REMEDY: Final = "fetch or save the model again"
_SAFE: Final = ".safetensors"
_HEAD: Final = 8  #: bytes of the length of a head
_FORMATS: Final = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}  #: safetensors -> torch


def find_model_folder(model: str) -> Path:
    """The folder of a model's weights, downloaded if it is a hub's.

    Args:
        model: a folder, SCHEME/NAME of a provider whose models have files here, or a hub id.

    Raises:
        HarnessError: no such model, a model without files, an adapter, or an unfinished training.
    """
    folder = Path(model).expanduser()
    if not folder.is_dir():
        scheme, _, name = model.partition("/")
        known = {provider.scheme for provider, _ in plugins.current().offers("models")}
        if scheme not in known or not name:
            scheme, name = _HUB, model
        provider = plugins.current().provider(scheme)
        if provider.folder is None:
            raise HarnessError(
                f"{scheme}/ has no files of its models here, so they cannot be trained",
                where=model,
                remedy="name a folder, a hub id, or hf/FOLDER_OR_ID",
            )
        folder = provider.folder(name, effective(provider.settings, {}, owner=f"{scheme}/"))
    refuse_unfinished(folder)
    if (folder / CONFIG).is_file():
        return folder
    if (folder / ADAPTER_CONFIG).is_file():  # what learns would sit on what was learnt
        raise HarnessError(
            "this folder holds an adapter, which cannot be the base of a training",
            where=str(folder),
            remedy="merge it first: train it with -S merge=true, or save what merge_and_unload() of peft gives",
        )
    raise HarnessError(f"this folder holds no {CONFIG}", where=str(folder), remedy="name the folder of a saved model")


def check_weights(folder: Path) -> None:
    """Check that a folder's weights could be loaded; none is read.

    Raises:
        HarnessError: a file of them is missing, or ends too early.
    """
    files = _list_files(folder)
    if missing := [file.name for file in files if not file.is_file()]:
        some = f"{', '.join(missing[:3])}{', …' if len(missing) > 3 else ''}"
        raise HarnessError(f"{len(missing)} files of weights are missing: {some}", where=str(folder), remedy=_REMEDY)
    for file in files:
        if file.suffix != _SAFE:
            continue
        length, tensors = _read_head(file)
        try:
            ends = max((int(each["data_offsets"][1]) for each in tensors.values()), default=0)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise _head_error(file, error) from None
        found, wanted = file.stat().st_size, _HEAD + length + ends
        if found < wanted:
            what = f"the file of weights is cut short: {found:,} bytes of {wanted:,}"
            raise HarnessError(what, where=str(file), remedy=_REMEDY)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTensor:
    """A tensor in a file of weights.

    Attributes:
        format: number format as torch names it; empty if it is no plain float.
        file: that holds it.
    """

    format: str
    file: Path

    def load(self, name: str) -> Any:
        """The stored tensor; None if its whole file would have to be read for it."""
        from .untyped import safetensors

        if self.file.suffix != _SAFE:
            return None
        with safetensors.safe_open(self.file, framework="pt") as opened:
            return opened.get_tensor(name)


def list_tensors(folder: Path) -> dict[str, StoredTensor]:
    """The stored tensors of a model by their names. Raises HarnessError if a file is missing or holds no weights."""
    found: dict[str, StoredTensor] = {}
    for file in _list_files(folder):
        if file.suffix == _SAFE:
            formats = {name: _FORMATS.get(str(each["dtype"]), "") for name, each in _read_head(file)[1].items()}
        else:
            from .untyped import torch

            held: dict[str, Any] = torch.load(file, map_location="meta", weights_only=True)
            names = {name: str(each.dtype).rpartition(".")[2] for name, each in held.items()}
            formats = {name: each if each in _FORMATS.values() else "" for name, each in names.items()}
        found |= {name: StoredTensor(format=each, file=file) for name, each in formats.items()}
    return found


def _list_files(folder: Path) -> list[Path]:
    """The files that hold the weights, in the order in which transformers looks for them."""
    for name in _WHOLE:
        index = folder / f"{name}.index.json"
        if (folder / name).is_file():
            return [folder / name]
        if index.is_file():
            try:
                named: dict[str, str] = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
                return [folder / each for each in sorted({str(name) for name in named.values()})]
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                raise HarnessError(f"not an index of weights: {error}", where=str(index), remedy=_REMEDY) from None
    raise HarnessError("no file of weights is in this folder", where=str(folder), remedy=_REMEDY)


def _read_head(file: Path) -> tuple[int, dict[str, Any]]:
    """The head of a file of safetensors: its length, and what it says of each tensor. Raises HarnessError."""
    try:
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(_HEAD), "little")
            head: dict[str, Any] = json.loads(opened.read(min(length, file.stat().st_size)))
        return length, {name: each for name, each in head.items() if name != "__metadata__"}
    except (OSError, ValueError, AttributeError) as error:
        raise _head_error(file, error) from None


def _head_error(file: Path, error: Exception) -> HarnessError:
    return HarnessError(f"not a whole file of weights: {error}", where=str(file), remedy=_REMEDY)
