"""Opening judges: each rubric once, each judge's model once, and the id under which its verdicts are kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from typing import Any

from . import plugins, settings
from .contracts import Model, Rubric
from .errors import HarnessError
from .judging import Bench, generation_overrides
from .keys import canonical, short
from .limits import Endpoints, Metered
from .models import ModelSpec, Resolved, resolve
from .options import Options
from .plan import JudgeChoice
from .probe import probe
from .store import file_name
from .types import Json


class Benches:
    """The judges of a run, opened one by one and closed with the stack."""

    def __init__(self, options: Options, endpoints: Endpoints, stack: AsyncExitStack) -> None:
        self._options = options
        self._endpoints = endpoints
        self._stack = stack
        self._models: dict[str, tuple[Model, Resolved]] = {}
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
        return self._benches[place]

    async def _new(self, choice: JudgeChoice) -> Bench:
        judge = choice.judge
        rubric = judge.open(choice.settings, choice.root)
        given = settings_for(judge.name, self._options.judge_settings)
        overrides = generation_overrides(given)
        model, identity = None, None
        if choice.model:
            spec = ModelSpec(ref=choice.model, settings={k: v for k, v in given.items() if k not in overrides})
            inner, resolved = await self._model(spec)
            identity = resolved.identity(inner)
            model = Metered(inner, self._endpoints, urgent=True)
            _check_abilities(choice, model)
        return Bench(
            id=_judge_id(choice, rubric, identity, overrides),
            judge=judge,
            rubric=rubric,
            model=model,
            overrides=_typed(overrides),
            card=_card(choice, rubric, overrides),
        )

    async def _model(self, spec: ModelSpec) -> tuple[Model, Resolved]:
        place = canonical({"ref": spec.ref, "settings": {k: str(v) for k, v in spec.settings.items()}})
        if place not in self._models:
            resolved = resolve(spec)
            model = await self._stack.enter_async_context(resolved.provider.open(spec.name, resolved.settings))
            if self._options.probe:
                await probe(model, images=0, policy=self._options.policy)
            self._models[place] = (model, resolved)
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


def _typed(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Generation settings given as text, as their values."""
    kinds: dict[str, type] = {"temperature": float, "max_tokens": int, "top_p": float, "seed": int}
    try:
        return {name: kinds[name](value) for name, value in overrides.items()}
    except (KeyError, ValueError) as error:
        raise HarnessError(f"-J: {error} is not a generation setting's value", remedy=", ".join(kinds)) from None


def _check_abilities(choice: JudgeChoice, model: Model) -> None:
    missing = (choice.judge.needs or frozenset()) - model.info.can
    if missing:
        raise HarnessError(
            f"rubric {choice.judge.name!r} needs a model that can: {', '.join(sorted(missing))}",
            where=choice.model,
            remedy=f"--judge {choice.judge.name}=SCHEME/NAME with another model",
        )


def _judge_id(choice: JudgeChoice, rubric: Rubric, model: Json, overrides: Mapping[str, Json]) -> str:
    parts = {
        "version": choice.judge.version,
        "rubric": dict(rubric.identity),
        "settings": settings.identity((s for s in choice.judge.settings if s.type in _PLAIN), choice.settings),
        "model": model,
        "generation": {name: str(value) for name, value in overrides.items()},
    }
    names = [choice.judge.name, *([file_name(choice.model)] if choice.model else []), short(parts)]
    return "-".join(names)


#: a path setting is known by what the file holds, which the rubric's identity says
_PLAIN = (bool, int, float, str)


def _card(choice: JudgeChoice, rubric: Rubric, overrides: Mapping[str, Json]) -> dict[str, Json]:
    """What results.json says of a judge; `resolved` is filled from what its model reported."""
    return {
        "rubric": choice.judge.name,
        "version": choice.judge.version,
        "template_hash": rubric.identity.get("template_hash", ""),
        "fidelity": rubric.fidelity,
        "model": choice.model or None,
        "resolved": [],
        "settings": {**settings.identity(choice.judge.settings, choice.settings), **overrides},
        "sees": list(rubric.sees),
    }
