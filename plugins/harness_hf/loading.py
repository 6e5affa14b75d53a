"""Loads a model onto its device in its number format, with its adapter; refuses missing weights."""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import json
import sys
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import torch
import transformers as _transformers

from harness import HarnessError, Json, Settings
from harness.extras import install_command
from harness.fingerprint import hash_folder
from harness.local import ADAPTER_CONFIG, CONFIG, Frontend, Origin, Profile, counts_area, find, find_profile
from harness.local.devices import find_device, free_cache
from harness.local.origin import broken_adapter_error, unfit_adapter_error

transformers: Any = _transformers  # untyped for a strict checker
Batch = dict[str, Any]  # arguments of the model's forward, mostly tensors
#: Keys under which a model with its own code names its class, the likeliest first.
_OWN_KINDS: Final = ("AutoModelForImageTextToText", "AutoModelForVision2Seq", "AutoModelForCausalLM", "AutoModel")
IMAGE_LIMITS: Final = ("min_pixels", "max_pixels", "max_patches", "longest_edge")


@dataclass(slots=True, kw_only=True)
class Loaded:
    """A model in memory.

    Attributes:
        model: the transformers model; None after `release`.
        frontend: its processor or tokenizer.
        device: its device.
        origin: where it came from.
        fingerprint: hashes of the model and its adapter.
        profile: how a paper ran its family; None if not requested.
        note: note about its adapter; empty for none.
    """

    model: Any
    frontend: Frontend
    device: torch.device
    origin: Origin
    fingerprint: dict[str, Json]
    profile: Profile | None
    note: str

    @property
    def context(self) -> int | None:
        """Most tokens of prompt and answer together; None if the model does not say."""
        found: int | None = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        return found

    def to_device(self, batch: Batch) -> Batch:
        """The batch on the model's device, its pixels in the model's number format."""
        dtype: torch.dtype = self.model.dtype

        def move(value: Any) -> Any:
            if isinstance(value, (list, tuple)):
                return [move(each) for each in cast("Sequence[Any]", value)]
            if not isinstance(value, torch.Tensor):
                return value
            return value.to(self.device, dtype) if value.is_floating_point() else value.to(self.device)

        return {name: move(value) for name, value in batch.items()}

    def release(self) -> None:
        """Free the memory."""
        self.model = None
        gc.collect()
        free_cache()


def load(name: str, settings: Settings) -> Loaded:
    """Load `hf/NAME`.

    Raises:
        HarnessError: the model or device does not exist, or transformers cannot open it.
    """
    device = find_device(settings["device"])
    origin = find(name, settings["revision"], scheme="hf", adapter="adapter")
    try:
        return _load_from(origin, device, settings)
    except HarnessError:
        raise
    except ImportError as error:
        what = f"the model needs a package: {error}"
        raise HarnessError(what, where=f"hf/{name}", remedy=install_command("hf")) from error
    except Exception as error:
        lines = str(error).strip().splitlines()
        reason = f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__
        raise HarnessError(
            f"transformers cannot open this model: {reason}",
            where=f"hf/{name}",
            remedy="see docs/providers/hf.md; a model's own code runs only with -M trust_remote_code=true",
        ) from error


def _load_from(origin: Origin, device: torch.device, settings: Settings) -> Loaded:
    common: dict[str, Any] = {"trust_remote_code": settings["trust_remote_code"]}
    if origin.commit:
        common["revision"] = origin.commit
    config = transformers.AutoConfig.from_pretrained(origin.place, **common)
    profile, dtype = None, settings["dtype"]
    if settings["profile"] is not None:
        language = getattr(config.get_text_config(), "model_type", "")
        profile = find_profile(settings["profile"], config.model_type, language)
        dtype = (profile.dtype.value or "auto") if dtype == "auto" else dtype
    frontend, kind = _open_frontend(origin, config, common)
    limit_images(getattr(frontend.processor, "image_processor", None), settings, profile)
    model = _load_weights(kind, origin, settings, device, dtype, common)
    fingerprint, note = dict(origin.fingerprint), ""
    if settings["adapter"] is not None:
        fingerprint["adapter"], note = _load_adapter(model, Path(settings["adapter"]).expanduser(), origin.name)
    return Loaded(
        model=model.eval(),
        frontend=frontend,
        device=device,
        origin=origin,
        fingerprint=fingerprint,
        profile=profile,
        note=note,
    )


