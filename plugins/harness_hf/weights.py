"""The weights of a model: in which number format, on which devices, and nothing made up."""

from __future__ import annotations

import importlib.util
from typing import Any

import torch

from harness import HarnessError, Settings
from harness.local import Origin
from harness_hf.untyped import transformers

#: Where a model with code of its own says which class it is, the likeliest first.
_KINDS = ("AutoModelForImageTextToText", "AutoModelForVision2Seq", "AutoModelForCausalLM", "AutoModel")


def load_weights(
    kind: Any, origin: Origin, settings: Settings, device: torch.device, *, dtype: str, **common: Any
) -> Any:
    """A model of a class of transformers, where it shall compute.

    Raises:
        HarnessError: the checkpoint lacks weights, or this machine has not what the settings ask for.
    """
    more = {**common, **_placed(settings, device), **_quantized(settings, device)}
    if settings["attn_implementation"] is not None:
        more["attn_implementation"] = settings["attn_implementation"]
    wanted = dtype if dtype == "auto" else getattr(torch, dtype)
    model, info = kind.from_pretrained(origin.place, dtype=wanted, output_loading_info=True, **more)
    missing = sorted(info["missing_keys"])
    if missing:
        raise HarnessError(
            f"the checkpoint lacks {len(missing)} weights, which would be random: {', '.join(missing[:3])}, …",
            where=f"hf/{origin.name}",
            remedy="save the whole model, or name a LoRA folder by -M adapter=FOLDER",
        )
    return model if "device_map" in more else model.to(device)


def own_class(config: Any, origin: Origin, **common: Any) -> Any:
    """The class of a model that comes with code of its own; None where its configuration names none."""
    named: dict[str, str] = getattr(config, "auto_map", None) or {}
    found = next((named[kind] for kind in _KINDS if kind in named), None)
    if found is None:
        return None
    load = transformers.dynamic_module_utils.get_class_from_dynamic_module
    return load(found, origin.place, revision=common.get("revision"))


def _placed(settings: Settings, device: torch.device) -> dict[str, Any]:
    if settings["sharding"] == "off":
        return {} if device.type == "cpu" else {"device_map": str(device)}
    if device.type != "cuda" or settings["device"] not in {"auto", "cuda"}:
        raise HarnessError(
            f"-M sharding=auto spreads a model over this machine's GPUs, and it is to run on {device}",
            remedy="leave out -M sharding, or -M device, on a machine with CUDA",
        )
    return {"device_map": "auto"}


def _quantized(settings: Settings, device: torch.device) -> dict[str, Any]:
    bits = settings["load_in"]
    if bits is None:
        return {}
    if device.type != "cuda":
        raise HarnessError(f"-M load_in={bits} needs a CUDA device; this is {device}", remedy="leave out -M load_in")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise HarnessError(f"-M load_in={bits} needs bitsandbytes", remedy="pip install bitsandbytes")
    wanted = (
        {"load_in_8bit": True}
        if bits == "8bit"
        else {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": torch.bfloat16}
    )
    return {"quantization_config": transformers.BitsAndBytesConfig(**wanted), "device_map": {"": str(device)}}
