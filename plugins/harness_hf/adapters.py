"""A LoRA adapter on a model: all of it, or an error that says what does not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness import HarnessError, Json
from harness.fingerprint import of_folder
from harness.local import ADAPTER_CONFIG, CONFIG


def adapt(model: Any, folder: Path, name: str) -> tuple[dict[str, Json], str]:
    """Put a folder's adapter on the model.

    Layers of one name and size are no proof: an adapter of Qwen2-VL goes onto Qwen2.5-VL without a word. So what the
    adapter says of its base is looked at too.

    Args:
        model: of transformers.
        folder: that peft saved.
        name: of the model.

    Returns:
        The adapter's fingerprint, and what a person should read where its base bears another name; else "".

    Raises:
        HarnessError: the folder holds no adapter, a broken one, or one of another model.
    """
    base = _base(model, folder)
    try:
        found = model.load_adapter(str(folder))
    except (ValueError, RuntimeError) as error:  # none of the layers it names is there, or they are of another size
        sizes = "mismatched_sizes" in str(error)  # transformers points to a report that it logged
        raise _misfit(folder, "its weights are of another size" if sizes else _first_line(error)) from error
    except Exception as error:
        raise _broken(folder, f"{type(error).__name__}: {_first_line(error)}") from error
    strange = sorted({*found.missing_keys, *found.unexpected_keys, *found.mismatched_keys})
    if strange:
        raise _misfit(folder, f"{len(strange)} weights, such as {strange[0]}")
    other = base and Path(base).name != Path(name).name
    return of_folder(folder), f"the adapter says that it was trained on {Path(base).name}" if other else ""


def _base(model: Any, folder: Path) -> str:
    """The base that an adapter names. Raises HarnessError where that is another kind of model."""
    if not (folder / ADAPTER_CONFIG).is_file():
        merged = (folder / CONFIG).is_file()
        raise HarnessError(
            "this folder holds a whole model, not an adapter" if merged else f"this folder holds no {ADAPTER_CONFIG}",
            where=str(folder),
            remedy=f"--model hf/{folder}, without -M adapter" if merged else "name a folder saved by peft",
        )
    try:
        said: dict[str, Any] = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))
        mapping: dict[str, str] = said.get("auto_mapping") or {}
        made_for = mapping.get("base_model_class", "")
        base = str(said.get("base_model_name_or_path") or "")
    except (OSError, ValueError, AttributeError) as error:
        raise _broken(folder, f"{ADAPTER_CONFIG}: {_first_line(error)}") from error
    if made_for and made_for not in {kind.__name__ for kind in type(model).__mro__}:
        raise _misfit(folder, f"it was made for a {made_for}, this is a {type(model).__name__}")
    kind = _kind(base)
    if kind and kind != model.config.model_type:
        raise _misfit(folder, f"its base is of type {kind}, this model of type {model.config.model_type}")
    return base


def _kind(base: str) -> str:
    """The model type of a base that still lies where it was; else empty."""
    try:
        said: dict[str, Any] = json.loads((Path(base) / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(said.get("model_type", ""))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def _misfit(folder: Path, detail: str) -> HarnessError:
    return HarnessError(
        f"the adapter does not fit this model: {detail}", where=str(folder), remedy="name the model it was trained on"
    )


def _broken(folder: Path, detail: str) -> HarnessError:
    return HarnessError(f"the adapter cannot be read: {detail}", where=str(folder), remedy="save it again by peft")
