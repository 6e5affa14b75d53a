"""Opening models by reference, and what identifies one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import plugins, settings
from harness.contracts import Model, Provider, Strategy
from harness.errors import HarnessError
from harness.keys import digest
from harness.types import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """A model as the user names it: `scheme/name`, its settings, and the strategy around it."""

    ref: str
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    strategy: str = ""
    strategy_settings: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def scheme(self) -> str:
        """The provider's scheme."""
        return self.ref.partition("/")[0]

    @property
    def name(self) -> str:
        """What the provider is asked to open."""
        return self.ref.partition("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """A spec whose provider and strategy are found and whose settings are complete; nothing is opened yet."""

    spec: ModelSpec
    provider: Provider
    settings: Mapping[str, Any]
    strategy: Strategy | None
    strategy_settings: Mapping[str, Any]

    def identity(self, model: Model) -> dict[str, Json]:
        """What was requested, as JSON: the part of a run's identity that says which model answered."""
        base = self.provider.base
        return {
            "scheme": self.spec.scheme,
            **({"base": base} if base else {}),
            # a local model is known by its files, wherever they lie
            "name": "" if model.info.fingerprint else self.spec.name,
            "settings": self._requested(),
            "strategy": self._strategy_identity(),
            "fingerprint": dict(model.info.fingerprint),
        }

    @property
    def overrides(self) -> dict[str, Json]:
        """Identity settings that are not at their default, and the strategy: part of the folder's name."""
        changed = {name: self._requested()[name] for name in settings.changed(self.provider.settings, self.settings)}
        return changed if self.strategy is None else {**changed, "strategy": self._strategy_identity()}

    def _requested(self) -> dict[str, Json]:
        """The provider's identity settings; a folder by its name, since the fingerprint tells its files."""
        values = settings.identity(self.provider.settings, self.settings)
        folders = {setting.name for setting in self.provider.settings if setting.type is Path}
        return {name: Path(value).name if value and name in folders else value for name, value in values.items()}

    def _strategy_identity(self) -> Json:
        if self.strategy is None:
            return None
        values = settings.identity(self.strategy.settings, self.strategy_settings)
        return {"name": self.strategy.name, "version": self.strategy.version, "settings": values}

    def wrap(self, model: Model) -> Model:
        """The model with its strategy around it."""
        return model if self.strategy is None else self.strategy.wrap(model, self.strategy_settings)


def resolve(spec: ModelSpec) -> Resolved:
    """Find a spec's provider and strategy. Raises UnknownName or HarnessError with the nearest spelling."""
    if not spec.name:
        raise HarnessError(
            f"{spec.ref!r} is not a model",
            remedy="write SCHEME/NAME, such as openai/NAME or hf/PATH: see `harness models`",
        )
    if spec.strategy_settings and not spec.strategy:
        raise HarnessError("-S sets a strategy, and none is given", remedy="give --strategy NAME")
    host = plugins.current()
    provider = host.provider(spec.scheme)
    strategy = host.strategy(spec.strategy) if spec.strategy else None
    return Resolved(
        spec=spec,
        provider=provider,
        settings=settings.effective(provider.settings, spec.settings, owner=f"provider {spec.scheme}"),
        strategy=strategy,
        strategy_settings=settings.effective(
            strategy.settings if strategy else (), spec.strategy_settings, owner=f"strategy {spec.strategy}"
        ),
    )


@asynccontextmanager
async def open_model(ref: str, settings: Mapping[str, Any] | None = None) -> AsyncGenerator[Model]:
    """Open `SCHEME/NAME` with its provider.

    A provider may use it to offer another provider's model under a name of its own. Raises HarnessError where nobody
    offers the scheme, a setting is not declared, or the model cannot be opened.
    """
    found = resolve(ModelSpec(ref=ref, settings=settings or {}))
    async with found.provider.open(found.spec.name, found.settings) as model:
        yield model


def identity_digest(identity: Mapping[str, Json]) -> str:
    """The text by which a model enters keys and judge ids."""
    return digest(identity)
