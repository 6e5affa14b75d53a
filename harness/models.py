"""Opening models by reference, and what identifies one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness import lineage, plugins, settings
from harness.contracts import Model, Provider, Strategy
from harness.errors import HarnessError, PluginError
from harness.http.batching import Batches
from harness.keys import digest, text_hash
from harness.prices import Seller
from harness.replicas.launch import Launch
from harness.replicas.placement import SETTINGS, Placement, format_devices
from harness.types import Json, Request, Setting

if TYPE_CHECKING:
    from harness.limits.endpoints import Policy, Tell

#: a provider that declares this setting gets the most images that one request of the run holds
IMAGES: Final = "images_per_prompt"
_LACKS: Final[Mapping[str, str]] = {
    "choices": "weighs no choices",
    "draw": "draws no images",
    "images": "takes no images",
    "prefill": "does not support prefill",
    "raw": "does not support raw prompts",
    "schema": "does not support structured output",
    "system": "does not support system messages",
}


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
        """The name that the provider opens."""
        return self.ref.partition("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """A spec with its provider and strategy, and all their settings; nothing is opened yet.

    Attributes:
        spec: the user's spec.
        provider: the scheme's provider.
        settings: all settings in `list_settings(provider)`.
        strategy: the strategy around the model.
        strategy_settings: the strategy's complete settings.
        places: its replicas' places; none if it opens in this process.
    """

    spec: ModelSpec
    provider: Provider
    settings: Mapping[str, Any]
    strategy: Strategy | None
    strategy_settings: Mapping[str, Any]
    places: tuple[Placement, ...] = ()

    def open(self, *, images: int | None = None) -> AbstractAsyncContextManager[Model]:
        """Open the model, without its strategy: here, or in a process for each of its places.

        Args:
            images: most images one request will hold, if that is known. A provider that declares `images_per_prompt`
                gets it, unless the user has set that.
        """
        own = {setting.name: self.settings[setting.name] for setting in self.provider.settings}
        if images is not None and IMAGES in own and own[IMAGES] is None:
            own[IMAGES] = images
        if not self.places:
            return self.provider.open(self.spec.name, own)
        from harness.replicas.pool import open_replicas
        from harness.replicas.wire import ReplicaSpec

        return open_replicas(ReplicaSpec.of(self.provider, self.spec.name, own), self.places)

    def identity(self, model: Model) -> dict[str, Json]:
        """The requested model as JSON: the part of a run's identity that says which model answered."""
        return {
            **self.requested,
            # a local model is known by its files, wherever they lie
            "name": "" if model.info.fingerprint else self.spec.name,
            "fingerprint": dict(model.info.fingerprint),
        }

    @property
    def requested(self) -> dict[str, Json]:
        """The part of the identity that is known before the model is opened."""
        base = self.provider.base
        return {
            "scheme": self.spec.scheme,
            **({"base": base} if base else {}),
            "settings": self._identify_settings(),
            "strategy": self._identify_strategy(),
        }

    @property
    def seller(self) -> Seller:
        """Who answers its calls."""
        return Seller.of(self.provider, self.settings)

    @property
    def channel(self) -> str:
        """What its batches are known by: the model and its identity settings, whatever strategy is around it."""
        return digest({"ref": self.spec.ref, "settings": self._identify_settings()}).partition(":")[2][:16]

    def find_batch_fault(self) -> str:
        """Why it cannot be asked in batches; empty if it can."""
        if self.provider.batch is not None:
            return self.provider.batch(self.settings)
        if self.provider.local:
            return "its models run on this machine, which has no batch API"
        return "no batch API of it is known"

    def batches_of(self, model: Model) -> Batches:
        """The batch side of the open model. Raises PluginError if it has none, though its provider says so."""
        side: object = getattr(model, "batches", None)
        if not isinstance(side, Batches):
            raise PluginError(
                f"provider {self.spec.scheme!r} offers batches, and its model has none",
                remedy="leave --batch out; its author can fix it",
            )
        return side

    @property
    def overrides(self) -> dict[str, Json]:
        """Identity settings that are not at their default, and the strategy: part of the folder's name."""
        values = self._identify_settings()
        changed = {name: values[name] for name in settings.find_changed(self.provider.settings, self.settings)}
        return changed if self.strategy is None else {**changed, "strategy": self._identify_strategy()}

    @property
    def training(self) -> dict[str, Json]:
        """What is declared about its training; see `harness.lineage`. Raises BadData for a broken training.json."""
        if not self.provider.local:
            return lineage.read_lineage(self.settings, ())
        folders = (self.settings[setting.name] for setting in self.provider.settings if setting.type is Path)
        own = Path(self.spec.name) if self.provider.lineage is None else self.provider.lineage(self.spec.name)
        return lineage.read_lineage(self.settings, [*(each for each in folders if each is not None), own])

    def _identify_settings(self) -> dict[str, Json]:
        """The provider's identity settings; a folder by its name, since the fingerprint says its files."""
        values = settings.identity(self.provider.settings, self.settings)
        folders = {setting.name for setting in self.provider.settings if setting.type is Path}
        return {name: Path(value).name if value and name in folders else value for name, value in values.items()}

    def _identify_strategy(self) -> Json:
        """The strategy and its settings; a file by the hash of its content, wherever it lies."""
        if self.strategy is None:
            return None
        values = settings.identity(self.strategy.settings, self.strategy_settings)
        for name, file in self.strategy_settings.items():
            if isinstance(file, Path) and name in values:
                try:
                    values[name] = text_hash(file.read_text(encoding="utf-8"))
                except UnicodeDecodeError as error:
                    what = f"-S {name}: the file cannot be read as UTF-8 text"
                    raise HarnessError(what, where=str(file)) from error
                except OSError as error:
                    what = f"-S {name}: the file cannot be read: {error.strerror}"
                    raise HarnessError(what, where=str(file)) from error
        facts = {} if self.strategy.facts is None else dict(self.strategy.facts(self.strategy_settings))
        named: dict[str, Json] = {"name": self.strategy.name, "version": self.strategy.version, "settings": values}
        if file_hash := plugins.current().find_file_hash("strategies", self.strategy.name):
            named["file"] = file_hash
        return {**named, "facts": facts} if facts else named

    def find_fault(self, request: Request) -> str:
        """Why no run with its strategy may ask a request of the data; empty if it may."""
        check = None if self.strategy is None else self.strategy.check
        return "" if check is None else check(request, self.strategy_settings)

    def check_strategy(self, model: Model) -> None:
        """Raise HarnessError if the open model lacks an ability that its strategy needs."""
        missing = frozenset[str]() if self.strategy is None else self.strategy.needs - model.info.can
        if self.strategy is not None and missing:
            raise HarnessError(
                f"strategy {self.strategy.name} cannot be put around {model.info.ref}: it {describe_lacks(missing)}",
                remedy="use a model that does, or another strategy",
            )

    def wrap(self, model: Model) -> Model:
        """The model with its strategy around it. Raises HarnessError if the strategy cannot be put around it."""
        self.check_strategy(model)
        return model if self.strategy is None else self.strategy.wrap(model, self.strategy_settings)


