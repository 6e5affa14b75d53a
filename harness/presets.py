"""A provider made of another: the same models under a scheme of its own, whose settings have other defaults."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from harness.contracts import Model, ModelInfo, Provider
from harness.settings import effective
from harness.types import Failure, Request, Response, Setting, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class _Renamed:
    """A model under another name; all else is the inner model's."""

    inner: Model
    ref: str

    @property
    def info(self) -> ModelInfo:
        return replace(self.inner.info, ref=self.ref)

    async def generate(self, request: Request) -> Response | Failure:
        return await self.inner.generate(request)


def preset(
    provider: Provider,
    scheme: str,
    *,
    description: str,
    settings: Mapping[str, Any],
    without: Collection[str] = (),
) -> Provider:
    """`provider` under another scheme, with other defaults.

    The identity holds these defaults as it holds any value, so a model is another one when its preset changes; a folder
    is named by what the user changes, as ever. Endpoints stay those of `provider`: two schemes at one server share it.

    Args:
        provider: what opens the models.
        scheme: what stands before the slash.
        description: one line.
        settings: name -> text or value; the rest keep their defaults.
        without: settings that make no sense here and are not offered; they keep their defaults.

    Raises:
        UnknownName: a setting is not declared by `provider`.
        HarnessError: a value is of another type, or not one of the choices.
    """
    defaults = effective(provider.settings, settings, owner=f"provider {provider.scheme}")

    def open_(name: str, values: Settings) -> AbstractAsyncContextManager[Model]:
        return _opened(provider, f"{scheme}/{name}", name, {**defaults, **values})

    offered = tuple(_with(setting, defaults) for setting in provider.settings if setting.name not in without)
    return replace(provider, scheme=scheme, base=provider.scheme, description=description, settings=offered, open=open_)


def _with(setting: Setting, defaults: Mapping[str, Any]) -> Setting:
    value = defaults[setting.name]
    return setting if value == setting.default else replace(setting, default=value)


@asynccontextmanager
async def _opened(provider: Provider, ref: str, name: str, values: Settings) -> AsyncGenerator[Model]:
    async with provider.open(name, values) as model:
        yield _Renamed(inner=model, ref=ref)
