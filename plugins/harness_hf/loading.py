"""Loads a model: onto which device, in which number format, with all its weights and nothing made up."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from harness import HarnessError, Json, Settings
from harness.fingerprint import of_folder
from harness.local import ADAPTER_CONFIG, Frontend, Origin, find
from harness_hf import INSTALL
from harness_hf.devices import find_device, free_cache
from harness_hf.encoding import Batch
from harness_hf.untyped import transformers


@dataclass(slots=True, kw_only=True)
class Loaded:
    """A model in memory.

    Attributes:
        model: of transformers; gone after `release`.
        frontend: its processor or tokenizer.
        device: where it is.
        origin: where it came from.
        fingerprint: of the model and its adapter.
    """

    model: Any
    frontend: Frontend
    device: torch.device
    origin: Origin
    fingerprint: dict[str, Json]

    @property
    def context(self) -> int | None:
        """Most tokens of prompt and answer together; None where the model does not say."""
        found: int | None = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        return found

    def to_device(self, batch: Batch) -> Batch:
        """The batch where the model is, its pixels in the model's number format."""
        dtype: torch.dtype = self.model.dtype

        def moved(value: object) -> object:
            if not isinstance(value, torch.Tensor):
                return value
            return value.to(self.device, dtype) if value.is_floating_point() else value.to(self.device)

        return {name: moved(value) for name, value in batch.items()}

    def release(self) -> None:
        """Give the memory back."""
        self.model = None
        gc.collect()
        free_cache()


def load(name: str, settings: Settings) -> Loaded:
    """Load `hf/NAME`.

    Raises:
        HarnessError: no such model, no such device, or transformers cannot open it.
    """
    device = find_device(settings["device"])
    origin = find(name, settings["revision"], scheme="hf", adapter="adapter")
    try:
        return _load(origin, device, settings)
    except HarnessError:
        raise
    except ImportError as error:
        raise HarnessError(f"the model needs a package: {error}", where=f"hf/{name}", remedy=INSTALL) from error
    except Exception as error:
        raise HarnessError(
            f"transformers cannot open this model: {_first_line(error)}",
            where=f"hf/{name}",
            remedy="see docs/providers/hf.md; code that comes with a model runs only with -M trust_remote_code=true",
        ) from error


def _load(origin: Origin, device: torch.device, settings: Settings) -> Loaded:
    common: dict[str, Any] = {"trust_remote_code": settings["trust_remote_code"]}
    if origin.commit:
        common["revision"] = origin.commit
    config = transformers.AutoConfig.from_pretrained(origin.place, **common)
    vlm = _sees(config)
    frontend = _frontend(origin, common, settings, vlm=vlm)
    model = _model(origin, common, settings, device, vlm=vlm)
    fingerprint = dict(origin.fingerprint)
    if settings["adapter"] is not None:
        fingerprint["adapter"] = _adapt(model, Path(settings["adapter"]).expanduser())
    return Loaded(
        model=model.eval().to(device), frontend=frontend, device=device, origin=origin, fingerprint=fingerprint
    )


def _sees(config: Any) -> bool:
    return type(config) in transformers.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING or (
        "AutoModelForImageTextToText" in (getattr(config, "auto_map", None) or {})
    )


def _frontend(origin: Origin, common: dict[str, Any], settings: Settings, *, vlm: bool) -> Frontend:
    kind = transformers.AutoProcessor if vlm else transformers.AutoTokenizer
    processor = kind.from_pretrained(origin.place, **common)
    for key, edge in (("min_pixels", "shortest_edge"), ("max_pixels", "longest_edge")):
        if settings[key] is not None:
            _limit(getattr(processor, "image_processor", None), key, edge, settings[key])
    return Frontend(processor, vlm=vlm)


def _limit(pictures: Any, key: str, edge: str, pixels: int) -> None:
    """Set one limit of a processor that counts in pixels: its `size` holds areas under the names of edges."""
    if key not in getattr(getattr(pictures, "valid_kwargs", None), "__annotations__", ()):
        raise HarnessError(f"the model's processor takes no {key}", remedy=f"leave out -M {key}")
    size = {name: pictures.size[name] for name in ("shortest_edge", "longest_edge")}
    pictures.size = type(pictures.size)(**{**size, edge: pixels})


def _model(origin: Origin, common: dict[str, Any], settings: Settings, device: torch.device, *, vlm: bool) -> Any:
    kind = transformers.AutoModelForImageTextToText if vlm else transformers.AutoModelForCausalLM
    more: dict[str, Any] = {} if device.type == "cpu" else {"device_map": str(device)}
    if settings["attn_implementation"] is not None:
        more["attn_implementation"] = settings["attn_implementation"]
    dtype = settings["dtype"] if settings["dtype"] == "auto" else getattr(torch, settings["dtype"])
    model, info = kind.from_pretrained(origin.place, dtype=dtype, output_loading_info=True, **common, **more)
    missing = sorted(info["missing_keys"])
    if missing:
        raise HarnessError(
            f"the checkpoint lacks {len(missing)} weights, which would be random: {', '.join(missing[:3])}, …",
            where=f"hf/{origin.name}",
            remedy="save the whole model, or name a LoRA folder by -M adapter=FOLDER",
        )
    return model


def _adapt(model: Any, folder: Path) -> dict[str, Json]:
    if not (folder / ADAPTER_CONFIG).is_file():
        raise HarnessError(
            f"this folder holds no {ADAPTER_CONFIG}", where=str(folder), remedy="name a folder saved by peft"
        )
    try:
        found = model.load_adapter(str(folder))
    except ValueError as error:  # none of the layers it names is there
        raise _misfit(folder, str(error)) from error
    strange = sorted({*found.missing_keys, *found.unexpected_keys})
    if strange:
        raise _misfit(folder, f"{len(strange)} weights, such as {strange[0]}")
    return of_folder(folder)


def _misfit(folder: Path, detail: str) -> HarnessError:
    return HarnessError(
        f"the adapter does not fit this model: {detail}", where=str(folder), remedy="name the model it was trained on"
    )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__


@contextlib.contextmanager
def quiet() -> Generator[None]:
    """transformers without its hints, and without progress bars where nobody watches."""
    logging = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    if not sys.stderr.isatty():
        logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
