"""`vllm/…` as a Model: turns settings into engine arguments and builds prompts; the engine batches requests."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import anyio.to_thread

from harness import Failure, HarnessError, Json, Model, ModelInfo, Request, Response, Settings
from harness.local import CONFIG, Origin, Profile, PromptBuilder, PromptFormat, find, find_profile
from harness.local.origin import unfit_adapter_error
from harness.settings import json_object
from harness_vllm.adapter import Adapter, check_adapter, read_adapter
from harness_vllm.children import prepare
from harness_vllm.engine import EngineStart, RunningEngine
from harness_vllm.generation import PIXELS, Generator, PromptStyle, find_style, open_frontend

_PARALLEL = ("tensor_parallel", "pipeline_parallel", "data_parallel")
_AS_THEY_ARE = ("dtype", "max_num_seqs", "enforce_eager", "trust_remote_code")
_WHERE_SET = ("gpu_memory_utilization", "max_model_len", "quantization")
_TILES = {"internvl_chat": "max_dynamic_patch"}  # the name in vLLM's own processors


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """Facts about a model before the engine starts.

    Attributes:
        origin: where the model comes from.
        adapter: its LoRA adapter; None without one.
        model_type: model type of its config.
        profile: how a paper ran its family; None if not requested.
    """

    origin: Origin
    adapter: Adapter | None
    model_type: str
    profile: Profile | None

    @property
    def fingerprint(self) -> dict[str, Json]:
        """Hashes of the model and its adapter."""
        more: dict[str, Json] = {"adapter": self.adapter.fingerprint} if self.adapter else {}
        return {**self.origin.fingerprint, **more}


def find_source(name: str, settings: Settings) -> ModelSource:
    """Find a model and its adapter. Raises HarnessError if one is missing, or they do not fit."""
    origin = find(name, settings["revision"], scheme="vllm", adapter="lora")
    adapter = None
    if settings["lora"] is not None:
        adapter = read_adapter(Path(settings["lora"]).expanduser())
        check_adapter(adapter, origin.folder)
    try:
        config: dict[str, Any] = json.loads((origin.folder / CONFIG).read_bytes())
    except ValueError as error:
        raise HarnessError(f"{CONFIG} is not JSON", where=f"vllm/{name}", remedy="save the model again") from error
    model_type, profile = str(config.get("model_type", "")), None
    if settings["profile"] is not None:
        language: dict[str, Any] = config.get("text_config") or config.get("llm_config") or {}
        profile = find_profile(settings["profile"], model_type, str(language.get("model_type", "")))
    return ModelSource(origin=origin, adapter=adapter, model_type=model_type, profile=profile)


def build_arguments(source: ModelSource, settings: Settings) -> dict[str, Any]:
    """The arguments of vLLM's AsyncEngineArgs. Raises HarnessError if a JSON setting is not JSON."""
    images, profile = settings["images_per_prompt"], source.profile
    arguments: dict[str, Any] = {
        "model": source.origin.place,
        "limit_mm_per_prompt": {"video": 0, "audio": 0, **({} if images is None else {"image": images})},
        "enable_prefix_caching": True,
        "disable_log_stats": True,
        "enable_log_requests": False,
        **{f"{name}_size": settings[name] for name in _PARALLEL},
        **{name: settings[name] for name in _AS_THEY_ARE},
        **{name: settings[name] for name in _WHERE_SET if settings[name] is not None},
    }
    of_images: dict[str, Any] = {}  # from the profile, then the settings
    if profile is not None:
        if settings["dtype"] == "auto":
            arguments["dtype"] = profile.dtype.value or "auto"
        if profile.max_patches.value is not None:
            of_images[_TILES.get(source.model_type, "max_patches")] = profile.max_patches.value
        if profile.longest_edge.value is not None:
            of_images["size"] = {"longest_edge": profile.longest_edge.value}
    of_images |= {name: settings[name] for name in PIXELS if settings[name] is not None}
    of_images |= json_object(settings, "mm_processor_kwargs", such_as='{"max_dynamic_patch": 4}')
    if of_images:
        arguments["mm_processor_kwargs"] = of_images
    if source.origin.commit:
        arguments["revision"] = source.origin.commit
    if source.adapter is not None:
        # one slot more than adapters: with one, vLLM on CPU applies the adapter to requests without one
        arguments |= {"enable_lora": True, "max_loras": 2, "max_lora_rank": source.adapter.rank}
    return arguments | json_object(settings, "engine", such_as='{"swap_space": 8}')


