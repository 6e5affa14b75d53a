"""`vllm/…` as a Model: prompts are made here, the engine batches whatever is asked meanwhile."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

import anyio.to_thread

from harness import Failure, Model, ModelInfo, Request, Response, Settings
from harness.local import Form, Prompter
from harness_vllm.adapter import check, unfit
from harness_vllm.asking import Line, Writer
from harness_vllm.children import prepare
from harness_vllm.engine import Running, Start
from harness_vllm.opening import Found, arguments, look_up, make_frontend
from harness_vllm.speech import Speech, speech_of
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


@asynccontextmanager
async def open_model(name: str, settings: Settings) -> AsyncGenerator[Model]:
    """Start an engine for `vllm/NAME`; its memory and processes are given back at the end. Raises HarnessError."""
    prepare()
    found = await anyio.to_thread.run_sync(look_up, name, settings, abandon_on_cancel=True)
    start = Start(f"vllm/{name}", arguments(found, settings))
    config = await start.configure()
    speech = await anyio.to_thread.run_sync(_listen, found, config, settings, abandon_on_cancel=True)
    running = await start.run(config)
    try:
        line = Line(running, speech.frontend, await _put_on(running, found))
        escape = settings["control_tokens"] == "text"
        yield VllmModel(
            _info(running, found, speech),
            Prompter(speech.frontend, speech.chat, escape=escape, form=speech.form),
            Writer(line, config, speech, found.origin.name),
            Weigher(line, speech.frontend, found.origin.name),
        )
    finally:
        await running.stop()


def _listen(found: Found, config: Untyped, settings: Settings) -> Speech:
    sees = bool(config.model_config.is_multimodal_model)
    return speech_of(make_frontend(found, config, settings), settings, found.profile, sees=sees)


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
        raise unfit(found.adapter, " ".join(str(error).split())[:300]) from error
    if not taken:
        raise unfit(found.adapter, "the engine did not take it")
    await anyio.to_thread.run_sync(check, found.adapter, found.origin.folder)  # a hub model's weights are here by now
    return request


def _info(running: Running, found: Found, speech: Speech) -> ModelInfo:
    parallel, scheduler = running.config.parallel_config, running.config.scheduler_config
    return ModelInfo(
        ref=running.ref,
        resolved=found.origin.commit,
        endpoint=f"local:{load('vllm.platforms').current_platform.device_type}",
        max_images=_max_images(running, speech),
        local=True,
        # as many again are made ready while the engine is full, so that it never waits
        concurrency=2 * scheduler.max_num_seqs * parallel.data_parallel_size,
        fingerprint=found.fingerprint,
        can=speech.can,
        notes=(found.profile.told(),) if found.profile else (),
    )


def _max_images(running: Running, speech: Speech) -> int:
    if "images" not in speech.can:
        return 0
    limits: Mapping[str, int] = running.llm.renderer.get_mm_processor().info.allowed_mm_limits
    own = limits.get("image", 0)
    template = speech.chat.max_images if speech.chat and speech.form == Form() else None
    return own if template is None else min(own, template)
