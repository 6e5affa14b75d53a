"""Opens the models of all roles and the painter, once each, with slots, retries and breakers as those of runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from harness import BadImage, Brush, Failure, HarnessError, Json, Model, ModelInfo, Policy, Request, Response, plugins
from harness.brushes import FoundPainter, find_painter, open_brush
from harness.evaluation.plan import find_needs
from harness.keys import canonical
from harness.limits import Endpoints, Metered
from harness.models import ModelSpec, Resolved, resolve
from harness.types import Ability
from harness_builder.plan import INSTEAD, ROLES, Plan, Role, config_key

from .images import ImageOpener
from .results import PAINTER, CallRole

_PAIR: Final = 2  # images of an element, which whoever looks is shown at once
_CANNOT: Final[Mapping[Ability, str]] = {
    "images": "look at images",
    "system": "be given a system message",
    "draw": "draw",
}
Identity = Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleModel:
    """A model that answers for one or more roles.

    Attributes:
        model: takes slots, tries again, and opens images by itself.
        identity: what was requested, as JSON.
    """

    model: Model
    identity: Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class RolePainter:
    """The painter.

    Attributes:
        brush: takes slots and tries again.
        identity: what was requested, as JSON.
    """

    brush: Brush
    identity: Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenModels:
    """All that a build asks."""

    models: Mapping[Role, RoleModel]
    painter: RolePainter


class ImageOpeningModel:
    """A Model that opens its images when it is its turn, and leaves out a schema that it cannot take.

    Args:
        model: that answers.
        opener: of its images.
        check: raises if no new call is to begin.
    """

    def __init__(self, model: Model, opener: ImageOpener, check: Callable[[], None]) -> None:
        self._model = model
        self._opener = opener
        self._check = check

    @property
    def info(self) -> ModelInfo:
        """The model's."""
        return self._model.info

    async def generate(self, request: Request) -> Response | Failure:
        """Answer one request. Raises HarnessError if nothing will work."""
        self._check()
        try:
            opened = await self._opener.open_images(request)
        except BadImage as fault:
            return Failure(outcome="bad_sample", reason=fault.reason, message=str(fault))
        if opened.schema is not None and "schema" not in self.info.can:
            opened = replace(opened, schema=None)
        return await self._model.generate(opened)


@asynccontextmanager
async def open_models(
    plan: Plan,
    opener: ImageOpener,
    check: Callable[[], None],
    tell: Callable[[str], None],
    answered: Callable[[CallRole], bool],
) -> AsyncGenerator[OpenModels]:
    """Open each model once, whatever roles it has, and the painter.

    Args:
        plan: that names them.
        opener: of images.
        check: raises if no new call is to begin.
        tell: given what a person should know of the endpoints.
        answered: whether a role, or the painter, has answered in an earlier invocation.

    Raises:
        HarnessError: no plugin offers one, it cannot be opened, or it cannot do what its role takes.
    """
    at_once = plan.concurrency
    endpoints = Endpoints(Policy(start=at_once, cap=at_once) if at_once else Policy(), tell=tell)
    resolved, painter = check_models(plan)
    async with AsyncExitStack() as stack:
        opened: dict[str, RoleModel] = {}
        roles_of: dict[str, list[Role]] = {}
        models: dict[Role, RoleModel] = {}
        for role, found in resolved:
            same = canonical([found.spec.ref, {name: str(value) for name, value in found.settings.items()}])
            roles = roles_of.setdefault(same, [])
            roles.append(role)
            with config_key(plan, _key_of(plan, role)):
                if same not in opened:
                    model = await stack.enter_async_context(found.open(images=_most_images(plan)))
                    endpoints.watch(model)
                    # `roles` grows while the models are opened
                    before = partial(_any_answered, answered, roles)
                    metered = Metered(ImageOpeningModel(model, opener, check), endpoints, before=before)
                    opened[same] = RoleModel(model=metered, identity=found.identity(model))
                models[role] = opened[same]
                _check_role(plan, role, models[role].model.info)
        with config_key(plan, PAINTER):
            brush = await stack.enter_async_context(open_brush(painter, endpoints, before=partial(answered, PAINTER)))
            _check_abilities(brush.info, {"draw"}, PAINTER, PAINTER)
        yield OpenModels(models=models, painter=RolePainter(brush=brush, identity=painter.identity(brush)))


def check_models(plan: Plan) -> tuple[list[tuple[Role, Resolved]], FoundPainter]:
    """The model of each role that this build asks, and the painter, found by name. Nothing is opened.

    Raises:
        HarnessError: no plugin offers one, or a setting of it does not exist or is not allowed.
    """
    found: list[tuple[Role, Resolved]] = []
    for role in ROLES:
        if role == "prober" and not plan.probe:
            continue
        choice = plan.model(role)
        with config_key(plan, _key_of(plan, role)):
            found.append((role, resolve(ModelSpec(ref=choice.ref, settings=choice.settings))))
    with config_key(plan, PAINTER):
        return found, find_painter(plan.painter.ref, plan.painter.settings)


def check_request(plan: Plan, role: Role, info: ModelInfo, request: Request) -> None:
    """Raise HarnessError if the model of a role cannot be asked this."""
    _check_abilities(info, find_needs(request), role, _key_of(plan, role), images=len(request.images))


def _any_answered(answered: Callable[[CallRole], bool], roles: list[Role]) -> bool:
    return any(answered(role) for role in roles)


def _check_role(plan: Plan, role: Role, info: ModelInfo) -> None:
    if role == "judge":
        needs = plugins.current().judge(plan.rubric).needs or frozenset[Ability]()
    else:
        needs = frozenset[Ability]() if role == "writer" else frozenset[Ability]({"images"})
    most = _most_images(plan) if role == "viewer" else _PAIR
    _check_abilities(info, needs, role, _key_of(plan, role), images=most if "images" in needs else 0)


def _most_images(plan: Plan) -> int:
    """Images that the viewer is shown at once: a pair, or all drawings of an object, of which it takes the best."""
    return max(_PAIR, plan.best_of)


def _check_abilities(
    info: ModelInfo, needs: set[Ability] | frozenset[Ability], role: str, key: str, *, images: int = 0
) -> None:
    remedy = f"name another one: {key} in the config"
    for ability in sorted(needs - info.can):
        what = f"the model of the role {role!r} cannot {_CANNOT.get(ability, f'do what it is asked: {ability}')}"
        raise HarnessError(what, where=info.ref, remedy=remedy)
    if info.max_images is not None and images > info.max_images:
        what = f"the model of the role {role!r} takes {info.max_images} images at once, and is shown {images}"
        raise HarnessError(what, where=info.ref, remedy=remedy)


def _key_of(plan: Plan, role: Role) -> str:
    return f"models.{role if role in plan.models else INSTEAD[role]}"
