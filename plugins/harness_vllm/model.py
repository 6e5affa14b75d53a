"""`vllm/…` as a Model: prompts are made here, the engine batches whatever is asked meanwhile."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread

from harness import Failure, Json, Model, ModelInfo, Request, Response, Settings
from harness.contracts import Ability
from harness.local import Chat, Frontend, Origin, Prompter, find, study
from harness_vllm.adapter import Adapter, check, read, unfit
from harness_vllm.asking import Line, Writer
from harness_vllm.children import prepare
from harness_vllm.engine import Running, Start
from harness_vllm.opening import arguments, make_frontend
from harness_vllm.untyped import Untyped, load
from harness_vllm.weighing import Weigher


class VllmModel:
    """A model in vLLM's engine.

    Attributes:
        info: what it is.
    """

    def __init__(self, info: ModelInfo, prompter: Prompter, writer: Writer, weigher: Weigher) -> None:
        self.info = info
        self._prompter = prompter
        self._writer = writer
        self._weigher = weigher

    async def generate(self, request: Request) -> Response | Failure:
        """Answer one request; the engine batches it with others that are asked meanwhile."""
        prompt = await anyio.to_thread.run_sync(self._prompter, request)
        if isinstance(prompt, Failure):
            return prompt
        return await (self._weigher(prompt) if prompt.choices else self._writer(prompt, request.schema))


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is known before the engine starts: a model, and the adapter on it."""

    origin: Origin
    adapter: Adapter | None

    @property
    def fingerprint(self) -> dict[str, Json]:
        """Of the model and its adapter."""
        more: dict[str, Json] = {"adapter": self.adapter.fingerprint} if self.adapter else {}
        return {**self.origin.fingerprint, **more}


@asynccontextmanager
async def open_model(name: str, settings: Settings) -> AsyncGenerator[Model]:
    """Start an engine for `vllm/NAME`; its memory and processes are given back at the end. Raises HarnessError."""
    prepare()
    found = await anyio.to_thread.run_sync(_find, name, settings, abandon_on_cancel=True)
    start = Start(f"vllm/{name}", arguments(found.origin, found.adapter, settings))
    config = await start.configure()
    frontend, chat = await anyio.to_thread.run_sync(_study, found.origin, config, settings)
    running = await start.run(config)
    try:
        line = Line(running, frontend, await _put_on(running, found))
        yield VllmModel(
            _info(running, found, frontend, chat, settings),
            Prompter(frontend, chat, escape=settings["control_tokens"] == "text"),
            Writer(line, config, frontend, found.origin.name),
            Weigher(line, frontend, found.origin.name),
        )
    finally:
        await running.stop()


def _find(name: str, settings: Settings) -> Found:
    origin = find(name, settings["revision"], scheme="vllm", adapter="lora")
    folder = settings["lora"]
    adapter = read(Path(folder).expanduser()) if folder is not None else None
    if adapter is not None:
        check(adapter, origin.folder)
    return Found(origin=origin, adapter=adapter)


def _study(origin: Origin, config: Untyped, settings: Settings) -> tuple[Frontend, Chat | None]:
    frontend = make_frontend(origin, settings, vlm=bool(config.model_config.is_multimodal_model))
    return frontend, study(frontend, thinking=settings["thinking"])


async def _put_on(running: Running, found: Found) -> Untyped:
    """vLLM's request for the adapter, once the engine has taken it; None without one."""
    if found.adapter is None:
        return None
    if running.config.lora_config.max_loras < 2:
        raise AssertionError("with one slot, vLLM on CPU answers requests without an adapter by the adapter")
    request = load("vllm.lora.request").LoRARequest("adapter", 1, str(found.adapter.folder.resolve()))
    try:
        taken = await running.llm.add_lora(request)
    except Exception as error:
        raise unfit(found.adapter, str(error).strip().splitlines()[0][:300]) from error
    if not taken:
        raise unfit(found.adapter, "the engine did not take it")
    await anyio.to_thread.run_sync(check, found.adapter, found.origin.folder)  # a hub model's weights are here by now
    return request


def _info(running: Running, found: Found, frontend: Frontend, chat: Chat | None, settings: Settings) -> ModelInfo:
    parallel, scheduler = running.config.parallel_config, running.config.scheduler_config
    most = _max_images(running, frontend, chat)
    can: set[Ability] = {"raw", "choices", "prefill"}
    if most != 0:
        can.add("images")
    if chat and chat.system:
        can.add("system")
    if not (chat and chat.reasons and settings["thinking"] != "off"):
        can.add("schema")  # a grammar would hold from the first token of the reasoning on
    return ModelInfo(
        ref=running.ref,
        resolved=found.origin.commit,
        endpoint=f"local:{load('vllm.platforms').current_platform.device_type}",
        max_images=most,
        local=True,
        # as many again are made ready while the engine is full, so that it never waits
        concurrency=2 * scheduler.max_num_seqs * parallel.data_parallel_size,
        fingerprint=found.fingerprint,
        can=frozenset(can),
    )


def _max_images(running: Running, frontend: Frontend, chat: Chat | None) -> int | None:
    if not frontend.vlm:
        return 0
    limits: Mapping[str, int] = running.llm.renderer.get_mm_processor().info.allowed_mm_limits
    own = [limits.get("image", 0)]
    if chat is not None and chat.max_images is not None:
        own.append(chat.max_images)
    return min(own)
