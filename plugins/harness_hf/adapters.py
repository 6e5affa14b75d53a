"""A LoRA adapter on a model: all of it, or an error that says what does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness import HarnessError, Json
from harness.fingerprint import of_folder
from harness.local import ADAPTER_CONFIG, CONFIG


def adapt(model: Any, folder: Path) -> dict[str, Json]:
    """Put a folder's adapter on the model and give its fingerprint.

    Raises:
        HarnessError: the folder holds none, or one of another model.
    """
    if not (folder / ADAPTER_CONFIG).is_file():
        merged = (folder / CONFIG).is_file()
        raise HarnessError(
            "this folder holds a whole model, not an adapter" if merged else f"this folder holds no {ADAPTER_CONFIG}",
            where=str(folder),
            remedy=f"--model hf/{folder}, without -M adapter" if merged else "name a folder saved by peft",
        )
    try:
        found = model.load_adapter(str(folder))
    except (ValueError, RuntimeError) as error:  # none of the layers it names is there, or they are of another size
        raise _misfit(folder, _first_line(error)) from error
    strange = sorted({*found.missing_keys, *found.unexpected_keys, *getattr(found, "mismatched_keys", ())})
    if strange:
        raise _misfit(folder, f"{len(strange)} weights, such as {strange[0]}")
    return of_folder(folder)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def _misfit(folder: Path, detail: str) -> HarnessError:
    return HarnessError(
        f"the adapter does not fit this model: {detail}", where=str(folder), remedy="name the model it was trained on"
    )