def describe_lacks(missing: Iterable[str]) -> str:
    """What a model without these abilities does not do, for an error."""
    return ", ".join(_LACKS.get(name, f"cannot {name}") for name in sorted(missing))


def list_settings(provider: Provider) -> tuple[Setting, ...]:
    """What `-M` takes for a provider: its own settings, and the core's for every model or every local one."""
    return (*provider.settings, *lineage.SETTINGS, *(SETTINGS if provider.local else ()))


def resolve(spec: ModelSpec, *, devices: str = "", launch: Launch | None = None) -> Resolved:
    """Find a spec's provider and strategy, and where its replicas run.

    Args:
        spec: as the user names it.
        devices: of a local model whose settings name none.
        launch: where replicas of a local model are started; None for this machine.

    Raises:
        UnknownName: no plugin offers a name; with the nearest spelling.
        HarnessError: a value is wrong, or a device is not there.
    """
    if not spec.name:
        raise HarnessError(
            f"{spec.ref!r} is not a model",
            remedy="write SCHEME/NAME, such as openai/NAME or hf/PATH: see `harness models`",
        )
    if spec.strategy_settings and not spec.strategy:
        raise HarnessError("-S gives a setting of a strategy, but there is no strategy", remedy="give --strategy NAME")
    host = plugins.current()
    provider = host.provider(spec.scheme)
    strategy = host.strategy(spec.strategy) if spec.strategy else None
    given = place_devices(provider, spec.settings, devices)
    values = settings.effective(list_settings(provider), given, owner=f"provider {spec.scheme}")
    return Resolved(
        spec=spec,
        provider=provider,
        settings=values,
        places=(launch or Launch()).place(values) if provider.local else (),
        strategy=strategy,
        strategy_settings=settings.effective(
            strategy.settings if strategy else (), spec.strategy_settings, owner=f"strategy {spec.strategy}"
        ),
    )


def place_devices(provider: Provider, given: Mapping[str, Any], devices: str = "") -> Mapping[str, Any]:
    """The settings with their `devices` as text; a local model whose settings name none gets `devices`."""
    if not provider.local:
        return given
    own = devices if given.get("devices") in (None, "") else given["devices"]
    return {**given, "devices": format_devices(own)} if own != "" else given


@asynccontextmanager
async def open_model(ref: str, settings: Mapping[str, Any] | None = None) -> AsyncGenerator[Model]:
    """Open `SCHEME/NAME` with its provider.

    A provider may use it to offer another provider's model under another name. Raises HarnessError if no plugin offers
    the scheme, a setting is not declared, or the model cannot be opened.
    """
    found = resolve(ModelSpec(ref=ref, settings=settings or {}))
    async with found.open() as model:
        yield model


@asynccontextmanager
async def open_metered(spec: ModelSpec, policy: Policy, *, tell: Tell | None = None) -> AsyncGenerator[Model]:
    """Open a model outside of a run: its calls take slots and are retried like those of a run.

    Args:
        spec: of the model; a strategy is put around it.
        policy: slots, retries and breaker.
        tell: called with lines about the endpoint for a person; None says nothing.

    Raises:
        HarnessError: as `open_model`.
    """
    from harness.limits import Endpoints, Metered

    found, endpoints = resolve(spec), Endpoints(policy, tell=tell)
    async with found.open() as model:
        endpoints.watch(model)
        yield found.wrap(Metered(model, endpoints))