def _open_frontend(origin: Origin, config: Any, common: Mapping[str, Any]) -> tuple[Frontend, Any]:
    """The model's processor or tokenizer, and the class of the model."""
    if type(config) in transformers.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        processor = transformers.AutoProcessor.from_pretrained(origin.place, **common)
        return Frontend(processor, vlm=True), transformers.AutoModelForImageTextToText
    named: dict[str, str] = (getattr(config, "auto_map", None) or {}) if common["trust_remote_code"] else {}
    own = next((named[kind] for kind in _OWN_KINDS if kind in named), None)
    if own is None:
        tokenizer = transformers.AutoTokenizer.from_pretrained(origin.place, **common)
        return Frontend(tokenizer, vlm=False), transformers.AutoModelForCausalLM
    load_class = transformers.dynamic_module_utils.get_class_from_dynamic_module
    kind = load_class(own, origin.place, revision=common.get("revision"))
    try:
        processor = transformers.AutoProcessor.from_pretrained(origin.place, **common)
    except (OSError, ValueError):  # there is none
        processor = transformers.AutoTokenizer.from_pretrained(origin.place, **common)
    vlm = hasattr(processor, "tokenizer") and hasattr(processor, "image_processor")
    if not vlm and getattr(config, "vision_config", None) is not None:
        raise HarnessError(
            "the model takes images, but has no processor: only a method of its own code can ask it",
            where=f"hf/{origin.name}",
            remedy=f"use --model vllm/{origin.name} -M trust_remote_code=true, or its port to transformers",
        )
    return Frontend(processor, vlm=vlm), kind


def limit_images(image_processor: Any, settings: Mapping[str, Any], profile: Profile | None) -> None:
    """Limit the size of images by the settings, else by the profile.

    Args:
        image_processor: None for a text model.
        settings: the provider's settings.
        profile: profile of the model's family.

    Raises:
        HarnessError: the image processor does not support a limit in the settings.
    """
    size = getattr(image_processor, "size", None)
    area = counts_area(image_processor)
    edges = ("height", "width", "shortest_edge", "longest_edge")
    # Idefics3 and SmolVLM scale an image to its longest side before they cut it.
    edge = not area and size is not None and [name for name in edges if size.get(name) is not None] == ["longest_edge"]
    # InternVL limits the tiles of an image. Mllama's model needs its four.
    tiles = isinstance(getattr(image_processor, "max_patches", None), int)
    known = {"min_pixels": area, "max_pixels": area, "max_patches": tiles, "longest_edge": edge}
    for name in IMAGE_LIMITS:
        value = settings[name]
        if value is None and profile is not None and name != "min_pixels":
            value = getattr(profile, name).value
        if value is None:
            continue
        if value < 1 or not known[name]:
            takes = ", ".join(each for each, there in known.items() if there) or "no limit of its images"
            raise HarnessError(
                f"the model's processor takes no {name}={value}",
                remedy=f"leave out -M {name}; this model takes {takes}",
            )
        if name == "max_patches":
            image_processor.max_patches = value
        elif name == "longest_edge":
            image_processor.size = type(image_processor.size)(longest_edge=value)
        else:  # the `size` of Qwen-VL's processors holds areas under edge names
            areas = {each: image_processor.size[each] for each in ("shortest_edge", "longest_edge")}
            areas["shortest_edge" if name == "min_pixels" else "longest_edge"] = value
            image_processor.size = type(image_processor.size)(**areas)


