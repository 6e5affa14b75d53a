"""A model that is open already, under a name of its own: what is timed is the pipeline, not the engine's start."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import harness
from harness import Model, Provider

MODELS: list[Model] = []


@asynccontextmanager
async def _open(_name: str, _settings: harness.Settings) -> AsyncIterator[Model]:
    from benchmarks import vllm_opened  # the copy that the benchmark fills; this one was loaded as a plugin

    yield vllm_opened.MODELS[0]


@harness.hookimpl
def harness_models() -> Iterable[Provider]:
    return [Provider(scheme="opened", description="A model that is open.", open=_open)]
