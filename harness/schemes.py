"""Schemes of the user's own: rows of a config file, or calls from Python, over any provider."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from harness import plugins
from harness.contracts import Provider
from harness.errors import HarnessError, UnknownName
from harness.plugins.host import Host
from harness.plugins.loader import Source
from harness.plugins.registry import MODELS, NAME
from harness.presets import preset
from harness.settings import nearest

_FIELDS = ("provider", "description", "settings")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of `schemes`.

    Attributes:
        scheme: what stands before the slash.
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

        Raises HarnessError for what is no row, UnknownName for a key it does not have.
        """
        given = _mapping(raw, where)
        for key in given:
            if key not in _FIELDS:
                raise UnknownName(f"a scheme has no {key!r}", where=where, remedy=nearest(key, _FIELDS))
        for key in ("provider", "description"):
            if not isinstance(given.get(key, ""), str):
                raise HarnessError(f"the {key} of a scheme is a text", where=f"{where}.{key}")
        if not given.get("provider"):
            raise HarnessError("a scheme needs a provider", where=where, remedy="such as provider: openai")
        settings = _mapping(given.get("settings") or {}, f"{where}.settings")
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
        UnknownName: nobody offers the provider, or it has no such setting.
        HarnessError: the scheme is no name or is offered already, or a value is wrong.
    """
    try:
        host.offer_own(MODELS, _provider(host, row), _origin(row))
    except HarnessError as error:
        error.where = row.where or error.where
        raise


def add_scheme(scheme: str, provider: str, *, description: str = "", settings: Mapping[str, Any] | None = None) -> None:
    """Offer `SCHEME/NAME` for the rest of this process: another provider's models with settings of your own.

    Python's form of a row under `schemes` in a config file; adding it again replaces it.

    Args:
        scheme: what stands before the slash.
        provider: the scheme whose models it opens, such as `openai`.
        description: one line for `harness models`.
        settings: of that provider, name -> text or value.

    Raises:
        UnknownName: nobody offers the provider, or it has no such setting.
        HarnessError: the scheme is no name or is offered already, or a value is wrong.
    """
    register(plugins.current(), Row(scheme=scheme, provider=provider, description=description, settings=settings or {}))


def _provider(host: Host, row: Row) -> Provider:
    if not NAME.fullmatch(row.scheme):
        raise HarnessError(f"{row.scheme!r} cannot be a scheme", remedy=f"one is like {NAME.pattern}")
    description = row.description or f"{row.provider}, with settings of your own"
    return preset(host.provider(row.provider), row.scheme, description=description, settings=row.settings)


def _origin(row: Row) -> Source:
    """What the lists show as the plugin of a row."""
    name = f"schemes.{row.scheme}"
    file = row.where.removesuffix(f": {name}")
    version = file or "add_scheme"
    return Source(
        name=name,
        entry=name,
        distribution="config" if file else "python",
        version=version,
        value=version,
        load=lambda: None,
    )


def _mapping(raw: object, where: str) -> dict[str, Any]:
    if not isinstance(raw, Mapping):
        raise HarnessError("must be a mapping, such as {provider: openai, settings: {base_url: …}}", where=where)
    return {str(key): value for key, value in cast("Mapping[object, Any]", raw).items()}
