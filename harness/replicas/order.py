"""What a replica is told to open, and how it finds the same plugins as the process that sent it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from harness import plugins
from harness.contracts import Model, Provider
from harness.errors import HarnessError, UnknownName
from harness.plugins import Host
from harness.plugins.loader import FILE
from harness.settings import effective
from harness.types import Json, Setting, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A model to open.

    Attributes:
        schemes: of the provider, and of those it was made of by `preset`; the first that is offered opens it. A scheme
            of the user's own config is not offered in a replica, and its base with all its settings is the same.
        name: what the provider is asked to open.
        settings: of the provider, complete; paths as text.
        files: plugins of one file.
        allow: distributions or entry names that may load; None for all.
        block: those that may not.
    """

    schemes: tuple[str, ...]
    name: str
    settings: Mapping[str, Json]
    files: tuple[str, ...] = ()
    allow: tuple[str, ...] | None = None
    block: tuple[str, ...] = ()

    @staticmethod
    def of(provider: Provider, name: str, settings: Settings) -> Order:
        """The order for a model of this process's host."""
        host = plugins.current()
        choice = host.choice
        return Order(
            schemes=_schemes(host, provider),
            name=name,
            settings={key: _plain(value) for key, value in settings.items()},
            files=tuple(str(Path(each.value).absolute()) for each in host.plugins if each.distribution == FILE),
            allow=None if choice.allow is None else tuple(sorted(choice.allow)),
            block=tuple(sorted(choice.block)),
        )

    @property
    def ref(self) -> str:
        """As the user wrote it."""
        return f"{self.schemes[0]}/{self.name}"

    def as_json(self) -> Json:
        """The order as a frame holds it."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @staticmethod
    def from_json(body: Mapping[str, Json]) -> Order:
        """The order again."""
        return Order(
            schemes=tuple(body["schemes"]),
            name=body["name"],
            settings=body["settings"],
            files=tuple(body["files"]),
            allow=None if body["allow"] is None else tuple(body["allow"]),
            block=tuple(body["block"]),
        )

    def open(self) -> AbstractAsyncContextManager[Model]:
        """Open it in this process, with plugins as ordered. Raises HarnessError as the provider does."""
        host = Host.load(self.files, allow=self.allow, block=self.block)
        plugins.use(host)
        provider = self._provider(host)
        given = {key: value for key, value in self.settings.items() if not _is_default(provider.settings, key, value)}
        return provider.open(self.name, effective(provider.settings, given, owner=f"provider {provider.scheme}"))

    def _provider(self, host: Host) -> Provider:
        for scheme in self.schemes[:-1]:
            try:
                return host.provider(scheme)
            except UnknownName:
                continue
        try:
            return host.provider(self.schemes[-1])
        except UnknownName as error:
            raise HarnessError(
                f"a replica cannot find the provider of {self.ref}: {error.what}",
                remedy="install its plugin, or give its file with --plugin; leave replicas and devices out otherwise",
            ) from error


def _schemes(host: Host, provider: Provider) -> tuple[str, ...]:
    found = [provider.scheme]
    while provider.base:
        found.append(provider.base)
        if provider.base not in {each.scheme for each, _ in host.offers("models")}:
            break
        provider = host.provider(provider.base)
    return tuple(found)


def _is_default(declared: tuple[Setting, ...], key: str, value: Json) -> bool:
    return any(setting.name == key and _plain(setting.default) == value for setting in declared)


def _plain(value: Any) -> Json:
    return str(value) if isinstance(value, Path) else value
