"""`lm-eval/…` as a Model."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio.to_thread

from harness import Failure, Model, ModelInfo, Request, Response, Settings
from harness.contracts import Ability
from harness.local.batching import Batcher

from .contexts import Context, Contexts
from .local import Runner
from .remote import Caller
from .zoo import Made, make, release

NOTE = "lm-eval does not say where an answer was cut off nor how many tokens it took: none is flagged as truncated"


class LmEvalModel:
    """A model of lm-eval.

    Attributes:
        info: what it is; a seed is dropped once one was asked for in vain.
    """

    def __init__(self, info: ModelInfo, contexts: Contexts, answerer: _Together | _OneByOne) -> None:
        self.info = info
        self._contexts = contexts
        self._answerer = answerer
        self._seeded = contexts.seeded

    async def generate(self, request: Request) -> Response | Failure:
        """Answer one request; of a model in this process, together with others that are asked meanwhile."""
        if request.settings.seed is not None and not self._seeded:
            self.info = replace(self.info, dropped=frozenset({"seed"}))
        context = await anyio.to_thread.run_sync(self._contexts, request)
        return context if isinstance(context, Failure) else await self._answerer(context)


class _Together:
    def __init__(self, runner: Runner, batcher: Batcher[Context, Response | Failure]) -> None:
        self._runner = runner
        self._batcher = batcher

    async def __call__(self, context: Context) -> Response | Failure:
        return await self._batcher.submit(context, self._runner.group(context))


class _OneByOne:
    def __init__(self, caller: Caller, most: int) -> None:
        self._caller = caller
        self._threads = anyio.CapacityLimiter(most)

    async def __call__(self, context: Context) -> Response | Failure:
        return await anyio.to_thread.run_sync(self._caller, context, limiter=self._threads, abandon_on_cancel=True)


@asynccontextmanager
async def open_model(name: str, settings: Settings) -> AsyncGenerator[Model]:
    """Open `lm-eval/NAME` and answer with it. Raises HarnessError."""
    made = await anyio.to_thread.run_sync(make, name, settings, abandon_on_cancel=True)
    try:
        contexts = Contexts(made)
        if made.remote:
            caller = Caller(made, name)
            info = _info(name, made, settings, caller.endpoint)
            yield LmEvalModel(info, contexts, _OneByOne(caller, settings["batch_size"]))
            return
        runner = Runner(made.lm, name)
        batcher = Batcher(runner, size=settings["batch_size"], wait=settings["batch_wait"] / 1000)
        async with batcher.serving():
            info = _info(name, made, settings, f"local:{made.lm.device or 'cpu'}")
            yield LmEvalModel(info, contexts, _Together(runner, batcher))
    finally:
        release(made)


def _info(name: str, made: Made, settings: Settings, endpoint: str) -> ModelInfo:
    images = {"pictures": getattr(made.lm, "max_images", None), "chat": None}.get(made.kind, 0)
    return ModelInfo(
        ref=f"lm-eval/{name}",
        endpoint=endpoint,
        max_images=images,
        local=not made.remote,
        concurrency=settings["batch_size"] * (1 if made.remote else 2),
        fingerprint=made.fingerprint,
        can=_abilities(made, images),
        notes=() if made.kind == "chat" else (NOTE,),
    )


def _abilities(made: Made, images: int | None) -> frozenset[Ability]:
    can: dict[Ability, bool] = {
        "images": images != 0,
        "system": bool(made.system),
        "raw": made.kind != "chat",
        "choices": not made.remote,
    }
    return frozenset(ability for ability, there in can.items() if there)
