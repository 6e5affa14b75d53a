"""Loads a model: onto which device, in which number format, with all its weights and nothing made up."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from harness import HarnessError, Json, Settings
from harness.local import Frontend, Origin, Profile, find, find_profile
from harness.local.devices import find_device, free_cache
from harness_hf import INSTALL
from harness_hf.adapters import adapt
from harness_hf.encoding import Batch
from harness_hf.families import Known, known
from harness_hf.knobs import limit
from harness_hf.untyped import transformers
from harness_hf.weights import load_weights, own_class


@dataclass(slots=True, kw_only=True)
class Loaded:
    """A model in memory.

    Attributes:
        model: of transformers; gone after `release`.
        frontend: its processor or tokenizer.
        device: where it is.
        origin: where it came from.
        fingerprint: of the model and its adapter.
        known: what is known of its family.
        profile: how a paper ran its family; None where none is asked for.
        note: what a person should read of its adapter; empty where there is nothing to say.
    """

    model: Any
    frontend: Frontend
    device: torch.device
    origin: Origin
    fingerprint: dict[str, Json]
    known: Known
    profile: Profile | None
    note: str

    @property
    def context(self) -> int | None:
        """Most tokens of prompt and answer together; None where the model does not say."""
        found: int | None = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        return found

    def to_device(self, batch: Batch) -> Batch:
        """The batch where the model is, its pixels in the model's number format."""
        dtype: torch.dtype = self.model.dtype

        def moved(value: Any) -> Any:
            if isinstance(value, (list, tuple)):
                return [moved(each) for each in cast("Sequence[Any]", value)]
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
    profile = _profile(config, settings)
    frontend, kind = _opened(origin, config, common)
    limit(getattr(frontend.processor, "image_processor", None), settings, profile)
    dtype = settings["dtype"]
    if dtype == "auto" and profile is not None:
        dtype = profile.dtype.value or "auto"
    model = load_weights(kind, origin, settings, device, dtype=dtype, **common)
    fingerprint, note = dict(origin.fingerprint), ""
    if settings["adapter"] is not None:
        fingerprint["adapter"], note = adapt(model, Path(settings["adapter"]).expanduser(), origin.name)
    return Loaded(
        model=model.eval(),
        frontend=frontend,
        device=device,
        origin=origin,
        fingerprint=fingerprint,
        known=known(config.model_type),
        profile=profile,
        note=note,
    )


def _profile(config: Any, settings: Settings) -> Profile | None:
    if settings["profile"] is None:
        return None
    language = getattr(config.get_text_config(), "model_type", "")
    return find_profile(settings["profile"], config.model_type, language)


def _opened(origin: Origin, config: Any, common: dict[str, Any]) -> tuple[Frontend, Any]:
    """What stands before the model, and the class of the model."""
    if type(config) in transformers.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        processor = transformers.AutoProcessor.from_pretrained(origin.place, **common)
        return Frontend(processor, vlm=True), transformers.AutoModelForImageTextToText
    kind = own_class(config, origin, **common) if common["trust_remote_code"] else None
    if kind is None:
        tokenizer = transformers.AutoTokenizer.from_pretrained(origin.place, **common)
        return Frontend(tokenizer, vlm=False), transformers.AutoModelForCausalLM
    try:
        processor = transformers.AutoProcessor.from_pretrained(origin.place, **common)
    except (OSError, ValueError):  # there is none
        processor = transformers.AutoTokenizer.from_pretrained(origin.place, **common)
    vlm = hasattr(processor, "tokenizer") and hasattr(processor, "image_processor")
    if not vlm and getattr(config, "vision_config", None) is not None:
        raise HarnessError(
            "the model sees, but comes without a processor: its code answers through a method of its own only",
            where=f"hf/{origin.name}",
            remedy=f"--model vllm/{origin.name} -M trust_remote_code=true, or its port to transformers",
        )
    return Frontend(processor, vlm=vlm), kind


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
