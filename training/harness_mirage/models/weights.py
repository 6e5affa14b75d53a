"""Whether the files of a model's weights are all there and whole, found out from their names, heads and sizes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from harness import HarnessError

_WHOLE: Final = ("model.safetensors", "pytorch_model.bin")  #: of one file; a model of several has an index beside it
_REMEDY: Final = "fetch or save the model again"
_HEAD: Final = 8  #: bytes of the length of a head


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
        if file.suffix == ".safetensors":
            _check_whole(file)


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
    try:
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(_HEAD), "little")
            head: dict[str, Any] = json.loads(opened.read(min(length, file.stat().st_size)))
        ends = [each["data_offsets"][1] for name, each in head.items() if name != "__metadata__"]
        wanted, found = _HEAD + length + max(ends, default=0), file.stat().st_size
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise HarnessError(f"not a whole file of weights: {error}", where=str(file), remedy=_REMEDY) from None
    if found < wanted:
        what = f"the file of weights is cut short: {found:,} bytes of {wanted:,}"
        raise HarnessError(what, where=str(file), remedy=_REMEDY)
