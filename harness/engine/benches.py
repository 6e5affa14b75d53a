"""Opening judges: each rubric once, each judge's model once, and the id under which its verdicts are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

from harness import plugins, settings
from harness.contracts import Model, Rubric
from harness.engine.judging import Bench
from harness.engine.probe import probe
from harness.errors import HarnessError, UnknownName
from harness.keys import canonical, short
from harness.limits.metered import Metered
from harness.limits.slots import Endpoints
from harness.models import ModelSpec, Resolved, declared, placed, resolve
from harness.options import Options
from harness.plan.choosing import JudgeChoice, split_judge
from harness.store.folder import file_name
from harness.types import Json, Setting

#: what `-J` can change of a rubric's own requests, beside the settings of the judge's provider
GENERATION = (
    Setting(name="temperature", type=float, default=None, identity=True, help="of the judge's replies"),
    Setting(name="max_tokens", type=int, default=None, identity=True, help="most tokens of one reply"),
    Setting(name="top_p", type=float, default=None, identity=True, help="of the judge's replies"),
    Setting(name="seed", type=int, default=None, identity=True, help="sent to the judge's provider"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What `-J` says for one choice: overrides of the rubric's requests, and the model with its settings."""

    overrides: Mapping[str, Json]
    model: Resolved | None

    @staticmethod
    def of(choice: JudgeChoice, options: Options) -> Orders:
        """Raises UnknownName or HarnessError for a model, a key or a value that is wrong; opens nothing."""
        if not choice.model:
            return Orders(overrides={}, model=None)
        names = {setting.name for setting in GENERATION}
        provider = resolve(ModelSpec(ref=choice.model)).provider
        given = placed(provider, settings_for(choice.judge.name, options.judge_settings))
        values = settings.effective(
            (*declared(provider), *GENERATION), given, owner=f"judge's provider {provider.scheme}"
        )
        own = {name: value for name, value in given.items() if name not in names}
        return Orders(
            overrides={name: values[name] for name in given if name in names},
            model=resolve(ModelSpec(ref=choice.model, settings=own), devices=options.devices),
        )


def check(choices: Iterable[JudgeChoice], options: Options) -> None:
    """Find each mistake in judges' models and settings before anything is opened. Raises UnknownName, HarnessError."""
    names = {judge.name for judge, _ in plugins.current().offers("judges")}
    for key in options.judge_settings:
        head, dot, _ = key.partition(".")
        if dot and head not in names:
            raise UnknownName(f"-J {key}: no judge {head!r}", remedy=settings.nearest(head, names))
    for choice in choices:
        Orders.of(choice, options)
    for _, model in map(split_judge, options.judges):
        if model:
            resolve(ModelSpec(ref=model))  # one that no rubric asks is wrong as well


