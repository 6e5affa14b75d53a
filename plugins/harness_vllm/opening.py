"""From settings to what vLLM is started with, and to what stands before the model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import HarnessError, Json, Settings
from harness.local import CONFIG, Frontend, Origin, Profile, find, find_profile
from harness.settings import json_object
from harness_vllm.adapter import Adapter, check, read
from harness_vllm.speech import fallback_template, image_mark
from harness_vllm.untyped import Untyped, load

_PARALLEL = ("tensor_parallel", "pipeline_parallel", "data_parallel")
_AS_THEY_ARE = ("dtype", "max_num_seqs", "enforce_eager", "trust_remote_code")
_WHERE_SET = ("gpu_memory_utilization", "max_model_len", "quantization")
_PIXELS = ("min_pixels", "max_pixels")
_TILES = {"internvl_chat": "max_dynamic_patch"}  # as vLLM's own processors call it


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is known before the engine starts.

    Attributes:
        origin: where the model comes from.
        adapter: what is put on it.
        model_type: of its config.
        profile: how a paper ran its family; None where none is asked for.
    """

    origin: Origin
    adapter: Adapter | None
    model_type: str
    profile: Profile | None

    @property
    def fingerprint(self) -> dict[str, Json]:
        """Of the model and its adapter."""
        more: dict[str, Json] = {"adapter": self.adapter.fingerprint} if self.adapter else {}
        return {**self.origin.fingerprint, **more}


def look_up(name: str, settings: Settings) -> Found:
    """Find a model and its adapter. Raises HarnessError where there is none, or they do not belong together."""
    origin = find(name, settings["revision"], scheme="vllm", adapter="lora")
    folder = settings["lora"]
    adapter = read(Path(folder).expanduser()) if folder is not None else None
    if adapter is not None:
        check(adapter, origin.folder)
    try:
        config: dict[str, Any] = json.loads((origin.folder / CONFIG).read_bytes())
    except ValueError as error:
        raise HarnessError(f"{CONFIG} is no JSON", where=f"vllm/{name}", remedy="save the model again") from error
    kind, asked = str(config.get("model_type", "")), settings["profile"]
    language: dict[str, Any] = config.get("text_config") or config.get("llm_config") or {}
    profile = find_profile(asked, kind, str(language.get("model_type", ""))) if asked is not None else None
    return Found(origin=origin, adapter=adapter, model_type=kind, profile=profile)


def arguments(found: Found, settings: Settings) -> dict[str, Any]:
    """The arguments of vLLM's AsyncEngineArgs. Raises HarnessError where a JSON setting is none."""
    origin, adapter, images = found.origin, found.adapter, settings["images_per_prompt"]
    given: dict[str, Any] = {
        "model": origin.place,
        "limit_mm_per_prompt": {"video": 0, "audio": 0, **({} if images is None else {"image": images})},
        "enable_prefix_caching": True,
        "disable_log_stats": True,
        "enable_log_requests": False,
        **{f"{name}_size": settings[name] for name in _PARALLEL},
        **{name: settings[name] for name in _AS_THEY_ARE},
        **{name: settings[name] for name in _WHERE_SET if settings[name] is not None},
    }
    if settings["dtype"] == "auto" and found.profile is not None:
        given["dtype"] = found.profile.dtype.value or "auto"
    if origin.commit:
        given["revision"] = origin.commit
    if pictures := _pictures(found, settings):
        given["mm_processor_kwargs"] = pictures
    if adapter is not None:
        # one slot more than adapters: with one, vLLM on CPU takes the adapter for requests that ask for none
        given |= {"enable_lora": True, "max_loras": 2, "max_lora_rank": adapter.rank}
    return given | json_object(settings, "engine", such_as='{"swap_space": 8}')


def _pictures(found: Found, settings: Settings) -> dict[str, Any]:
    """What the model's image processor is told: by the profile, then by the settings."""
    given: dict[str, Any] = {}
    profile = found.profile
    if profile is not None and profile.max_patches.value is not None:
        given[_TILES.get(found.model_type, "max_patches")] = profile.max_patches.value
    if profile is not None and profile.longest_edge.value is not None:
        given["size"] = {"longest_edge": profile.longest_edge.value}
    pixels = {name: settings[name] for name in _PIXELS if settings[name] is not None}
    return given | pixels | json_object(settings, "mm_processor_kwargs", such_as='{"max_dynamic_patch": 4}')


def make_frontend(found: Found, config: Untyped, settings: Settings) -> Frontend:
    """What stands before the model, by transformers and by what vLLM knows of it.

    Raises:
        HarnessError: transformers cannot open the processor, or it takes no limit of pixels.
    """
    sees = bool(config.model_config.is_multimodal_model)
    processor = _processor(found.origin, settings, sees=sees)
    for key in _PIXELS:
        if settings[key] is not None and not _takes(getattr(processor, "image_processor", None), key):
            raise HarnessError(f"the model's processor takes no {key}", remedy=f"leave out -M {key}")
    # a model with code of its own may come with a tokenizer alone: vLLM has a processor for it
    whole = sees and hasattr(processor, "tokenizer")
    frontend = Frontend(processor, vlm=whole, image=image_mark(config.model_config) if sees else "")
    frontend.template = frontend.template or fallback_template(config.model_config)
    return frontend


def _processor(origin: Origin, settings: Settings, *, sees: bool) -> Untyped:
    transformers = load("transformers")
    kind = transformers.AutoProcessor if sees else transformers.AutoTokenizer
    options: dict[str, Any] = {"trust_remote_code": settings["trust_remote_code"]}
    if origin.commit:
        options["revision"] = origin.commit
    try:
        return kind.from_pretrained(origin.place, **options)
    except Exception as error:
        what = f"transformers cannot open the model's processor: {' '.join(str(error).split())[:300]}"
        remedy = "-M trust_remote_code=true, if it comes with code"
        raise HarnessError(what, where=f"vllm/{origin.name}", remedy=remedy) from error


def _takes(pictures: Untyped, key: str) -> bool:
    return key in getattr(getattr(pictures, "valid_kwargs", None), "__annotations__", ())
