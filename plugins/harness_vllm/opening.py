"""From settings to what vLLM is started with, and to what stands before the model."""

from __future__ import annotations

import json
from typing import Any

from harness import HarnessError, Settings
from harness.local import Frontend, Origin
from harness_vllm.adapter import Adapter
from harness_vllm.untyped import Untyped, load

_PARALLEL = ("tensor_parallel", "pipeline_parallel", "data_parallel")
_AS_THEY_ARE = ("dtype", "max_num_seqs", "enforce_eager", "trust_remote_code")
_WHERE_SET = ("gpu_memory_utilization", "max_model_len", "quantization")


def arguments(origin: Origin, adapter: Adapter | None, settings: Settings) -> dict[str, Any]:
    """The arguments of vLLM's AsyncEngineArgs. Raises HarnessError where a JSON setting is none."""
    images = settings["images_per_prompt"]
    found: dict[str, Any] = {
        "model": origin.place,
        "limit_mm_per_prompt": {"video": 0, "audio": 0, **({} if images is None else {"image": images})},
        "enable_prefix_caching": True,
        "disable_log_stats": True,
        "enable_log_requests": False,
        **{f"{name}_size": settings[name] for name in _PARALLEL},
        **{name: settings[name] for name in _AS_THEY_ARE},
        **{name: settings[name] for name in _WHERE_SET if settings[name] is not None},
    }
    if origin.commit:
        found["revision"] = origin.commit
    if pictures := processor_options(settings):
        found["mm_processor_kwargs"] = pictures
    if adapter is not None:
        # one slot more than adapters: with one, vLLM on CPU takes the adapter for requests that ask for none
        found |= {"enable_lora": True, "max_loras": 2, "max_lora_rank": adapter.rank}
    return found | _object(settings, "engine")


def processor_options(settings: Settings) -> dict[str, Any]:
    """What the model's image processor is told. Raises HarnessError where a JSON setting is none."""
    pixels = {name: settings[name] for name in ("min_pixels", "max_pixels") if settings[name] is not None}
    return pixels | _object(settings, "mm_processor_kwargs")


def _object(settings: Settings, name: str) -> dict[str, Any]:
    text = settings[name]
    if not text:
        return {}
    try:
        found: Any = json.loads(text)
        return dict[str, Any](found.items())
    except (ValueError, AttributeError):
        example = '{"key": 1}'
        raise HarnessError(f"-M {name} is no JSON object: {text}", remedy=f"such as -M {name}='{example}'") from None


def make_frontend(origin: Origin, settings: Settings, *, vlm: bool) -> Frontend:
    """What stands before the model, by transformers.

    Raises:
        HarnessError: transformers cannot open the processor, or it takes no limit of pixels.
    """
    transformers = load("transformers")
    kind = transformers.AutoProcessor if vlm else transformers.AutoTokenizer
    options: dict[str, Any] = {"trust_remote_code": settings["trust_remote_code"]}
    if origin.commit:
        options["revision"] = origin.commit
    try:
        processor = kind.from_pretrained(origin.place, **options)
    except Exception as error:
        what = f"transformers cannot open the model's processor: {str(error).strip().splitlines()[0][:300]}"
        raise HarnessError(
            what, where=f"vllm/{origin.name}", remedy="-M trust_remote_code=true, if it has code"
        ) from error
    for key in ("min_pixels", "max_pixels"):
        if settings[key] is not None and not _takes(getattr(processor, "image_processor", None), key):
            raise HarnessError(f"the model's processor takes no {key}", remedy=f"leave out -M {key}")
    return Frontend(processor, vlm=vlm)


def _takes(pictures: Untyped, key: str) -> bool:
    return key in getattr(getattr(pictures, "valid_kwargs", None), "__annotations__", ())