class Benches:
    """The judges of a run, opened one by one and closed with the stack.

    Args:
        options: of the run.
        endpoints: whose slots their calls take.
        stack: closes them.
        images: model -> most images one of its requests will hold; a model that is not there is shown none, None is
            not known.
        judged: whether the judge of an id has answered in an earlier run.
    """

    def __init__(
        self,
        options: Options,
        endpoints: Endpoints,
        stack: AsyncExitStack,
        images: Mapping[str, int | None] | None = None,
        judged: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._options = options
        self._endpoints = endpoints
        self._stack = stack
        self._images = images or {}
        self._judged = judged
        self._models: dict[str, Model] = {}
        self._benches: dict[tuple[str, str], Bench] = {}

    @property
    def all(self) -> Iterable[Bench]:
        """Every judge that was opened."""
        return self._benches.values()

    async def open(self, choice: JudgeChoice) -> Bench:
        """The bench of a choice. Raises HarnessError where its model cannot be used."""
        place = (choice.judge.name, choice.model)
        if place not in self._benches:
            self._benches[place] = await self._new(choice)
        bench = self._benches[place]
        if bench.model is not None:
            _check_abilities(choice, bench.rubric, bench.model)
        return bench

    async def _new(self, choice: JudgeChoice) -> Bench:
        rubric = choice.judge.open(choice.settings, choice.root)
        orders = Orders.of(choice, self._options)
        raw = "raw" in choice.needs(rubric)
        model = None if orders.model is None else await self._model(orders.model, raw=raw)
        identity = None if orders.model is None or model is None else orders.model.identity(model)
        judge = _judge_id(choice, rubric, identity, orders.overrides)
        before = partial(self._judged, judge)
        metered = None if model is None else Metered(model, self._endpoints, urgent=True, before=before)
        return Bench(
            id=judge,
            judge=choice.judge,
            rubric=rubric,
            model=metered,
            breaker=None if metered is None else metered.breaker,
            overrides=orders.overrides,
            card=_card(choice, rubric, orders),
        )

    async def _model(self, resolved: Resolved, *, raw: bool) -> Model:
        place = canonical({"ref": resolved.spec.ref, "settings": {k: str(v) for k, v in resolved.settings.items()}})
        if place not in self._models:
            images = self._images.get(resolved.spec.ref, 0)
            model = await self._stack.enter_async_context(resolved.open(images=images))
            self._endpoints.watch(model)
            if self._options.probe:
                raw = raw and "raw" in model.info.can
                await probe(model, images=0, raw=raw, policy=self._options.policy, tell=self._endpoints.tell)
                self._endpoints.mark_answered(model)
            self._models[place] = model
        return self._models[place]


def settings_for(rubric: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The `-J` settings of one rubric's model: those for all, overridden by `RUBRIC.key`."""
    names = {judge.name for judge, _ in plugins.current().offers("judges")}
    own: dict[str, Any] = {}
    common: dict[str, Any] = {}
    for key, value in given.items():
        head, dot, tail = key.partition(".")
        if dot and head in names:
            own.update({tail: value} if head == rubric else {})
        else:
            common[key] = value
    return {**common, **own}


def _check_abilities(choice: JudgeChoice, rubric: Rubric, model: Model) -> None:
    needs = choice.needs(rubric)
    missing = needs - model.info.can
    remedy = f"--judge {choice.judge.name}=SCHEME/NAME with another model"
    if missing:
        raise HarnessError(
            f"rubric {choice.judge.name!r} needs a model that can: {', '.join(sorted(missing))}",
            where=choice.model,
            remedy=remedy,
        )
    most = model.info.max_images
    if "images" in needs and most is not None and most < choice.images:
        raise HarnessError(
            f"rubric {choice.judge.name!r} shows {choice.images} images at once; {model.info.ref} takes {most}",
            remedy=remedy,
        )


def _judge_id(choice: JudgeChoice, rubric: Rubric, model: Json, overrides: Mapping[str, Json]) -> str:
    parts = {
        "version": choice.judge.version,
        "rubric": dict(rubric.identity),
        "settings": settings.identity((s for s in choice.judge.settings if s.type in _PLAIN), choice.settings),
        "model": model,
        "generation": dict(overrides),
    }
    names = [choice.judge.name, *([file_name(choice.model)] if choice.model else []), short(parts)]
    return "-".join(names)


#: a path setting is known by what the file holds, which the rubric's identity says
_PLAIN = (bool, int, float, str)


def _card(choice: JudgeChoice, rubric: Rubric, orders: Orders) -> dict[str, Json]:
    """What results.json says of a judge; `resolved` is filled from what its model reported."""
    return {
        "rubric": choice.judge.name,
        "version": choice.judge.version,
        "template_hash": rubric.identity.get("template_hash", ""),
        "fidelity": rubric.fidelity,
        "model": choice.model or None,
        "resolved": [],
        "settings": {
            **settings.identity(choice.judge.settings, choice.settings),
            **(orders.model.overrides if orders.model else {}),
            **orders.overrides,
        },
        "sees": list(rubric.sees),
        "labels": {label: rubric.meanings.get(label, "") for label in rubric.labels},
    }