def _load_weights(
    kind: Any, origin: Origin, settings: Settings, device: torch.device, dtype: str, common: Mapping[str, Any]
) -> Any:
    """The model on its device. Raises HarnessError if weights, a device or a package are missing."""
    options = dict(common)
    if settings["sharding"] != "off":
        if device.type != "cuda" or settings["device"] not in {"auto", "cuda"}:
            raise HarnessError(
                f"-M sharding=auto spreads a model over this machine's GPUs, but the device is {device}",
                remedy="leave out -M sharding; or, on a machine with CUDA, -M device",
            )
        options["device_map"] = "auto"
    elif device.type != "cpu":
        options["device_map"] = str(device)
    bits = settings["load_in"]
    if bits is not None:
        if device.type != "cuda":
            raise HarnessError(
                f"-M load_in={bits} needs a CUDA device; this is {device}", remedy="leave out -M load_in"
            )
        if importlib.util.find_spec("bitsandbytes") is None:
            raise HarnessError(f"-M load_in={bits} needs bitsandbytes", remedy="pip install bitsandbytes")
        four_bit = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": torch.bfloat16}
        quantization = {"load_in_8bit": True} if bits == "8bit" else four_bit
        options["quantization_config"] = transformers.BitsAndBytesConfig(**quantization)
        options["device_map"] = {"": str(device)}
    if settings["attn_implementation"] is not None:
        options["attn_implementation"] = settings["attn_implementation"]
    options["dtype"] = dtype if dtype == "auto" else getattr(torch, dtype)
    model, info = kind.from_pretrained(origin.place, output_loading_info=True, **options)
    missing = sorted(info["missing_keys"])
    if missing:
        raise HarnessError(
            f"the checkpoint lacks {len(missing)} weights, which would be random: {', '.join(missing[:3])}, …",
            where=f"hf/{origin.name}",
            remedy="save the whole model, or name a LoRA folder with -M adapter=FOLDER",
        )
    return model if "device_map" in options else model.to(device)


def _load_adapter(model: Any, folder: Path, name: str) -> tuple[dict[str, Json], str]:
    """Put a folder's whole LoRA adapter on the model, or raise an error that says what does not fit.

    Equal layer names and sizes prove nothing: an adapter of Qwen2-VL loads onto Qwen2.5-VL without an error. So this
    also checks the base that the adapter names.

    Returns:
        The adapter's fingerprint, and a note if its base has another name than the model; else "".

    Raises:
        HarnessError: the folder holds no adapter, a broken one, or one for another model.
    """
    if not (folder / ADAPTER_CONFIG).is_file():
        whole = (folder / CONFIG).is_file()
        raise HarnessError(
            "this folder holds a whole model, not an adapter" if whole else f"this folder holds no {ADAPTER_CONFIG}",
            where=str(folder),
            remedy=f"use --model hf/{folder}, without -M adapter" if whole else "name a folder saved by peft",
        )
    try:
        config: dict[str, Any] = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))
        mapping: dict[str, str] = config.get("auto_mapping") or {}
        made_for = mapping.get("base_model_class", "")
        base = str(config.get("base_model_name_or_path") or "")
    except (OSError, ValueError, AttributeError) as error:
        raise broken_adapter_error(folder, f"{ADAPTER_CONFIG}: {_first_line(error)}") from error
    if made_for and made_for not in {kind.__name__ for kind in type(model).__mro__}:
        raise unfit_adapter_error(folder, f"it was made for a {made_for}, this is a {type(model).__name__}")
    try:  # the base may still exist
        of_base: dict[str, Any] = json.loads((Path(base) / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        of_base = {}
    kind = str(of_base.get("model_type", ""))
    if kind and kind != model.config.model_type:
        raise unfit_adapter_error(folder, f"its base is of type {kind}, this model of type {model.config.model_type}")

    try:
        loaded = model.load_adapter(str(folder))
    except (ValueError, RuntimeError) as error:  # its layers are missing, or have another size
        sizes = "mismatched_sizes" in str(error)  # transformers refers to its log
        detail = "its weights have another size" if sizes else _first_line(error)
        raise unfit_adapter_error(folder, detail) from error
    except Exception as error:
        raise broken_adapter_error(folder, f"{type(error).__name__}: {_first_line(error)}") from error
    strange = sorted({*loaded.missing_keys, *loaded.unexpected_keys, *loaded.mismatched_keys})
    if strange:
        raise unfit_adapter_error(folder, f"{len(strange)} weights, such as {strange[0]}")
    other = base and Path(base).name != Path(name).name
    return hash_folder(folder), f"the adapter says that it was trained on {Path(base).name}" if other else ""


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


@contextlib.contextmanager
def quiet_transformers() -> Generator[None]:
    """Silence transformers' hints, and its progress bars if stderr is no terminal."""
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
