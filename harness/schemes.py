"""Schemes made of other providers: presets of plugins, rows of a config file, and calls from Python."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

from harness import plugins
from harness.contracts import Model, ModelInfo, Provider
from harness.errors import HarnessError, UnknownName
from harness.plugins.host import Host
from harness.plugins.loader import Source
from harness.plugins.registry import MODELS, NAME
from harness.settings import effective, nearest
from harness.types import Failure, Request, Response, Settings

_FIELDS = ("provider", "description", "settings")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Renamed:
    """A model under another name; all else is the inner model's."""

    inner: Model
    ref: str

    @property
    def info(self) -> ModelInfo:
        return replace(self.inner.info, ref=self.ref)

    @property
    def batches(self) -> object:
        return getattr(self.inner, "batches", None)

    async def generate(self, request: Request) -> Response | Failure:
        return await self.inner.generate(request)


def preset(
    provider: Provider,
    scheme: str,
    *,
    description: str,
    settings: Mapping[str, Any],
    without: Collection[str] = (),
    batch: bool = True,
) -> Provider:
    """Make a provider that is `provider` under another scheme, with other defaults.

    The identity holds these defaults like any value, so a model with another preset is another model. Only what the
    user changes enters a folder's name. Endpoints stay those of `provider`: two schemes at one server share it.

    Args:
        provider: opens the models.
        scheme: the text before the slash.
        description: one line.
        settings: name -> text or value; the rest keep their defaults.
        without: settings that make no sense here and are not offered; they keep their defaults.
        batch: whether this server has the batch API of `provider`.

    Raises:
        UnknownName: a setting is not declared by `provider`.
        HarnessError: a value is of another type, or not one of the choices.
    """
    defaults = effective(provider.settings, settings, owner=f"provider {provider.scheme}")

    @asynccontextmanager
    async def open_(name: str, values: Settings) -> AsyncGenerator[Model]:
        async with provider.open(name, {**defaults, **values}) as model:
            yield _Renamed(inner=model, ref=f"{scheme}/{name}")

    offered = tuple(
        setting if defaults[setting.name] == setting.default else replace(setting, default=defaults[setting.name])
        for setting in provider.settings
        if setting.name not in without
    )
    asked = provider.batch

    def explain_no_batch(values: Settings) -> str:
        assert asked is not None
        return asked({**defaults, **values})

    return replace(
        provider,
        scheme=scheme,
        base=provider.scheme,
        description=description,
        settings=offered,
        open=open_,
        batch=explain_no_batch if batch and asked is not None else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of `schemes`.

    Attributes:
        scheme: the text before the slash.
        provider: the scheme whose models it opens.
        description: one line.
        settings: name -> value.
        where: file and key it was read from; empty from Python.
    """

    scheme: str
    provider: str
    description: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    where: str = ""

    @staticmethod
    def read(scheme: str, raw: object, where: str) -> Row:
        """A row as YAML gives it; mappings and lists become JSON, which is what a setting that takes one expects.

        Raises HarnessError for a value that is not a row, UnknownName for an unknown key.
        """
        given = _check_mapping(raw, where)
        for key in given:
            if key not in _FIELDS:
                raise UnknownName(f"a scheme has no {key!r}", where=where, remedy=nearest(key, _FIELDS))
        for key in ("provider", "description"):
            if not isinstance(given.get(key, ""), str):
                raise HarnessError(f"the {key} of a scheme is a text", where=f"{where}.{key}")
        if not given.get("provider"):
            raise HarnessError("a scheme needs a provider", where=where, remedy="such as provider: openai")
        settings = _check_mapping(given.get("settings") or {}, f"{where}.settings")
        return Row(
            scheme=scheme,
            provider=given["provider"],
            description=given.get("description", ""),
            settings={name: json.dumps(v) if isinstance(v, dict | list) else v for name, v in settings.items()},
            where=where,
        )


def register(host: Host, row: Row) -> None:
    """Offer a row's scheme in a host.

    Raises:
        UnknownName: no plugin offers the provider, or it has no such setting.
        HarnessError: the scheme is not a valid name or is offered already, or a value is wrong.
    """
    name = f"schemes.{row.scheme}"
    file = row.where.removesuffix(f": {name}")
    version = file or "add_scheme"
    where = "config" if file else "python"
    origin = Source(name=name, entry=name, distribution=where, version=version, value=version)  # as the lists show it
    try:
        if not NAME.fullmatch(row.scheme):
            raise HarnessError(f"{row.scheme!r} cannot be a scheme", remedy=f"one is like {NAME.pattern}")
        description = row.description or f"{row.provider}, with settings of your own"
        made = preset(host.provider(row.provider), row.scheme, description=description, settings=row.settings)
        host.offer_own(MODELS, made, origin)
    except HarnessError as error:
        error.where = row.where or error.where
        raise


def add_scheme(scheme: str, provider: str, *, description: str = "", settings: Mapping[str, Any] | None = None) -> None:
    """Offer `SCHEME/NAME` for the rest of this process: another provider's models with settings of your own.

    Python's form of a row under `schemes` in a config file; adding it again replaces it.

    Args:
        scheme: the text before the slash.
        provider: the scheme whose models it opens, such as `openai`.
        description: one line for `harness models`.
        settings: of that provider, name -> text or value.

    Raises:
        UnknownName: no plugin offers the provider, or it has no such setting.
        HarnessError: the scheme is not a valid name or is offered already, or a value is wrong.
    """
    register(plugins.current(), Row(scheme=scheme, provider=provider, description=description, settings=settings or {}))


def _check_mapping(raw: object, where: str) -> dict[str, Any]:
    if not isinstance(raw, Mapping):
        raise HarnessError("must be a mapping, such as {provider: openai, settings: {base_url: …}}", where=where)
    return {str(key): value for key, value in cast("Mapping[object, Any]", raw).items()}