class VllmModel:
    """A model in vLLM's engine.

    Attributes:
        info: the model's description.
    """

    def __init__(self, info: ModelInfo, builder: PromptBuilder, generator: Generator) -> None:
        self.info = info
        self._builder = builder
        self._generator = generator

    async def generate(self, request: Request) -> Response | Failure:
        """Answer one request; the engine batches it with concurrent ones."""
        prompt = await anyio.to_thread.run_sync(self._builder, request)
        if isinstance(prompt, Failure):
            return prompt
        if prompt.choices:
            return await self._generator.score(prompt)
        return await self._generator.answer(prompt, request.schema)


@asynccontextmanager
async def open_model(name: str, settings: Settings) -> AsyncGenerator[Model]:
    """Start an engine for `vllm/NAME`; it ends with the block. Raises HarnessError."""
    prepare()
    source = await anyio.to_thread.run_sync(find_source, name, settings, abandon_on_cancel=True)
    start = EngineStart(f"vllm/{name}", build_arguments(source, settings))
    config = await start.configure()

    def open_with_style() -> PromptStyle:
        frontend = open_frontend(source.origin, config.model_config, settings)
        return find_style(frontend, settings, source.profile, sees=bool(config.model_config.is_multimodal_model))

    style = await anyio.to_thread.run_sync(open_with_style, abandon_on_cancel=True)
    engine = await start.run(config)
    try:
        adapter = await _add_adapter(engine, source)
        builder = PromptBuilder(
            style.frontend, style.chat, escape=settings["control_tokens"] == "text", form=style.form
        )
        yield VllmModel(_info(engine, source, style), builder, Generator(engine, style, adapter, source.origin.name))
    finally:
        await engine.stop()


async def _add_adapter(engine: RunningEngine, source: ModelSource) -> Any:
    """Load the adapter into the engine; return vLLM's request for it, None without one."""
    if source.adapter is None:
        return None
    if engine.config.lora_config.max_loras < 2:
        raise AssertionError("with one slot, vLLM on CPU applies the adapter to requests without one")
    folder = str(source.adapter.folder.resolve())
    request = import_module("vllm.lora.request").LoRARequest("adapter", 1, folder)
    try:
        taken = await engine.llm.add_lora(request)
    except Exception as error:
        raise unfit_adapter_error(source.adapter.folder, " ".join(str(error).split())[:300]) from error
    if not taken:
        raise unfit_adapter_error(source.adapter.folder, "the engine did not accept it")
    # a hub model's weights are downloaded by now
    await anyio.to_thread.run_sync(check_adapter, source.adapter, source.origin.folder)
    return request


def _info(engine: RunningEngine, source: ModelSource, style: PromptStyle) -> ModelInfo:
    parallel, scheduler = engine.config.parallel_config, engine.config.scheduler_config
    max_images = 0
    if "images" in style.can:
        limits: Mapping[str, int] = engine.llm.renderer.get_mm_processor().info.allowed_mm_limits
        max_images = limits.get("image", 0)
        if style.chat and style.form == PromptFormat() and style.chat.max_images is not None:
            max_images = min(max_images, style.chat.max_images)
    return ModelInfo(
        ref=engine.ref,
        resolved=source.origin.commit,
        endpoint=f"local:{import_module('vllm.platforms').current_platform.device_type}",
        max_images=max_images,
        local=True,
        # twice as many, so that the engine never waits for prepared requests
        concurrency=2 * scheduler.max_num_seqs * parallel.data_parallel_size,
        fingerprint=source.fingerprint,
        can=style.can,
        notes=(source.profile.describe(),) if source.profile else (),
    )
